# Every target does its own set-up in .venv first. Without make: python -m study setup|check|test.

PYTHON ?= python3
BIN := .venv/bin
UV ?= $(BIN)/uv
STUDY ?= outputs/quickstart
BASE ?= main~1
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--no-annotate --no-emit-index-url --custom-compile-command "make lock" $(UPGRADE)
LOCK = $(COMPILE) --generate-hashes --constraints requirements/versions.txt

.NOTPARALLEL:
.PHONY: help study tensorboard setup check format test bench clusters published compare faults \
	mutants lock clean distclean

help:  ## list the targets (default)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

study: setup  ## train the study `quickstart` on MNIST and print its ablation table
	$(BIN)/study train experiment=quickstart
	$(BIN)/study table outputs/quickstart
	@echo
	@$(BIN)/study table outputs/quickstart --output outputs/quickstart/table.md
	@echo "next: \`$(BIN)/study report outputs/quickstart\` writes figures, verdicts and a page;"
	@echo "docs/tutorial.md goes on from here"

tensorboard: setup  ## TensorBoard on localhost, on outputs/quickstart or STUDY=outputs/NAME
	@$(BIN)/study tensorboard $(STUDY)

setup:  ## make .venv, or bring it up to date with requirements/run.lock
	@$(PYTHON) -m study setup

check:  ## formatting, lint, types, and that documents quote what the outputs give
	@$(PYTHON) -m study check

format:  ## format the code and repair what lint can repair
	@$(PYTHON) -m study setup dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test:  ## the tests; ARGS goes to pytest
	@$(PYTHON) -m study test $(ARGS)

bench: setup  ## measure speed (half an hour on a free machine), then the tables made from it
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.summary README.md docs/benchmarks.md docs/probes.md

clusters:  ## one study by joblib, Slurm and Ray on this machine (Debian), compared; 5 minutes; ARGS
	@$(PYTHON) -m study setup joblib ray submitit
	$(BIN)/python -m clusters $(ARGS)

published: setup  ## write what README.md and docs/ quote: tables, figures, claims, keys, what code prints
	$(BIN)/python -m docs.refresh

compare: setup  ## train golden cells at BASE=main~1 and here (minutes); fails on a bit, unless RECIPE rose
	@$(BIN)/python -m benchmarks.compare $(BASE)

faults: setup  ## break a small study in every way (10 minutes) and mend it; ARGS goes to it
	$(BIN)/python -m faults $(ARGS)

mutants:  ## mutate what decides claims (hours) and list the mutants that no test notices; ARGS
	@$(PYTHON) -m study setup mutants
	$(BIN)/mutmut run $(ARGS)
	$(BIN)/mutmut results

lock:  ## remake requirements/ and audit it; UPGRADE=--upgrade takes newer releases, UV names a uv
	$(COMPILE) pyproject.toml --all-extras --group build --group audit \
		--output-file requirements/versions.txt
	for group in build audit; do \
		$(LOCK) --group pyproject.toml:$$group --output-file requirements/$$group.lock || exit 1; \
	done
	$(LOCK) pyproject.toml --output-file requirements/run.lock
	for extra in dev joblib mutants ray submitit; do \
		$(LOCK) pyproject.toml --extra $$extra --output-file requirements/$$extra.lock || exit 1; \
	done
	@$(PYTHON) -m requirements.audit

clean:  ## remove caches (no data, no outputs)
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find study tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## remove caches and .venv (no data, no outputs)
	rm -rf .venv

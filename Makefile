# Every target installs what it needs into .venv first. Without make: README.md, "Two commands".

PYTHON ?= python3
BIN := .venv/bin
UV ?= $(BIN)/uv
STUDY ?= outputs/quickstart
BASE ?= main~1
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--no-annotate --no-emit-index-url --custom-compile-command "make lock" $(UPGRADE)
ALL_EXTRAS := dev joblib mlflow mutants ray submitit wandb
LOCK = $(COMPILE) --generate-hashes --constraints requirements/versions.txt

.NOTPARALLEL:
.PHONY: help study tensorboard setup check format test wheel bench clusters published compare \
	faults mutants lock clean distclean venv

help:  ## list the targets (default)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

study: with-run  ## train the study `quickstart` on MNIST and print its ablation table
	$(BIN)/study train experiment=quickstart
	$(BIN)/study table outputs/quickstart
	@echo
	@$(BIN)/study table outputs/quickstart --output outputs/quickstart/table.md
	@echo "next: \`$(BIN)/study report outputs/quickstart\` writes figures, verdicts and a page;"
	@echo "docs/tutorial.md goes on from here"

tensorboard: with-run  ## TensorBoard on localhost, on outputs/quickstart or STUDY=outputs/NAME
	@$(BIN)/study tensorboard $(STUDY)

setup: with-run $(EXTRAS:%=with-%)  ## make .venv or bring it up to date; EXTRAS="joblib ray" adds theirs
	@echo "make: .venv is up to date ($(strip run $(EXTRAS)))"

check: with-dev  ## formatting, lint, types, and that documents quote what the outputs give
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m docs --check

format: with-dev  ## format the code and repair what lint can repair
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: with-dev  ## the tests; ARGS goes to pytest
	$(BIN)/python -m pytest $(ARGS)

# build/ is emptied first: what an earlier build left there would be packed too.
wheel: with-run  ## dist/*.whl, the package with conf/ inside, for `pip install` elsewhere
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps \
		--wheel-dir dist .
	rm -rf build
	@ls dist/*.whl

bench: with-run  ## measure speed (half an hour on a free machine), then the tables made from it
	$(BIN)/python -m benchmarks
	$(BIN)/python -m docs README.md docs/benchmarks.md docs/probes.md

clusters: with-joblib with-ray with-submitit  ## one study by joblib, Slurm and Ray here, compared; ARGS
	$(BIN)/python -m clusters $(ARGS)

published: with-run  ## write what README.md and docs/ quote: tables, figures, claims, keys, metrics
	$(BIN)/python -m docs

compare: with-run  ## train golden cells at BASE=main~1 and here (minutes); fails on a bit, unless RECIPE rose
	@$(BIN)/python -m benchmarks.compare $(BASE)

faults: with-run  ## break a small study in every way (10 minutes) and mend it; ARGS goes to it
	$(BIN)/python -m faults $(ARGS)

mutants: with-mutants  ## mutate what decides claims (hours) and list the mutants that no test notices; ARGS
	$(BIN)/mutmut run $(ARGS)
	$(BIN)/mutmut results

lock:  ## remake requirements/ and audit it; UPGRADE=--upgrade takes newer releases, UV names a uv
	$(COMPILE) pyproject.toml --all-extras --group build --group audit \
		--output-file requirements/versions.txt
	for group in build audit; do \
		$(LOCK) --group pyproject.toml:$$group --output-file requirements/$$group.lock || exit 1; \
	done
	$(LOCK) pyproject.toml --output-file requirements/run.lock
	for extra in $(ALL_EXTRAS); do \
		$(LOCK) pyproject.toml --extra $$extra --output-file requirements/$$extra.lock || exit 1; \
	done
	@$(PYTHON) -m requirements.audit

clean:  ## remove caches (no data, no outputs)
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info build
	find study tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## remove caches and .venv (no data, no outputs)
	rm -rf .venv

# What is installed. .venv/.NAME is written once requirements/NAME.lock and the project are, and
# .venv/.run with it, for every lock holds all of run; it says in which folder: a moved .venv would run
# the project of the old one. An installation that breaks off writes none, so the next one goes on. Two
# makes at once take turns where there is flock(1).
FLOCK := $(if $(shell command -v flock),flock Makefile)
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
refuse = { echo 'make: $(1)' >&2; exit 2; }
ANEW := `make distclean setup` makes it anew

# Which builds of torch: cpu, or those that the locks name, on Linux for CUDA; they stay until .venv
# is made anew.
HAS := $(notdir $(wildcard .venv/lib/python3*/site-packages/torch-*.dist-info))
BUILD := $(if $(HAS),$(if $(findstring +cpu,$(HAS)),cpu,locked))
override TORCH := $(or $(TORCH),$(BUILD),locked)
ifneq ($(shell uname),Linux)
override TORCH := locked
SIZE := 1 GB
else
SIZE := $(if $(filter cpu,$(TORCH)),1.6 GB,6 GB of which CUDA 4; TORCH=cpu does without)
endif
ifneq ($(TORCH_INDEX),)
WHEELS := $(if $(wildcard $(TORCH_INDEX)/.),--no-index --find-links,--index-url) $(TORCH_INDEX)
endif
NO_TORCH = no torch for CPUs in $(or $(TORCH_INDEX),what pip asks); TORCH_INDEX=ADDRESS names the index \
	that has it (of the page of PyTorch on installing) or a folder of wheels

# pip shows its progress where much is installed before someone's eyes.
QUIET := $(if $(BUILD)$(if $(MAKE_TERMOUT),,log),--quiet)
INSTALL ?= $(BIN)/python -m pip install $(QUIET) --disable-pip-version-check \
	--no-build-isolation --use-pep517

with-%:
	@test -e requirements/$*.lock || $(call refuse,EXTRAS has no $*; choose from: $(ALL_EXTRAS))
	@$(FLOCK) $(MAKE) --no-print-directory --silent .venv/.$*

venv:
	@test '$(TORCH)' = cpu || test '$(TORCH)' = locked || \
		$(call refuse,TORCH is $(TORCH); choose from: cpu locked)
	@test -e .venv || $(PYTHON) -c '$(SUPPORTED)' || \
		$(call refuse,$(PYTHON) is no Python 3.11 to 3.13; name one: make PYTHON=python3.12 ...)
	@test -e .venv || { echo 'make: $(PYTHON) makes .venv ($(SIZE): minutes)' && \
		$(PYTHON) -m venv .venv; } || { rm -rf .venv; exit 1; }
	@$(BIN)/python -c 'import pip; $(SUPPORTED)' 2>/dev/null || \
		$(call refuse,.venv has no Python 3.11 to 3.13 that runs with pip; $(ANEW))
	@test ! -e .venv/.run || test "$$(cat .venv/.run)" = "$(CURDIR)" || \
		$(call refuse,.venv was installed for another folder; $(ANEW))
	@test '$(TORCH)' = '$(or $(BUILD),$(TORCH))' || \
		$(call refuse,.venv has the other build of torch ($(BUILD)); $(ANEW))

.venv/.%: requirements/%.lock requirements/build.lock pyproject.toml | venv
	@echo "make: installing $<$(if $(filter cpu,$(TORCH)), with torch for CPUs)"
	$(INSTALL) --require-hashes -r requirements/build.lock
ifeq ($(TORCH),cpu)
# Only these two come without a hash: PyPI, from which the locks are made, has no such build.
	$(INSTALL) --no-deps $(WHEELS) $$(sed -nE 's/^(torch|torchvision)==([^ ;]+).*/\1==\2+cpu/p' $<) || \
		$(call refuse,$(NO_TORCH))
	awk '/^[^ ]/ { left = /^(nvidia-|cuda-|triton|torch==|torchvision==)/ } !left' $< > .venv/cpu-$*.lock
	$(INSTALL) --no-deps --require-hashes -r .venv/cpu-$*.lock
else
	$(INSTALL) --require-hashes -r $<
endif
	$(INSTALL) --no-deps --editable .
	@for stamp in .venv/.run $@; do echo "$(CURDIR)" > $$stamp; done
	@echo "make: ready, $$($(BIN)/python --version)"

"""The benchmarks run, their arithmetic is right, and documents quote what they wrote.

No test asserts a time.
"""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import contestants, gpu, quickstart, steps, summary, targets, turns
from docs import quoted
from study.errors import InputError
from study.theory.activations.timing import in_turns, median_ratio

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "docs/benchmarks.md", "docs/probes.md"]
PLAIN, NORMALIZED, CNN = (contestants.CASES[place] for place in (0, 1, -1))


def test_contestants_run_in_turns_and_the_first_round_is_not_counted() -> None:
    calls: list[str] = []

    def contestant(name: str, seconds: list[float]) -> float:
        calls.append(name)
        return seconds.pop(0)

    slow, fast = [9.0, 4.0, 6.0], [9.0, 2.0, 1.0]
    times = in_turns(
        {"slow": lambda: contestant("slow", slow), "fast": lambda: contestant("fast", fast)}, 2
    )
    assert calls == ["slow", "fast"] * 3
    assert times == {"slow": [4.0, 6.0], "fast": [2.0, 1.0]}


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    assert median_ratio([2.0, 30.0, 8.0], [1.0, 10.0, 1.0]) == 3.0
    drift = [1.0, 5.0, 0.2]
    assert median_ratio([3 * each for each in drift], drift) == pytest.approx(3.0)
    with pytest.raises(ValueError, match="shorter"):
        median_ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize("case", [NORMALIZED, CNN], ids=["MLP", "CNN"])
def test_every_contestant_runs(case: contestants.Case) -> None:
    data = contestants.made_up_data(case, num_steps=2)
    times = [
        contestants.ours(case, data, 2)(),
        contestants.bare(case, data)(),
        contestants.template(case, num_steps=3, uncounted=1)(),
    ]
    assert all(0 < seconds < math.inf for seconds in times)


def test_an_update_s_arithmetic_is_that_of_its_matrix_products() -> None:
    forward = [784 * 32, 32 * 32, 32 * 32, 32 * 10]
    each = [2 * contestants.BATCH * products for products in forward]
    assert steps.step_flops(PLAIN) == 3 * sum(each) - each[0]


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_steps_and_gpu_write_what_their_tables_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _results_in(tmp_path, monkeypatch)
    turns.write(
        "steps",
        steps.measure(PLAIN, populations=(2,), rounds=1, template_rounds=1, num_steps=3),
    )
    rows = gpu.measure(PLAIN, torch.device("cpu"), populations=(2,), rounds=1, num_steps=2)
    turns.write("gpu", rows)
    assert len(summary.read("steps")) == 1
    assert len(summary.read("gpu")) == len(gpu.ARITHMETICS) * len(gpu.engines())
    assert "Measured on " in summary.printed(["steps"])


@pytest.mark.parametrize("arithmetic", gpu.ARITHMETICS, ids=lambda each: each.name)
def test_an_arithmetic_ends_with_its_block(arithmetic: gpu.Arithmetic) -> None:
    def kinds() -> set[str]:
        products = torch.backends.cuda.matmul
        convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]
        return {products.fp32_precision, convolutions.fp32_precision}

    with arithmetic.entered(torch.device("cpu")):
        assert kinds() == {"tf32" if arithmetic.tf32 else "ieee"}
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype is (torch.bfloat16 if arithmetic.autocast else torch.float32)
    assert kinds() == {"ieee"}


def test_quickstart_extrapolates_each_part_from_its_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _results_in(tmp_path, monkeypatch)
    monkeypatch.setattr(quickstart, "our_seconds", lambda study, cells: 2.0 * len(cells))
    monkeypatch.setattr(quickstart, "peer_seconds", lambda config, replica: 10.0)
    rows = quickstart.measure(quickstart.OVERRIDES, quickstart.NUM_PARTS)
    turns.write("quickstart", rows)
    whole = rows[-1]
    assert [row["cells"] for row in rows] == [0, *[2] * 9, 18]
    assert (whole["trainings"], whole["trainings by the template"]) == (216, 9)
    assert whole["template_seconds_extrapolated"] == 2160.0
    assert whole["ours_seconds"] == pytest.approx(36.0 + rows[0]["ours_seconds"])
    assert "extrapolated from 9 of the trainings" in summary.in_words(
        summary.read("quickstart")[-1]
    )


def test_quickstart_trains_both_ways(tmp_path: Path) -> None:
    rows = quickstart.measure(
        (
            *quickstart.OVERRIDES,
            *(f"data.{split}_size=128" for split in ("train", "val", "test")),
            *("trainer.max_epochs=1", "seeds=1", "optimizer.lr=[0.1]"),
            "trainer.threads=1",
            *("norm=none,batch", "init=he_normal", "activation=relu"),
        ),
        2,
    )
    assert [row["sampled cell"] for row in rows] == ["planning", "norm=none", "norm=batch", "all"]
    assert all(row["template_seconds_each"] > 0 for row in rows[1:])


def test_a_table_says_what_its_csv_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _results_in(tmp_path, monkeypatch)
    assert "Not measured yet: `python -m benchmarks gpu`" in summary.printed(["gpu"])
    row = dict.fromkeys(summary.COLUMNS["steps"], "1") | {"network": "A|B", "replicas": "20"}
    turns.write("steps", [row | {targets.BARE: "2.345", targets.TEMPLATE: "1234.5"}])
    assert "| A\\|B " in summary.printed(["steps"])
    line = next(line for line in summary.printed(["speed"]).splitlines() if "A\\|B" in line)
    assert line.split() == ["|", "A\\|B", "|", "2.35", "|", "1234", "|"]


def test_a_csv_without_a_column_and_an_unknown_table_are_input_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _results_in(tmp_path, monkeypatch)
    turns.write("packing", [{"network": "MLP"}])
    with pytest.raises(InputError, match="no column 'replicas in a group'"):
        summary.printed(["packing"])
    with pytest.raises(InputError, match="choose from: speed, targets"):
        summary.printed(["spede"])


def test_a_target_is_met_or_missed() -> None:
    least = targets.Target("", "steps", "x", 2.0, {"network": "MLP"})
    rows = [{"network": "MLP", "x": "2.0"}, {"network": "MLP, BatchNorm", "x": "1.99"}]
    assert targets.judge(least, rows) == ("2.0 met", "1.99 missed")
    assert targets.judge(least, rows[:1]) == ("2.0 met", "")
    apart = targets.Target("", "steps", "x", 2.5, {"network": "MLP"}, normalized=1.9)
    assert targets.judge(apart, rows) == ("2.0 missed", "1.99 met")
    assert apart.wanted == "≥ 2.5 / 1.9"
    most = targets.Target("", "cells", "x", 0.5, at_most=True)
    assert targets.judge(most, [{"x": "0.4"}, {"x": "0.51"}, {"x": "0.1"}]) == ("0.51 missed", "")
    assert targets.judge(most, []) == ("not measured", "")


def test_every_committed_csv_has_what_its_table_needs_and_its_machine() -> None:
    paths = sorted(summary.RESULTS.glob("*.csv"))
    assert paths
    for path in paths:
        assert summary.read(path.stem), "no rows"
        assert summary.machine(path.stem).startswith("Measured on ")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_quote_what_was_measured(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert quoted.quotations("benchmark").search(text), "it quotes no benchmark"
    assert quoted.refreshed(text, {"benchmark": summary.printed}) == text, (
        "stale: run `make published`"
    )


def test_every_benchmark_has_a_table_and_a_place_in_the_documents() -> None:
    text = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    for name in command.BENCHMARKS:
        assert f"<!-- benchmark {name} -->" in text
        assert (ROOT / f"benchmarks/{name}.py").exists()


def test_tables_are_made_without_pytorch() -> None:
    code = "import sys, benchmarks.summary; print({'torch', 'lightning'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_command_lists_its_names_for_an_unknown_one() -> None:
    with pytest.raises(InputError, match="unknown benchmark 'step' .did you mean 'steps'"):
        command.main(["step"])


def test_all_means_every_benchmark_that_any_machine_can_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []

    def fake(names: list[str]) -> int:
        asked.append(names)
        return 0

    monkeypatch.setattr(command, "run_each", fake)
    assert command.main([]) == 0
    assert asked == [
        [
            "packing",
            "products",
            "layouts",
            "steps",
            "cells",
            "start",
            "growth",
            "probes",
            "quickstart",
        ]
    ]


def test_a_benchmark_that_fails_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def fake(arguments: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(arguments[-1])
        return subprocess.CompletedProcess(arguments, int(arguments[-1] == "packing"))

    monkeypatch.setattr(subprocess, "run", fake)
    assert command.run_each(["packing", "steps"]) == 1
    assert ran == ["packing", "steps"]
    assert "failed: packing" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_gpu_its_benchmark_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert gpu.main() == 2
    assert capsys.readouterr().err.count("\n") == 1


def _results_in(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the benchmarks write and read their results there."""
    for module in (turns, summary):
        monkeypatch.setattr(module, "RESULTS", directory)

"""Cells as jobs of a launcher: Hydra's own, which runs them in this process."""

from pathlib import Path

import pytest
from test_launch import TINY, failing

from study.__main__ import main
from study.outputs import read_cells

SWEEP = ("-m", "hydra/launcher=basic", "model.widths=[8],[9]", "optimizer=sgd,adam")


def test_a_job_takes_its_factors_from_the_ledger_and_prints_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *TINY, *SWEEP, f"outputs_dir={tmp_path}"]) == 0
    out = capsys.readouterr().out
    records = read_cells(tmp_path / "scratch")
    assert len(records) == 4
    for record in records:
        assert record.result is not None
        assert record.result["factors"] == record.factors
        assert record.factors["model"] == "mlp"
        words = f"optimizer={record.factors['optimizer']}, "
        words += f"model.widths={record.factors['model.widths']}"
        assert f"\n{words}: test error" in out
    assert "[1/" not in out
    assert "sweep.max_failures is not applied" in out
    assert main(["train", *TINY, *SWEEP, f"outputs_dir={tmp_path}"]) == 0
    assert "0 to train" in capsys.readouterr().out


def test_every_failed_job_is_counted_and_none_stops_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda config: RuntimeError("no"))
    assert main(["train", *TINY, *SWEEP, "sweep.max_failures=1", f"outputs_dir={tmp_path}"]) == 1
    out, err = capsys.readouterr()
    assert "stopped" not in out
    assert err.startswith("4 cells failed; what is done is kept.")
    assert "4 x failed: RuntimeError: no" in err

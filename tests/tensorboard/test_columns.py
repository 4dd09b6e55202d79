"""TensorBoard's table of hyperparameters: a column for each factor, a row for each cell."""

from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2

from study.data import Data
from study.outputs.ledger import record_launch
from study.outputs.records import LedgerCell
from study.outputs.results import TrainedReplica
from study.tensorboard.columns import column_type, typed
from tests import fabricated
from tests.event_files import FACTORS, written


@pytest.fixture(scope="module")
def data() -> Data:
    return fabricated.data()


@pytest.fixture(scope="module")
def results(data: Data) -> list[TrainedReplica]:
    return fabricated.results(data)


def test_columns_are_those_of_the_whole_study(
    tmp_path: Path, results: list[TrainedReplica], data: Data
) -> None:
    """The columns come from any one cell: it names all factors and marks those that vary."""
    other = FACTORS | {"batch_size": 64, "data": "kmnist"}
    cells = [LedgerCell(f"cell {i}", str(i), f) for i, f in enumerate((FACTORS, other))]
    record_launch(tmp_path, study="s", threads=1, cells=cells, experiment=None, claims=[])
    experiment = _hparams(written(tmp_path / "cell", results, data))["experiment"].experiment
    infos = {info.name: info for info in experiment.hparam_infos}
    assert set(infos) == {*FACTORS, "learning rate"}
    assert {name for name, info in infos.items() if info.differs} == {
        "batch_size",
        "data",
        "learning rate",
    }
    assert infos["batch_size"].type == api_pb2.DATA_TYPE_FLOAT64
    assert infos["extra"].type == api_pb2.DATA_TYPE_BOOL
    assert [info.name.tag for info in experiment.metric_infos][:2] == [
        "results/test_error",
        "results/val_error",
    ]


def test_a_cell_is_one_session(tmp_path: Path, results: list[TrainedReplica], data: Data) -> None:
    events = written(tmp_path / "cell", results, data)
    found = _hparams(events)
    assert set(found) == {"experiment", "session_start_info", "session_end_info"}
    hparams = found["session_start_info"].session_start_info.hparams
    assert hparams["activation"].string_value == "relu"
    assert hparams["batch_size"].number_value == 128
    assert hparams["extra"].bool_value is True
    assert hparams["learning rate"].number_value == fabricated.BEST
    metrics = {info.name.tag for info in found["experiment"].experiment.metric_infos}
    assert {"results/test_error", "results/dead_fraction"} <= metrics
    assert metrics <= set(events.Tags()["scalars"])


def test_levels_have_the_type_that_all_of_them_have() -> None:
    assert [typed(level) for level in (0.1, "true", "false", "null", "[1]", True)] == [
        0.1,
        True,
        False,
        "null",
        "[1]",
        True,
    ]
    assert column_type([1, 0.5]) == api_pb2.DATA_TYPE_FLOAT64
    assert column_type(["true", "false"]) == api_pb2.DATA_TYPE_BOOL
    assert column_type([1, "null"]) == api_pb2.DATA_TYPE_STRING
    assert column_type(["relu"]) == api_pb2.DATA_TYPE_STRING


def _hparams(events: EventAccumulator) -> dict[str, Any]:
    from tensorboard.plugins.hparams import plugin_data_pb2

    return {
        tag.rpartition("/")[2]: plugin_data_pb2.HParamsPluginData.FromString(content)
        for tag, content in events.PluginTagToContent("hparams").items()
    }

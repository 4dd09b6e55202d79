"""What a record says of its task, and the references beside a reconstruction."""

import pytest
import torch

from study.training import references
from study.training.references import task_record
from tests import tiny


def test_a_classification_has_no_references() -> None:
    assert task_record(tiny.config(), tiny.data()) == {"task": "classification"}


@pytest.mark.parametrize("code", [1, 5, 16, 40])
def test_pca_is_fitted_to_training_and_validation_images(code: int) -> None:
    config = tiny.config(f"model.code={code}", "loss=squared_error", model="autoencoder")
    data = tiny.data(shape=(1, 4, 4))
    record = task_record(config, data)
    assert record["task"] == "reconstruction"
    pca, mean_image = record["references"]["pca"], record["references"]["mean_image"]
    fitted = torch.cat([data.train.inputs, data.val.inputs]).flatten(1)
    centred = fitted - fitted.mean(0)
    left = torch.linalg.svdvals(centred)[code:].square().sum() / len(fitted)
    assert pca["components"] == min(code, 16)
    assert pca["train_error"] == pytest.approx(float(left), abs=1e-9)
    assert mean_image["train_error"] == pytest.approx(float(centred.square().sum(1).mean()))
    tested = (data.test.inputs.flatten(1) - fitted.mean(0)).square().sum(1).mean()
    assert mean_image["test_error"] == pytest.approx(float(tested))
    assert pca["test_error"] <= mean_image["test_error"]


def test_they_are_computed_once_for_each_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def count(*arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(arguments)
        return torch.zeros(4), torch.zeros(4)

    monkeypatch.setattr(references, "principal_energies", count)
    monkeypatch.setattr(references, "_kept", {})
    data = tiny.data(shape=(1, 2, 2))
    for expected, overrides in (
        (1, ("model.code=2",)),
        (1, ("model.code=3", "data.root=elsewhere", "seeds=3")),
        (2, ("data.train_size=20",)),
        (3, ("data.normalize=unit",)),
    ):
        task_record(tiny.config(*overrides, model="autoencoder"), data)
        assert len(calls) == expected

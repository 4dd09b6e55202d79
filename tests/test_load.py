"""Trained networks out of a cell's directory: plain modules on raw images."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from synthetic import change_result

import study
from study.errors import InputError
from study.outputs.cell import read_predictions
from study.outputs.digests import tensors_sha256
from study.outputs.load import load

OVERRIDES = ("seeds=[0,3]", "optimizer.lr=[0.01,0.05]", "outputs.weights=all")
MODELS = {
    "mlp": ("norm=batch", "data.normalize=whiten"),
    "cnn": ("model=cnn", "model.channels=[[4],[4]]", "model.head=[8]", "norm=none"),
    "prelu": ("activation=prelu", "data.normalize=binary", "trainer.precision=32-true"),
}


@pytest.fixture(scope="module", params=MODELS)
def cell(
    root: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("study") / "cell"
    return directory, tiny.train_to(directory, root, *OVERRIDES, *MODELS[request.param])


def test_a_loaded_network_has_the_recorded_test_error(cell: tuple[Path, dict[str, Any]]) -> None:
    directory, record = cell
    images, labels = tiny.pixels(30, seed=2)
    for replica in record["replicas"]:
        network = load(directory, seed=replica["seed"], lr=replica["lr"])
        assert not network.training
        state = network.get_submodule("network").state_dict()
        assert tensors_sha256(state) == replica["weights_sha256"]
        with torch.no_grad():
            outputs = network(images)
        error = float((outputs.argmax(1) != labels).double().mean())
        assert error == pytest.approx(replica["last_test_error"])
        loss = torch.nn.functional.cross_entropy(outputs.double(), labels)
        assert float(loss) == pytest.approx(replica["last_test_loss"], rel=1e-4)
        with torch.no_grad():
            assert torch.equal(outputs, network(images.float()))


@pytest.mark.parametrize(
    ("loss", "normalize"), [("cross_entropy", "binary"), ("squared_error", "whiten")]
)
def test_a_loaded_autoencoder_has_the_recorded_squared_error(
    root: Path, tmp_path: Path, loss: str, normalize: str
) -> None:
    directory = tmp_path / "study" / "cell"
    record = tiny.train_to(
        directory, root, "model=autoencoder", "model.widths=[9]", "model.code=3", f"loss={loss}",
        f"data.normalize={normalize}", "optimizer.lr=0.001", "norm=batch",
    )  # fmt: skip
    network = load(directory)
    images, _ = tiny.pixels(30, seed=2)
    with torch.no_grad():
        outputs, inputs = network(images), network.get_submodule("normalize")(images)
    assert outputs.shape == (30, 256)
    reconstructions = outputs.sigmoid() if loss == "cross_entropy" else outputs
    error = float((reconstructions - inputs.flatten(1)).square().sum(1).mean())
    assert error == pytest.approx(record["replicas"][0]["last_test_error"], rel=1e-5)
    assert record["task"] == "reconstruction"
    _, predictions = read_predictions(directory)
    assert predictions[0].tolist() == [-1] * 30
    assert first_filters_shape(directory) == (9, 1, 16, 16)


def first_filters_shape(directory: Path) -> tuple[int, ...]:
    with np.load(directory / "filters.npz") as arrays:
        return tuple(arrays["filters"].shape)


def test_the_parts_are_named_and_plain(cell: tuple[Path, dict[str, Any]]) -> None:
    network = load(cell[0])
    assert [name for name, _ in network.named_children()] == ["normalize", "network"]
    assert len({parameter.dtype for parameter in network.state_dict().values()}) == 1


@pytest.mark.parametrize("chosen", [0.01, 0.05])
def test_an_omitted_rate_is_the_chosen_one_and_an_omitted_seed_the_lowest(
    cell: tuple[Path, dict[str, Any]], tmp_path: Path, chosen: float
) -> None:
    directory = Path(shutil.copytree(cell[0], tmp_path / "cell"))
    change_result(directory, lambda result: result.update(chosen_lr=chosen))
    for asked, meant in (
        ({}, (0, chosen)),
        ({"seed": 3}, (3, chosen)),
        ({"lr": 0.01}, (0, 0.01)),
        ({"seed": 3, "lr": 0.05}, (3, 0.05)),
    ):
        assert same(load(directory, **asked), load(directory, seed=meant[0], lr=meant[1]))
    assert not same(load(directory, seed=3), load(directory))


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    return tiny.equal(dict(first.state_dict()), dict(second.state_dict()))


@pytest.mark.parametrize("text", [None, "", "{}", '{"schema": 1, "chosen_lr": 0.05}'])
def test_without_a_record_the_only_kept_rate_is_taken_and_several_are_named(
    root: Path, tmp_path: Path, text: str | None
) -> None:
    for keep in ("chosen", "all"):
        directory = tmp_path / "study" / keep
        rates = ("optimizer.lr=[0.01,0.05]", "trainer.max_epochs=1", f"outputs.weights={keep}")
        record = tiny.train_to(directory, root, *rates)
        (directory / "result.json").unlink()
        if text is not None:
            (directory / "result.json").write_text(text, encoding="utf-8")
        if keep == "chosen":
            assert same(load(directory), load(directory, seed=0, lr=record["chosen_lr"]))
        else:
            with pytest.raises(InputError, match="lr=, one of: 0.01, 0.05"):
                load(directory)
            load(directory, lr=0.01)


def test_the_lowest_seed_is_that_of_the_smallest_number(root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "study" / "cell"
    rates = ("optimizer.lr=[1e-05,0.01]", "outputs.weights=all", "trainer.max_epochs=1")
    tiny.train_to(directory, root, "seeds=[2,10]", *rates)
    assert same(load(directory, lr=1e-5), load(directory, seed=2, lr=1e-5))


def test_it_is_offered_by_the_package(cell: tuple[Path, dict[str, Any]]) -> None:
    assert isinstance(study.load(cell[0], seed=3, lr=0.05), torch.nn.Sequential)


@pytest.mark.parametrize("keys", [{"seed": 1}, {"lr": 0.02}, {"seed": 33}, {"seed": 0, "lr": 1}])
def test_an_unknown_replica_is_refused(
    cell: tuple[Path, dict[str, Any]], keys: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="it has: seed=0,lr=0.01"):
        load(cell[0], **keys)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def garbled(path: Path) -> None:
    path.write_bytes(b"not tensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [(truncated, "damaged"), (garbled, "damaged"), (Path.unlink, "kept no weights")],
)
def test_damaged_or_missing_weights_are_named(
    root: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    directory = tmp_path / "study" / "cell"
    tiny.train_to(directory, root, "trainer.max_epochs=1")
    damage(directory / "weights.safetensors")
    with pytest.raises(InputError, match=message) as caught:
        load(directory)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("ran", "again"),
    [
        (
            ["train", "experiment=x", "--failed", "outputs.weights=none", "optimizer.lr=[1,2]"],
            "`study train experiment=x 'optimizer.lr=[1,2]' outputs.weights=chosen`",
        ),
        (["worker", "7"], "`study train ... outputs.weights=chosen`"),
    ],
)
def test_a_cell_that_kept_none_says_how_to_get_them(
    root: Path, tmp_path: Path, ran: list[str], again: str
) -> None:
    directory = tmp_path / "study" / "cell"
    tiny.train_to(directory, root, "trainer.max_epochs=1", "outputs.weights=none")
    command = shlex.join(["study", *ran])
    change_result(directory, lambda result: result["provenance"].update(command=command))
    with pytest.raises(InputError, match="kept no weights.*remove the directory") as caught:
        load(directory)
    assert again in str(caught.value)
    (directory / "result.json").unlink()
    with pytest.raises(InputError, match="not finished"):
        load(directory)


@pytest.mark.parametrize("text", ["", "model: [", "model: {name: mlp}\n", "[]"])
def test_a_damaged_configuration_is_named(root: Path, tmp_path: Path, text: str) -> None:
    directory = tmp_path / "study" / "cell"
    tiny.train_to(directory, root, "trainer.max_epochs=1")
    (directory / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="config.yaml") as caught:
        load(directory)
    assert "\n" not in str(caught.value)


def test_a_directory_that_is_no_cell_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no cell"):
        load(tmp_path)

"""Trained networks out of a cell's directory: plain modules on raw images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

import study
from study.errors import InputError
from study.outputs.load import load

OVERRIDES = ("seeds=[0,3]", "optimizer.lr=[0.01,0.05]", "outputs.weights=all")
MODELS = {
    "mlp": ("norm=batch", "data.normalize=whiten"),
    "cnn": ("model=cnn", "model.channels=[[4],[4]]", "model.head=[8]", "norm=none"),
    "prelu": ("activation=prelu", "data.normalize=binary", "trainer.precision=32-true"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module", params=MODELS)
def cell(root: Path, request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any]]:
    directory = root.parent / request.param / "cell"
    return directory, tiny.train_to(directory, root, *OVERRIDES, *MODELS[request.param])


def test_a_loaded_network_has_the_recorded_test_error(cell: tuple[Path, dict[str, Any]]) -> None:
    directory, record = cell
    images, labels = tiny.pixels(30, seed=2)
    for replica in record["replicas"]:
        network = load(directory, seed=replica["seed"], lr=replica["lr"])
        assert not network.training
        with torch.no_grad():
            outputs = network(images)
        error = float((outputs.argmax(1) != labels).double().mean())
        assert error == pytest.approx(replica["last_test_error"])
        loss = torch.nn.functional.cross_entropy(outputs.double(), labels)
        assert float(loss) == pytest.approx(replica["last_test_loss"], rel=1e-4)
        with torch.no_grad():
            assert torch.equal(outputs, network(images.float()))


def test_the_parts_are_named_and_plain(cell: tuple[Path, dict[str, Any]]) -> None:
    network = load(cell[0])
    assert [name for name, _ in network.named_children()] == ["normalize", "network"]
    assert len({parameter.dtype for parameter in network.state_dict().values()}) == 1


def test_an_omitted_seed_or_rate_is_the_first_kept(cell: tuple[Path, dict[str, Any]]) -> None:
    directory, _ = cell
    for keys in ({}, {"seed": 0}, {"lr": 0.01}):
        first, named = load(directory, **keys), load(directory, seed=0, lr=0.01)
        assert tiny.equal(dict(first.state_dict()), dict(named.state_dict()))
    other = load(directory, seed=3, lr=0.05)
    assert not tiny.equal(dict(other.state_dict()), dict(load(directory).state_dict()))


def test_the_first_replica_is_that_of_the_lowest_seed(root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "study" / "cell"
    rates = ("optimizer.lr=[1e-05,0.01]", "outputs.weights=all", "trainer.max_epochs=1")
    tiny.train_to(directory, root, "seeds=[2,10]", *rates)
    first, named = load(directory), load(directory, seed=2, lr=1e-5)
    assert tiny.equal(dict(first.state_dict()), dict(named.state_dict()))


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

"""Trained networks out of a study or a cell: plain modules on raw images."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import study
from study import networks
from study.errors import InputError
from study.files import read_json, sha256
from study.outputs.cell import read_predictions, read_result
from study.outputs.checkpoint import tensors_sha256
from study.outputs.load import load
from tests import tiny
from tests.interrupted import train_with_kills
from tests.synthetic import change_result, without_best_weights, write_ledger

OVERRIDES = (
    *("seeds=[0,3]", "optimizer.lr=[0.01,0.05]", "outputs.weights=all"),
    "trainer.max_epochs=4",
)
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


def num_wrong(network: torch.nn.Module) -> int:
    """How many of the image folder's 30 test images a network classifies wrongly."""
    images, labels = tiny.pixels(30, seed=2)
    with torch.no_grad():
        return int((network(images).argmax(1) != labels).sum())


def check_errors(directory: Path, replicas: list[dict[str, Any]], epochs: int) -> int:
    """Loads each replica at its best and its last epoch; how often the best is an earlier one.

    Their test errors are those of the record, to the image, and the weights those of its hashes.
    """
    earlier = 0
    for replica in replicas:
        for when, own, hashed in (("best", "", "best_weights_sha256"),
                                  ("last", "last_", "weights_sha256")):  # fmt: skip
            network = load(directory, seed=replica["seed"], lr=replica["lr"], when=when)
            assert num_wrong(network) == round(30 * replica[f"{own}test_error"])
            assert tensors_sha256(network.network.state_dict()) == replica[hashed]
            epoch = epochs if when == "last" else replica["best_epoch"] or epochs
            assert (network.seed, network.lr, network.epoch, network.cell) == (
                replica["seed"], replica["lr"], epoch, directory,
            )  # fmt: skip
        earlier += replica["best_weights_sha256"] != replica["weights_sha256"]
    return earlier


def test_a_loaded_network_has_the_recorded_errors(cell: tuple[Path, dict[str, Any]]) -> None:
    directory, record = cell
    check_errors(directory, record["replicas"], 4)
    images, labels = tiny.pixels(30, seed=2)
    for replica in record["replicas"]:
        network = load(directory, seed=replica["seed"], lr=replica["lr"])
        assert not network.training
        with torch.no_grad():
            outputs = network(images)
            assert torch.equal(outputs, network(images.float()))
        loss = torch.nn.functional.cross_entropy(outputs.double(), labels)
        assert float(loss) == pytest.approx(replica["test_loss"], rel=1e-4)


@pytest.mark.parametrize("engine", ["sequential", "stacked"])
@pytest.mark.parametrize("way", ["at once", "in parts, stopped after each epoch", "seeds raised"])
def test_the_network_of_a_headline_is_kept_however_it_was_trained(
    root: Path, tmp_path: Path, engine: str, way: str
) -> None:
    own = ("optimizer.lr=[0.05,0.4]", "trainer.max_epochs=4", f"population.engine={engine}")
    directory = tmp_path / "study" / "cell"
    if way == "at once":
        tiny.train_to(directory, root, "seeds=3", *own, "outputs.tensorboard=replicas")
    elif way == "seeds raised":
        tiny.train_to(tmp_path / "study" / "first", root, "seeds=2", *own)
        tiny.train_to(directory, root, "seeds=3", *own)
    else:
        parts = ("outputs.tensorboard=none", "population.max_replicas=3")
        assert train_with_kills(directory, root, "seeds=3", *own, *parts) == 8
    record = read_result(directory)
    chosen = [each for each in record["replicas"] if each["lr"] == record["chosen_lr"]]
    assert ["copied_from" in each for each in chosen] == [way == "seeds raised"] * 2 + [False]
    assert chosen[0]["best_epoch"] < 4
    assert check_errors(directory, chosen, 4) >= 1
    _, predictions = read_predictions(directory)
    for each in chosen:
        error = (predictions[each["seed"]] != tiny_test_labels()).mean()
        assert num_wrong(load(directory, seed=each["seed"])) == round(30 * error)


def tiny_test_labels() -> np.ndarray:
    """The labels of the image folder's test images, in its order: by class."""
    return np.sort(tiny.pixels(30, seed=2)[1].numpy())


def test_a_replica_that_diverged_is_that_of_its_last_epoch(root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "study" / "cell"
    record = tiny.train_to(directory, root, "optimizer.lr=1e+30", "trainer.max_epochs=2")
    assert record["replicas"][0]["status"] == "diverged"
    assert load(directory).epoch == load(directory, when="last").epoch == 2


def test_of_an_older_cell_the_last_epoch_is_loaded_and_the_best_only_where_it_is_the_last(
    root: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "study" / "cell"
    record = tiny.train_to(directory, root, *OVERRIDES)
    command = "study train experiment=x outputs.weights=all"
    change_result(directory, lambda result: result["provenance"].update(command=command))
    without_best_weights(directory)
    differ = [each["best_weights_sha256"] != each["weights_sha256"] for each in record["replicas"]]
    assert set(differ) == {True, False}
    for replica, earlier in zip(record["replicas"], differ, strict=True):
        own = {"seed": replica["seed"], "lr": replica["lr"]}
        last = load(directory, **own, when="last")
        assert num_wrong(last) == round(30 * replica["last_test_error"])
        if not earlier:
            assert same(load(directory, **own), last)
            continue
        with pytest.raises(InputError, match="at its last epoch alone .4; the best is [123]") as no:
            load(directory, **own)
        assert "\n" not in str(no.value)
        again = "remove the directory and train the cell again with `study train experiment=x "
        assert f"give when='last', or {again}outputs.weights=chosen`" in str(no.value)


def test_a_network_with_a_forward_of_its_own_is_loaded_with_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Residual(networks.MLP):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first, second = self.blocks
            x = first(x)
            return self.output(x + second(x))

    def build(input_shape: tuple[int, int, int], num_classes: int, **keys: Any) -> Residual:
        return Residual(int(np.prod(input_shape)), num_classes, **keys)

    monkeypatch.setitem(networks.MODELS, "mlp", (build, Residual))
    directory = tmp_path / "study" / "cell"
    own = ("seeds=2", "optimizer.lr=0.5", "trainer.max_epochs=4")
    record = tiny.train_to(directory, root, *own)
    assert isinstance(load(directory).network, Residual)
    assert check_errors(directory, record["replicas"], 4) > 0
    config = (directory / "config.yaml").read_text(encoding="utf-8").replace("- 8", "- 9", 1)
    (directory / "config.yaml").write_text(config, encoding="utf-8")
    digest = sha256(directory / "config.yaml")
    change_result(directory, lambda result: result["files"].update({"config.yaml": digest}))
    with pytest.raises(InputError, match="does not fit the network that this version") as caught:
        load(directory)
    assert "\n" not in str(caught.value)


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
            chosen = load(directory, seed=0, lr=record["chosen_lr"], when="last")
            assert same(load(directory, when="last"), chosen)
            with pytest.raises(InputError, match="which epoch of seed=0,lr=.* was the best"):
                load(directory)
        else:
            with pytest.raises(InputError, match="lr=, one of: 0.01, 0.05"):
                load(directory)
            load(directory, lr=0.01, when="last")


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
    with pytest.raises(InputError, match="neither a study nor a cell"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["config.yaml", "curves.csv", "weights.safetensors"])
def test_what_is_not_the_file_of_the_record_is_not_loaded(
    cell: tuple[Path, dict[str, Any]], tmp_path: Path, name: str
) -> None:
    directory = Path(shutil.copytree(cell[0], tmp_path / "cell"))
    content = bytearray((directory / name).read_bytes())
    content[-1] ^= 1
    (directory / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} is damaged: .*altered") as caught:
        load(directory)
    assert "\n" not in str(caught.value)


LEVELS: dict[str, dict[str, Any]] = {
    "a": {"activation": "relu", "norm": "none", "model.widths": "[8,8]"},
    "b": {"activation": "relu", "norm": "batch", "model.widths": "[8,8]"},
    "c": {"activation": "elu alpha=2", "norm": "batch", "model.widths": "[8,8]", "batch_size": 16},
    "d": {"activation": "relu", "norm": "batch", "model.widths": "[9]"},
}
"""The cells of a study, of which the last is not trained yet."""


@pytest.fixture(scope="module")
def study_dir(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("outputs") / "study"
    tiny.train_to(directory / "a", root, "trainer.max_epochs=1", "seeds=[0,3]")
    for name in "bc":
        shutil.copytree(directory / "a", directory / name)
    write_ledger(
        directory,
        [{"directory": n, "signature": n, "factors": factors} for n, factors in LEVELS.items()],
    )
    return directory


@pytest.mark.parametrize(
    ("levels", "name"),
    [
        ({"norm": "none"}, "a"),
        ({"activation": "elu alpha=2"}, "c"),
        ({"batch_size": np.int64(16)}, "c"),
        ({"batch_size": "16.0"}, "c"),
        ({"batch_size": "(default)", "norm": "none"}, "a"),
        ({"activation": "relu", "norm": "batch", "model.widths": [8, 8]}, "b"),
        ({"activation": "relu", "norm": "batch", "model.widths": "[8,8]"}, "b"),
    ],
)
def test_levels_choose_a_cell_of_a_study(
    study_dir: Path, levels: dict[str, Any], name: str
) -> None:
    network = study.load(study_dir, seed=3, lr=0.05, **levels)
    assert network.cell == study_dir / name
    assert same(network, load(study_dir / name, seed=3))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"activation": "rleu"}, "unknown level of activation 'rleu' (did you mean 'relu'?)"),
    ({"activaton": "relu"}, "unknown factor 'activaton' (did you mean 'activation'?)"),
    ({"sed": 0}, "(did you mean 'seed'?); choose from: activation, norm, model.widths, batch_size"),
    ({"model.widths": [9, 9]}, "unknown level of model.widths '2x9'"),
    ({"norm": None}, "unknown level of norm 'null'; choose from: none, batch"),
    (
        {"norm": "batch"},
        "has 3 cells of norm = batch: choose by activation (relu, elu alpha=2) and "
        "model.widths (2x8, 1x9) and batch_size ((default), 16)",
    ),
    ({"activation": "relu", "norm": "batch"}, "norm = batch: choose by model.widths (2x8, 1x9)"),
    ({}, "has 4 cells: choose by activation (relu, elu alpha=2) and norm (none, batch) and"),
    ({"norm": "none", "batch_size": 16}, "has no cells of norm = none, batch_size = 16; see study"),
    ({"model.widths": [9]}, "d is not trained yet; see study status"),
    ({"norm": "none", "when": "first"}, "unknown epoch 'first'; choose from: best, last"),
    ({"norm": "none", "seed": 1}, "kept no weights of seed=1,lr=0.05; it has: seed=0,lr=0.05"),
]


@pytest.mark.parametrize(("asked", "message"), REFUSED)
def test_levels_of_no_cell_or_of_several_are_refused(
    study_dir: Path, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load(study_dir, **asked)
    assert "\n" not in str(caught.value)


def test_a_cell_is_not_chosen_from(study_dir: Path) -> None:
    with pytest.raises(InputError, match="is not a study but a cell of one; give"):
        load(study_dir / "a", norm="none")


def test_of_a_study_the_ledger_and_one_record_are_read(
    study_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def spy(path: Path) -> dict[str, Any]:
        read.append(str(path.relative_to(study_dir)))
        return read_json(path)

    for module in ("records", "load"):
        monkeypatch.setattr(f"study.outputs.{module}.read_json", spy)
    load(study_dir, norm="none")
    assert read == ["study.json", "a/result.json"]

"""What cannot fit is refused before it is trained."""

import pytest
import torch

from study.errors import InputError
from study.launch import memory
from study.launch.memory import (
    KEPT_COPIES,
    PROBING_COPIES,
    PROCESS_BYTES,
    TRAINING_COPIES,
    CellMemory,
)
from study.networks import build_network
from tests.tiny import config

SHAPE = (1, 16, 16)


@pytest.mark.parametrize(
    "overrides",
    [
        ("norm=batch", "norm.noise=1", "model.dropout=0.5"),
        ("activation=prelu", "trainer.precision=32-true"),
        ("model=cnn", "activation=maxout"),
        ("model.widths=[]",),
    ],
)
def test_a_network_is_as_large_as_its_state(overrides: tuple[str, ...]) -> None:
    model = "cnn" if "model=cnn" in overrides else "mlp"
    asked = config(*[text for text in overrides if text != "model=cnn"], model=model)
    width = 4 if "trainer.precision=32-true" in overrides else 8
    state = build_network(asked.network, SHAPE, 3).state_dict()
    expected = width * sum(value.numel() for value in state.values())
    assert CellMemory(asked, SHAPE, 3).network_bytes == expected


def refusal(monkeypatch: pytest.MonkeyPatch, networks: float, *overrides: str) -> str:
    """What a machine says that has room for so many networks."""
    asked = config("seeds=4", "optimizer.lr=[0.1,1]", *overrides)
    room = int(PROCESS_BYTES + networks * CellMemory(asked, SHAPE, 3).network_bytes)
    monkeypatch.setattr(memory, "machine_bytes", lambda device: room)
    try:
        CellMemory(asked, SHAPE, 3).check(torch.device("cpu"))
    except InputError as error:
        return str(error)
    return ""


def test_the_number_of_replicas_that_fits_is_said_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 8 * TRAINING_COPIES + 8
    assert refusal(monkeypatch, needed) == ""
    for kept, copies in (("chosen", KEPT_COPIES), ("none", 1)):
        keep = f"outputs.weights={kept}"
        for fits in (7, 3, 1):
            room = fits * (TRAINING_COPIES + 1) + (8 - fits) * copies
            said = refusal(monkeypatch, room, keep)
            assert said.startswith("8 replicas at once")
            assert said.endswith(f"set population.max_replicas={fits}")
            assert refusal(monkeypatch, room, keep, f"population.max_replicas={fits}") == ""
            assert refusal(monkeypatch, room, keep, f"population.max_replicas={fits + 1}")


def test_a_cell_whose_weights_alone_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, TRAINING_COPIES + 1 + 3 * KEPT_COPIES + 0.5)
    assert said.endswith("at most 4 fit, with population.max_replicas=1: take fewer seeds")
    assert refusal(monkeypatch, TRAINING_COPIES).endswith("not even one fits")


def test_a_machine_that_does_not_say_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "machine_bytes", lambda device: None)
    CellMemory(config("seeds=1000"), SHAPE, 3).check(torch.device("cpu"))


def test_what_pretrained_layers_are_fed_counts_and_is_refused_with_what_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """16 channels of 28 x 28 after the first layer, for 60,000 images of 3 seeds and one more."""
    asked = config("pretraining=autoencoder", "model.channels=[[16,4]]", model="cnn")
    asked = asked.changed({"seeds": [0, 1, 2], "trainer.precision": "32-true"})
    shape, cpu = (1, 28, 28), torch.device("cpu")
    a_seed = 4 * 16 * 28 * 28 * 60_000
    assert CellMemory(asked, shape, 3).pretraining_bytes(60_000) == 4 * a_seed
    assert CellMemory(config(), shape, 3).pretraining_bytes(60_000) == 0
    monkeypatch.setattr("study.launch.memory.machine_bytes", lambda _: PROCESS_BYTES + 3.5 * a_seed)
    with pytest.raises(InputError, match="set population.max_replicas=2$"):
        CellMemory(asked, shape, 3).check_pretraining(cpu, 60_000)
    fits = asked.changed({"population.max_replicas": 2})
    CellMemory(fits, shape, 3).check_pretraining(cpu, 60_000)


def test_probes_need_what_passes_through_the_layers_of_all_that_are_probed_at_once() -> None:
    asked = ("probes=default", "probes.num_examples=10", "seeds=4", "trainer.threads=2")
    cpu = torch.device("cpu")
    one = 8 * 10 * (8 + 8) * PROBING_COPIES
    assert CellMemory(config(*asked), SHAPE, 3).probing_bytes(cpu) == 2 * one
    assert (
        CellMemory(config(*asked, "population.engine=stacked"), SHAPE, 3).probing_bytes(cpu)
        == 4 * one
    )
    assert (
        CellMemory(config(*asked, "population.max_replicas=1"), SHAPE, 3).probing_bytes(cpu) == one
    )
    assert CellMemory(config("probes=none"), SHAPE, 3).probing_bytes(cpu) == 0


def test_the_number_of_images_that_can_be_probed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, cpu = config("probes=default", "trainer.threads=1"), torch.device("cpu")
    needed = CellMemory(asked, SHAPE, 3).probing_bytes(cpu)
    for share, advice in ((0.5, "set probes.num_examples=512"), (1e-4, "set probes=none")):
        room = int(PROCESS_BYTES + share * needed)
        monkeypatch.setattr(memory, "machine_bytes", lambda device, room=room: room)
        with pytest.raises(InputError, match=advice):
            CellMemory(asked, SHAPE, 3).check_probing(cpu)
    monkeypatch.setattr(memory, "machine_bytes", lambda device: int(PROCESS_BYTES + needed))
    CellMemory(asked, SHAPE, 3).check_probing(cpu)

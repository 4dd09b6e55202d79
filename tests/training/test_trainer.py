"""Lightning's Trainer as every training uses it."""

import pytest
import torch

from study.data.device import device_of
from study.errors import InputError
from study.training.trainer import check_precision, make_trainer, set_tf32
from tests import tiny


def test_float32_is_float32_throughout_but_where_tf32_is_asked_for() -> None:
    products = torch.backends.cuda.matmul
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    for precision, kind in (("tf32", "tf32"), ("32-true", "ieee")):
        make_trainer(tiny.config(f"trainer.precision={precision}"), max_epochs=1)
        assert (products.fp32_precision, convolutions.fp32_precision) == (kind, kind)
    set_tf32(False)


def test_tf32_is_refused_where_no_device_has_it() -> None:
    with pytest.raises(InputError, match="use trainer.precision=32-true"):
        check_precision("tf32", torch.device("cpu"))
    check_precision("tf32", torch.device("cuda"))
    check_precision("32-true", torch.device("cpu"))


def test_auto_is_never_mps_and_an_absent_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device_of("auto").type == "cpu"
    assert device_of("mps").type == "mps"
    with pytest.raises(InputError, match="trainer.accelerator=cuda"):
        device_of("cuda")

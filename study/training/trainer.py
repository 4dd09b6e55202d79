"""Lightning's Trainer as every training here uses it, and the device it trains on."""

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.profilers import AdvancedProfiler, Profiler, SimpleProfiler

from study.config.configuration import Config
from study.data.device import device_of
from study.errors import InputError


def make_trainer(
    config: Config,
    *,
    max_epochs: int,
    callbacks: Sequence[lightning.Callback] = (),
    loggers: Sequence[Logger] = (),
    profiler: Profiler | None = None,
) -> lightning.Trainer:
    """Lightning's Trainer with all that it would write or guess turned off.

    The environment is given, or a Slurm allocation would be taken for distributed training.
    """
    # It says what it found and uses, and that `srun` did not start it, and calls old pytree names.
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "The `srun` command is available")
    warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
    device = device_of(config.trainer.accelerator)
    precision = config.trainer.precision
    set_tf32(precision == "tf32")
    return lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=[device.index] if device.type == "cuda" else 1,
        max_epochs=max_epochs,
        precision=cast("Any", "32-true" if precision == "tf32" else precision),
        deterministic=True,
        plugins=[LightningEnvironment()],
        callbacks=list(callbacks),
        logger=list(loggers) or False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,
        detect_anomaly=config.trainer.detect_anomaly,
        fast_dev_run=config.trainer.fast_dev_run,
        profiler=profiler,
    )


CALLBACKS: dict[str, Callable[[], lightning.Callback]] = {}
"""What makes each callback that `callbacks` may name: the project has none, folders of levels do.
"""


def own_callbacks(config: Config) -> dict[str, lightning.Callback]:
    """The callbacks that a configuration names, made anew; `InputError` for what is none."""
    made = {name: CALLBACKS[name]() for name in config.callbacks}
    for name, callback in made.items():
        if not isinstance(callback, lightning.Callback):
            kind = type(callback).__name__
            raise InputError(f"callbacks={name} makes a {kind}, and no lightning.Callback")
    return made


PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler}


def check_precision(precision: str, device: torch.device) -> None:
    """Raises `InputError` for TF32 elsewhere than on a CUDA device, which alone has it."""
    if precision == "tf32" and device.type != "cuda":
        raise InputError(
            f"trainer.precision=tf32 is for CUDA devices, and this cell trains on {device.type}; "
            "use trainer.precision=32-true"
        )


def set_tf32(allowed: bool) -> None:
    """Whether CUDA multiplies float32 matrices, and convolves, with 10 bits of mantissa.

    PyTorch would by default convolve so and not multiply: here `32-true` is float32 throughout.
    """
    kind = "tf32" if allowed else "ieee"
    torch.backends.cuda.matmul.fp32_precision = kind
    torch.backends.cudnn.conv.fp32_precision = kind  # type: ignore[attr-defined]

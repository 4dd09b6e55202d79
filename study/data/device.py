"""The device and the floating-point type that a configuration asks for."""

import torch

from study.errors import InputError

DTYPES = {
    "32-true": torch.float32,
    "64-true": torch.float64,
    "bf16-mixed": torch.float32,
    "tf32": torch.float32,
}
"""The type of parameters and inputs for each `trainer.precision`."""


def device_of(accelerator: str) -> torch.device:
    """The device that `trainer.accelerator` means: `auto` is CUDA where there is one, else CPU.

    Of several GPUs it is the process's current one, the first unless `own_gpu` chose another.
    """
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available[accelerator]:
        here = ", ".join(name for name, there in available.items() if there)
        raise InputError(f"trainer.accelerator={accelerator}: this machine has none; it has {here}")
    if accelerator == "cuda":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(accelerator)

"""A file of pretrained weights that proves itself, read without torch or with it."""

from pathlib import Path
from typing import Any

from study.outputs.digests import header_sha256
from study.outputs.files import sha256


def read_weights(path: Path, framework: str = "np") -> tuple[dict[str, str], dict[str, Any]]:
    """The header and the tensors of `seed=N.safetensors`, as arrays of NumPy (or torch: "pt").

    ValueError unless it is whole, of the seed in its name, and the curves beside it are its own.
    Of which pretraining it is, its `signature` says.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            header = dict(file.metadata() or {})
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"it cannot be read ({' '.join(str(error).split())})") from None
    if header.get("sha256") != header_sha256(header, state):
        raise ValueError("its content is not what its hash says")
    if path.stem != f"seed={header.get('seed')}":
        raise ValueError(f"it holds the weights of seed {header.get('seed')}")
    curves = path.with_suffix(".csv")
    if not curves.exists():
        raise ValueError(f"the curves beside it, {curves.name}, are missing")
    digest = sha256(curves)
    if header.get("curves_sha256", digest) != digest:
        raise ValueError(f"the curves beside it, {curves.name}, are not those its header names")
    return header, state

"""What stands for the content of tensors: one hash over all of them."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def tensors_sha256(tensors: "Mapping[str, Tensor]", text: str = "") -> str:
    """SHA-256 of a text, then name, type, shape and bytes of each tensor, by name.

    On the CPU; of parameters and buffers by name it is `weights_sha256` of a record.
    """
    import numpy as np

    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.data.cast("B") if array.size else b"")
    return digest.hexdigest()


def header_sha256(header: Mapping[str, str], tensors: "Mapping[str, Tensor]") -> str:
    """What a safetensors file that proves itself holds as `sha256` in its header.

    Over the header without that key, and the tensors.
    """
    lines = (f"{name}={header[name]}\n" for name in sorted(header.keys() - {"sha256"}))
    return tensors_sha256(tensors, "".join(lines))

"""First-layer weights as images."""

from typing import Any

MOST = 64


def filter_images(weight: Any, input_shape: tuple[int, int, int]) -> Any:
    """Up to 64 filters of a first layer's weight, as uint8 [n, C, H, W].

    weight: a NumPy array [out, in] or [out, in, height, width]; `input_shape` is what a dense
    layer's rows are shown as. Each is on its own scale, symmetric about 0 at 128; a weight that is
    not finite is shown as 0.
    """
    import numpy as np

    first = weight[:MOST].astype(np.float64)
    shape = first.shape[1:] if first.ndim == 4 else input_shape
    filters = np.nan_to_num(first.reshape(len(first), *shape), posinf=0.0, neginf=0.0)
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    scaled = np.divide(filters, largest, out=np.zeros_like(filters), where=largest > 0)
    return np.round(128 + 127 * scaled).astype(np.uint8)

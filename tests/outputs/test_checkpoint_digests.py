"""Hashes over tensors."""

import torch

from study.outputs.checkpoint import tensors_sha256


def test_a_hash_of_weights_sees_names_shapes_types_and_values() -> None:
    base = {"a": torch.zeros(2, 3), "b": torch.ones(4)}
    variants = [
        {"a": torch.zeros(3, 2), "b": torch.ones(4)},
        {"a": torch.zeros(2, 3).double(), "b": torch.ones(4)},
        {"c": torch.zeros(2, 3), "b": torch.ones(4)},
        {"a": torch.zeros(2, 3), "b": torch.ones(4).nextafter(torch.tensor(2.0))},
        {"a": -torch.zeros(2, 3), "b": torch.ones(4)},
    ]
    digests = {tensors_sha256(state) for state in [base, *variants]}
    assert len(digests) == 6
    assert tensors_sha256(dict(reversed(base.items()))) == tensors_sha256(base)

"""Factors: what sets cells apart has a name, in tables and directories."""

import functools
import itertools

import pytest

from study.config.compose import Composed, compose_cell, hydra_ready
from study.config.configuration import (
    directory_name,
    factors,
    level_name,
    signature,
    with_fingerprint,
)
from study.config.keys import GROUPS, NUISANCE


@functools.cache
def composed(*overrides: str) -> Composed:
    with hydra_ready():
        return compose_cell([text for text in overrides if text])


def test_a_level_is_named_by_what_differs_from_its_file() -> None:
    one = composed("activation=leaky_relu", "activation.slope=0.01")
    assert level_name("activation", "leaky_relu", one.config.activation.level) == (
        "leaky_relu slope=0.01"
    )
    assert factors(one.config.mapping, one.choices)["activation"] == "leaky_relu slope=0.01"
    same = composed("activation=leaky_relu", "activation.slope=0.1")
    assert factors(same.config.mapping, same.choices)["activation"] == "leaky_relu"
    two = composed("model.widths=[8,8]", "model.dropout=0.5", "data.root=some/where")
    named = factors(two.config.mapping, two.choices)
    assert named["model"] == "mlp widths=[8,8] dropout=0.5"
    assert named["data"] == "mnist root=where"


def test_where_a_cache_is_kept_is_part_of_no_name_and_no_signature() -> None:
    one = composed("data=image_folder", "data.root=a/birds")
    two = composed("data=image_folder", "data.root=a/birds", "data.cache=some/where")
    assert two.config.data.cache == "some/where"
    assert factors(two.config.mapping, two.choices) == factors(one.config.mapping, one.choices)
    assert signature(two.config.mapping, "ab" * 32) == signature(one.config.mapping, "ab" * 32)


def test_a_key_swept_on_its_own_is_a_factor_of_its_own() -> None:
    cell = composed("model.widths=[8,8]", "model.dropout=0.5", "data.root=some/where")
    named = factors(cell.config.mapping, cell.choices, {"model.widths", "data.root", "batch_size"})
    assert named["model"] == "mlp dropout=0.5"
    assert named["model.widths"] == "[8,8]"
    assert (named["data"], named["data.root"]) == ("mnist", "where")
    usual = composed("")
    assert (
        factors(usual.config.mapping, usual.choices, {"model.widths"})["model.widths"]
        == "[128,128,128]"
    )


@pytest.mark.parametrize("swept", [set(), {"data.root"}])
def test_folders_of_one_name_are_told_apart(swept: set[str]) -> None:
    cell = composed("data=image_folder", "data.root=a/my images", "data.flip=true")
    plain = factors(cell.config.mapping, cell.choices, swept)
    one, two = (
        with_fingerprint(plain, cell.config.mapping, digest * 32) for digest in ("ab", "cd")
    )
    name = "data.root" if swept else "data"
    shown = "my images#ababab" if swept else "image_folder root=my images#ababab flip=true"
    assert one[name] == shown
    assert {key for key in one if one[key] != two[key]} == {name}
    mnist = composed("data.root=a/b")
    plain = factors(mnist.config.mapping, mnist.choices)
    assert with_fingerprint(plain, mnist.config.mapping, "ab" * 32) == plain


CHANGES = [
    [f"activation={level}" for level in ("relu", "leaky_relu", "prelu")],
    ["", "activation.slope=0.25", "activation.slope=0.1", "activation.slope=1"],
    ["", "model.widths=[8]", "model.widths=[8,8]", "model.widths=[]"],
    ["", "optimizer.lr=[0.1]", "optimizer.momentum=0.9", "optimizer.momentum=0.5"],
    ["", "batch_size=64", "input_noise=0.5", "streams.order=0", "loss=squared_error"],
    ["", "trainer.threads=1", "outputs.weights=none", "study=other"],
]


def test_equal_factors_are_equal_signatures_and_other_factors_other_ones() -> None:
    seen: dict[str, str] = {}
    for combination in itertools.islice(itertools.product(*CHANGES), 0, None, 71):
        if "slope" in combination[1] and combination[0] == "activation=relu":
            continue
        cell = composed(*combination)
        named = str(factors(cell.config.mapping, cell.choices))
        digest = signature(cell.config.mapping, "data")
        assert seen.setdefault(named, digest) == digest
    assert len(set(seen.values())) == len(seen) > 20


def test_seeds_and_learning_rates_are_no_factors() -> None:
    cell = composed("")
    named = factors(cell.config.mapping, cell.choices)
    assert not set(NUISANCE) & set(named)
    assert set(GROUPS) <= set(named)
    assert {"batch_size", "loss", "trainer.max_epochs", "streams.order"} <= set(named)
    other = composed("seeds=1", "optimizer.lr=[0.5,1]")
    assert factors(other.config.mapping, other.choices) == named


def test_a_directory_is_named_by_its_levels_and_its_signature() -> None:
    cell = composed("activation=tanh", "init=normal", "norm=batch")
    digest = signature(cell.config.mapping, "data")
    assert directory_name(cell.choices, digest) == f"mnist-mlp-tanh-normal-batch-{digest[:8]}"
    assert directory_name({**cell.choices, "pretraining": "rbm"}, digest).endswith(
        f"-rbm-{digest[:8]}"
    )

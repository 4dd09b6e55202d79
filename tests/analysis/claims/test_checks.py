"""What a launch says of its claims before anything is trained."""

from collections.abc import Sequence
from typing import Any

import pytest

from study.analysis.claims import check_claims
from study.config.compose import hydra_ready
from study.config.sweep import Plan, plan
from study.errors import InputError
from tests.claim_studies import claim

SWEEP = ("norm=none,batch", "activation=relu,leaky_relu slope=0.5", "model.widths=[8],[8,8]")


def planned(*overrides: str, multirun: bool = True) -> Plan:
    with hydra_ready():
        return plan(overrides, multirun=multirun)


@pytest.fixture(scope="module")
def swept() -> Plan:
    quoted = [text.replace("leaky_relu slope=0.5", "'leaky_relu slope=0.5'") for text in SWEEP]
    return planned(*quoted, "seeds=3", "optimizer.lr=[0.1,1]")


def check(launch: Plan, *claims: Any, axes: dict[str, Any] | None = None) -> Sequence[str]:
    return check_claims(claims, launch.cells, axes or {})


SOUND: list[dict[str, Any]] = [
    {},
    {"cells": {"norm": "batch"}},
    {"cells": {"norm": "batch", "activation": ["relu", "leaky_relu"]}},
    {"cells": {"norm": "batch", "activation": "leaky_relu slope=0.5", "model.widths": [8, 8]}},
    {"cells": {"norm": "batch", "lr": 1}, "against": {"lr": 0.1}},
    {"cells": {"norm": "batch", "batch_size": 128}},
    {"measure": "range over levels", "over": "activation", "cells": {"norm": "batch"}},
    {"cells": {"model.widths": [[8], [8, 8]], "norm": "batch"}},
]


@pytest.mark.parametrize("changes", SOUND)
def test_a_sound_claim_passes_without_a_word(swept: Plan, changes: dict[str, Any]) -> None:
    assert check(swept, claim(**changes)) == []


WRONG: dict[str, dict[str, Any]] = {
    "claim better: unknown factor 'norms' (did you mean 'norm'?); choose from: activation, norm": {
        "cells": {"norms": "batch"},
        "against": {"norms": "none"},
    },
    "claim better: unknown level of norm 'bach' (did you mean 'batch'?); choose from: none": {
        "cells": {"norm": "bach"}
    },
    "claim better: unknown level of norm 'nune' (did you mean 'none'?)": {
        "against": {"norm": "nune"}
    },
    "claim better: unknown level of model.widths '1x9' (did you mean '1x8'?)": {
        "cells": {"norm": "batch", "model.widths": [9]}
    },
    "claim better: unknown factor 'inits'": {"measure": "range over levels", "over": "inits"},
    "claim better: unknown measure 'diff'": {"measure": "diff"},
    "claim better: it has no source": {"source": None},
}


@pytest.mark.parametrize("line", WRONG)
def test_a_name_that_nothing_has_stops_the_launch(swept: Plan, line: str) -> None:
    with pytest.raises(InputError) as caught:
        check(swept, claim(**WRONG[line]))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_a_launch_may_leave_out_levels_of_its_file(swept: Plan) -> None:
    axes = {"norm": ["none", "batch", "batch position=after"]}
    after = claim(cells={"norm": "batch position=after"})
    assert check(swept, after, axes=axes) == [
        "claim better is not decidable by this launch: no cell has norm=batch position=after"
    ]
    with pytest.raises(InputError, match="choose from: none, batch"):
        check(swept, after)


def test_combinations_that_no_cell_has_are_warned_of() -> None:
    few = planned("norm=none,batch", "sweep.exclude=[{norm: batch}]", "activation=relu,tanh")
    warnings = check(few, claim(), axes={"norm": ["none", "batch"]})
    assert warnings == [
        "claim better is not decidable by this launch: no cell has norm=batch, activation=relu"
    ]


def test_one_seed_is_warned_of() -> None:
    one = planned("norm=none,batch", "seeds=1")
    assert check(one, claim()) == [
        "no claim is decidable with 1 seed: an interval needs at least 2"
    ]
    assert check(one) == []


def test_the_unit_of_an_error_is_that_of_the_task() -> None:
    rebuilt = planned("model=autoencoder", "norm=none,batch", "data.normalize=unit", "seeds=2")
    assert check(rebuilt, claim(cells={"norm": "batch"}, expect="lower by 2")) == []
    with pytest.raises(InputError, match="the effect is a bare number: write 'lower by 2'"):
        check(rebuilt, claim(cells={"norm": "batch"}))


def test_part_of_an_experiment_can_be_launched() -> None:
    launch = planned("experiment=quickstart", "activation=relu", multirun=False)
    claims = launch.base.config.claims
    warnings = check_claims(claims, launch.cells, launch.base.axes)
    assert warnings
    assert all("no cell has" in line and "activation=" in line for line in warnings)

"""Golden weights: what trains today gives the same weights tomorrow, or RECIPE is raised.

Print new numbers with `python tests/laws/test_golden.py`.
"""

import pytest
import torch

from study.config.configuration import RECIPE
from tests import tiny

MESSAGE = "results changed: raise RECIPE in study/config/configuration.py and renew these numbers"
CASES: dict[str, tuple[str, ...]] = {
    "mlp": ("mlp", "model.dropout=0.2", "input_noise=0.1"),
    "mlp batch": ("mlp", "norm=batch", "norm.noise=0.5", "optimizer=adamw", "optimizer.lr=0.01"),
    "cnn": ("cnn", "model.channels=[[4],[4]]", "model.head=[8]", "data.flip=true", "data.crop=2",
            "init=lsuv", "activation=gelu", "schedule=cosine"),
    "maxout": ("mlp", "activation=maxout", "loss=squared_error", "init=orthogonal",
               "optimizer=rmsprop", "optimizer.lr=0.001", "norm=batch", "norm.evaluation=batch"),
}  # fmt: skip
GOLDEN: dict[str, list[float]] = {
    "mlp": [
        0.1468612139618688,
        0.10229274655725663,
        -0.14461303939822,
        0.5767764359199172,
        -1.1376347315940012,
        -0.03336989279539717,
        0.34716779455072,
        0.6072684868918035,
        0.14,
    ],
    "mlp batch": [
        0.11731745608928174,
        0.06519212094988802,
        -0.1753113762554073,
        0.7095681371706727,
        -1.1377679897120399,
        0.01743784295327075,
        0.3604987818866594,
        0.526550133394255,
        0.12,
    ],
    "cnn": [
        -0.5917393143168972,
        -0.2604753256959838,
        0.3605195846806134,
        0.8559186301104759,
        -0.384399859057331,
        -0.07525027432704302,
        1.067468471769457,
        1.0438563994747314,
        0.54,
    ],
    "maxout": [
        -0.091576308198488,
        0.1116994652736367,
        0.02522012718057234,
        0.32580828204822704,
        0.15086880174128914,
        -0.04456462375383846,
        0.841048771825516,
        1.6517853822425632,
        0.42,
    ],
}
GOLDEN_RECIPE = 1


def measured(case: str) -> list[float]:
    """Some weights after training, then the results of the best epoch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model, *overrides = CASES[case]
        population = tiny.train(tiny.config(*overrides, model=model))
    finally:
        torch.set_num_threads(threads)
    state = population.last_state(0)
    last = list(state["output.weight"].flatten()[:3]) + list(state["output.bias"][:1])
    first = next(value for value in state.values() if value.ndim > 1).flatten()[:2]
    best = population.evaluations["best"]
    numbers = [*first, *last, best["train"].loss[0], best["test"].loss[0], best["test"].error[0]]
    return [float(number) for number in numbers]


@pytest.mark.parametrize("case", CASES)
def test_golden_numbers(case: str) -> None:
    assert measured(case) == pytest.approx(GOLDEN[case], rel=1e-9, abs=1e-9), MESSAGE


def test_the_numbers_are_of_this_recipe() -> None:
    assert RECIPE == GOLDEN_RECIPE, "RECIPE was raised: renew the golden numbers"


if __name__ == "__main__":
    for name in CASES:
        print(f'    "{name}": [')
        print("".join(f"        {number!r},\n" for number in measured(name)) + "    ],")

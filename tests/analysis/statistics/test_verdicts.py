"""The rule of verdicts, and by simulation that it is wrong in at most one file of twenty."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtr
from statsmodels.stats.weightstats import ttost_paired

from study.analysis.statistics.corrections import Bounds
from study.analysis.statistics.intervals import mean_and_error
from study.analysis.statistics.verdicts import Effect, Judgement, Kind, _judge_same, judge

NUM_FILES = 3_000
ALLOWED = 0.05 + 3 * np.sqrt(0.05 * 0.95 / NUM_FILES)
kinds: st.SearchStrategy[Kind] = st.sampled_from(["greater", "at least", "same"])
claims = st.builds(
    Effect,
    st.floats(-9, 9),
    st.floats(0.1, 3),
    st.integers(1, 20),
    st.floats(0.1, 3),
    kinds,
    st.just(False),
)


def measured(values: np.ndarray, smallest: float = 0.0, kind: Kind = "greater") -> Effect:
    mean, error = mean_and_error(values.tolist())
    assert error is not None
    return Effect(mean, error, len(values) - 1, smallest, kind)


class Numbers(NamedTuple):
    """What a judgement with spread says in numbers."""

    low: float
    high: float
    p: float


def numbers(judged: Judgement) -> Numbers:
    """The numbers of a judgement that has some."""
    assert judged.low is not None
    assert judged.high is not None
    assert judged.p is not None
    return Numbers(judged.low, judged.high, judged.p)


def files(num_claims: int, truth: float, *, shared: bool) -> np.ndarray:
    """Effects of seeds (shape [files, claims, seeds]); `shared`: the claims have a cell in common.

    With a cell in common they are as correlated as differences to one baseline are.
    """
    draw = np.random.default_rng(num_claims)
    values = draw.normal(size=(NUM_FILES, num_claims, 5))
    baseline = draw.normal(size=(NUM_FILES, 1, 5)) if shared else np.zeros((1, 1, 1))
    return values - baseline + truth


def share(values: np.ndarray, smallest: float, kind: Kind, wrong: Sequence[str]) -> float:
    """Of how many files some verdict is among `wrong`."""
    found = 0
    for file in values:
        judged = judge([measured(row, smallest, kind) for row in file])
        found += any(judgement.outcome in wrong for judgement in judged)
    return found / len(values)


@pytest.mark.parametrize("num_claims", [1, 5, 25])
@pytest.mark.parametrize("smallest", [0.0, 0.5])
def test_where_nothing_differs_few_files_support_a_claim(num_claims: int, smallest: float) -> None:
    values = files(num_claims, 0.0, shared=False)
    rate = share(values, smallest, "greater", ["supported"])
    print(f"{num_claims} claims, d={smallest}: a file supports one {rate:.2%} of the time")
    assert rate <= ALLOWED
    if not smallest:
        assert rate > 0.01  # the test is not idle


def test_claims_that_share_a_cell_are_wrong_no_more_often() -> None:
    assert share(files(5, 0.0, shared=True), 0.0, "greater", ["supported"]) <= ALLOWED


@pytest.mark.parametrize(
    ("kind", "truth", "wrong"),
    [
        ("greater", 0.0, ["supported", "refuted"]),
        ("at least", -0.5, ["supported", "refuted"]),
        ("same", 0.5, ["supported"]),
        ("same", -0.5, ["refuted"]),
    ],
)
def test_at_the_border_of_every_rule_few_files_have_a_wrong_verdict(
    kind: Kind, truth: float, wrong: list[str]
) -> None:
    smallest = 0.0 if kind == "greater" else 0.5
    assert share(files(5, truth, shared=False), smallest, kind, wrong) <= ALLOWED


def test_a_planted_effect_is_found_among_24_that_are_none() -> None:
    values = files(25, 0.0, shared=False)[:200]
    values[:, 7] += 12.0
    outcomes = [[j.outcome for j in judge([measured(row, 1.0) for row in file])] for file in values]
    assert np.mean([file[7] == "supported" for file in outcomes]) > 0.95
    others = [outcome for file in outcomes for outcome in file[:7] + file[8:]]
    assert others.count("supported") / len(others) < 0.005


def test_a_planted_sameness_is_found_and_a_planted_difference_refutes_it() -> None:
    values = 0.05 * files(5, 0.0, shared=False)[:200]
    same = [judge([measured(row, 1.0, "same") for row in file]) for file in values]
    far = [judge([measured(row + 3, 1.0, "same") for row in file]) for file in values]
    assert {judgement.outcome for file in same for judgement in file} == {"supported"}
    assert {judgement.outcome for file in far for judgement in file} == {"refuted"}


def open_ended(values: np.ndarray, end: float) -> Effect:
    """The effect of values of which nothing is known beyond `end` but that they lie there."""
    return measured(np.minimum(values, end))._replace(is_bound=bool((values > end).any()))


@pytest.mark.parametrize("num_claims", [1, 5, 25])
@pytest.mark.parametrize("end", [0.35, 0.5])
def test_normal_effects_that_are_cut_off_are_supported_no_more_often(
    num_claims: int, end: float
) -> None:
    values = np.random.default_rng(0).standard_normal((400, num_claims, 3))
    outcomes = [[j.outcome for j in judge([open_ended(row, end) for row in f])] for f in values]
    assert np.mean(["supported" in file for file in outcomes]) <= ALLOWED


@given(st.lists(claims, min_size=1, max_size=6), st.lists(claims, max_size=3), st.integers(0, 5))
def test_bounds_never_widen_when_another_claim_gets_its_effect(
    family: list[Effect], later: list[Effect], others: int
) -> None:
    size = len(family) + len(later) + others
    before, after = judge(family, family=size), judge([*family, *later], family=size)
    for first, then in zip(before, after, strict=False):
        assert numbers(first).low <= numbers(then).low
        assert numbers(then).high <= numbers(first).high
        assert numbers(then).p <= numbers(first).p
        assert first.outcome in (then.outcome, "undecided")


@given(st.lists(claims, min_size=1, max_size=6), claims)
def test_without_spread_nothing_is_decided_but_the_family_counts(
    family: list[Effect], equal: Effect
) -> None:
    *rest, judged = judge([*family, equal._replace(standard_error=0.0)])
    assert judged == Judgement("undecided")
    assert rest == judge(family, family=len(family) + 1)


def expected(effect: Effect, judged: Judgement) -> str:
    """The rule in the words of the claim's kind."""
    d, (low, high, _) = effect.smallest, numbers(judged)
    if effect.kind == "greater":
        supported, refuted = low > 0 and effect.estimate >= d, high < d
    elif effect.kind == "at least":
        supported, refuted = low > -d, high < -d
    else:
        supported, refuted = -d < low and high < d, low > d or high < -d
    return "supported" if supported else "refuted" if refuted else "undecided"


@given(st.lists(claims, min_size=1, max_size=8))
def test_every_verdict_follows_from_the_bounds_beside_it(family: list[Effect]) -> None:
    for effect, judged in zip(family, judge(family), strict=True):
        low, high, p = numbers(judged)
        assert low < effect.estimate < high
        assert judged.outcome == expected(effect, judged)
        if judged.outcome == "supported":
            assert p <= 0.05
        enough = effect.kind != "greater" or effect.estimate >= effect.smallest
        assert (p <= 0.05 and enough) == (judged.outcome == "supported")


def rejected(pvalues: list[float], alpha: float) -> list[bool]:
    """Holm's procedure as he states it: from the smallest p on, until the first that is above."""
    found = [False] * len(pvalues)
    for place, index in enumerate(np.argsort(pvalues, kind="stable")):
        if pvalues[index] > alpha / (len(pvalues) - place):
            break
        found[index] = True
    return found


def one_sided(effect: Effect) -> tuple[float, float]:
    """The p of what supporting a claim rejects, and of what refuting it rejects."""
    d = effect.smallest

    def below(threshold: float) -> float:
        return stdtr(effect.degrees, (effect.estimate - threshold) / effect.standard_error)

    def above(threshold: float) -> float:
        return stdtr(effect.degrees, (threshold - effect.estimate) / effect.standard_error)

    if effect.kind == "greater":
        return above(0), below(d)
    if effect.kind == "at least":
        return above(-d), below(-d)
    return max(above(-d), below(d)), min(1, 2 * min(below(-d), above(d)))


near_borders = st.builds(
    lambda claim, border, errors: claim._replace(
        estimate=border * claim.smallest + errors * claim.standard_error
    ),
    claims,
    st.sampled_from([-1, 0, 1]),
    st.floats(-6, 6),
)


@settings(max_examples=200)
@given(st.lists(near_borders, min_size=1, max_size=4))
def test_verdicts_are_two_families_of_one_sided_tests_by_holm(family: list[Effect]) -> None:
    support, against = map(list, zip(*map(one_sided, family), strict=True))
    outcomes = [judged.outcome for judged in judge(family)]
    enough = [each.kind != "greater" or each.estimate >= each.smallest for each in family]
    supported = [a and b for a, b in zip(rejected(support, 0.025), enough, strict=True)]
    assert [each == "supported" for each in outcomes] == supported
    refuted = [a and not b for a, b in zip(rejected(against, 0.025), supported, strict=True)]
    assert [each == "refuted" for each in outcomes] == refuted


@given(st.lists(claims, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_claims_changes_nothing(family: list[Effect], random: object) -> None:
    order = sorted(range(len(family)), key=lambda _: random.random())  # type: ignore[attr-defined]
    shuffled = judge([family[place] for place in order])
    assert shuffled == [judge(family)[place] for place in order]


@given(st.lists(claims, min_size=1, max_size=6), claims)
def test_a_further_claim_never_decides_another(family: list[Effect], further: Effect) -> None:
    for alone, together in zip(judge(family), judge([*family, further]), strict=False):
        assert numbers(together).p >= numbers(alone).p - 1e-12
        if together.outcome != "undecided" and alone.outcome != together.outcome:
            pytest.fail(f"{alone} became {together}")


def test_one_claim_of_sameness_is_a_tost_at_half_of_alpha() -> None:
    draw = np.random.default_rng(0)
    for scale in (0.1, 0.3, 0.5, 1.0):
        values = scale * draw.normal(size=6)
        (judged,) = judge([measured(values, 0.4, "same")])
        p = ttost_paired(values, np.zeros(6), -0.4, 0.4)[0]
        assert judged.p == pytest.approx(min(1, 2 * p))
        assert (judged.outcome == "supported") == (p < 0.025)


def test_a_difference_below_d_is_never_support_however_certain() -> None:
    (judged,) = judge([Effect(0.9, 1e-6, 4, 1.0)])
    assert judged.outcome == "refuted"
    (judged,) = judge([Effect(0.9, 0.05, 4, 1.0)])
    assert judged.outcome == "undecided"


@pytest.mark.parametrize(
    ("within", "outside", "outcome"),
    [
        (Bounds(-1.0, 0.5), Bounds(-2.0, 2.0), "undecided"),
        (Bounds(-0.5, 1.0), Bounds(-2.0, 2.0), "undecided"),
        (Bounds(-0.5, 0.5), Bounds(-2.0, 2.0), "supported"),
        (Bounds(0.5, 3.0), Bounds(1.0, 3.0), "undecided"),
        (Bounds(-3.0, -0.5), Bounds(-3.0, -1.0), "undecided"),
        (Bounds(0.5, 3.0), Bounds(1.5, 3.0), "refuted"),
    ],
)
def test_a_bound_on_the_border_of_sameness_decides_nothing(
    within: Bounds, outside: Bounds, outcome: str
) -> None:
    assert _judge_same(1.0, within, outside, 0.5).outcome == outcome


def test_what_matters_must_be_more_than_nothing() -> None:
    with pytest.raises(ValueError, match="above 0"):
        judge([Effect(1.0, 1.0, 4, 0.0, "same")])
    with pytest.raises(ValueError, match="0 or above"):
        judge([Effect(1.0, 1.0, 4, -1.0)])
    assert judge([]) == []

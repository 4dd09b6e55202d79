"""Verdicts: every claim of a study's file, decided from its saved outputs as one family."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from study.analysis.claims.cells import RATE, known_levels, matches, resolved, where_text
from study.analysis.claims.measures import MEASURES, check_claim
from study.analysis.claims.quantities import MINUS, OF_PAIRS
from study.analysis.claims.quantity import NotDecidableError, Quantity
from study.analysis.claims.question import Effect, Question
from study.analysis.claims.schema import PREFLIGHT, Claim, check_unit, claim_name, parse_claim
from study.analysis.frames import Frames
from study.analysis.origins import by_origin
from study.analysis.parts import Outcome, Verdict
from study.analysis.statistics import verdicts as rules
from study.analysis.statistics.intervals import mean_and_error
from study.config.keys import GROUPS
from study.config.labels import counted
from study.errors import InputError
from study.outputs.factors import DEFAULT_LEVEL, cell_level
from study.outputs.provenance import launch_overrides
from study.outputs.records import CellRecord, Ledger

# What a claim may set against each other: errors of the same images alone.


def require_one_origin(question: Question) -> None:
    """NotDecidableError where errors of several data or splits are set against each other.

    The two differences of a difference of differences are each of one origin, and may be of two.
    """
    if not question.claim.is_of_data:
        return
    for wheres in question.claim.compared:
        outer = [{f: levels for f, levels in each.items() if f != RATE} for each in wheres]
        cells = [c for c in question.frames.finished if any(matches(c, each) for each in outer)]
        origins = by_origin(cells)
        if len(origins) > 1:
            (first, (one, *_)), (second, (other, *_)) = list(origins.items())[:2]
            raise NotDecidableError(
                "errors of other images are not compared: "
                f"{one.directory} has {first.words}, {other.directory} {second.words}"
            )


# The command that trains again the cells which decide a claim, and no others.


OWN_NAMES = ("study", "outputs_dir")
Levels = Mapping[str, Sequence[str]]


def rerun_command(frames: Frames, known: Levels, cells: Sequence[CellRecord]) -> str:
    """Trains the cells' combinations of levels, as a study of its own.

    The launch that the cells were trained by, narrowed to their levels; that of the experiment's
    file where they were not all trained by one launch. Without `cells`, the study's own launch,
    which trains what is not finished. `known`: all levels of each factor.
    """
    trained = cells or frames.finished
    commands = {cell.result.provenance.command if cell.result else None for cell in trained}
    given = launch_overrides(commands.pop()) if len(commands) == 1 else None
    if given is None:
        name = (frames.ledger.experiment or {}).get("name")
        given = [f"experiment={name}"] if name else []
    narrowed = {}
    for factor, every in known.items():
        found = {cell_level(cell, factor) for cell in cells} if factor != RATE else set()
        levels = [level for level in every if level in found and level != DEFAULT_LEVEL]
        if levels and len(levels) < len(every):
            # One with keys of its own stands in quotes, as Hydra takes it.
            if factor in GROUPS:
                levels = [f"'{level}'" if " " in level else level for level in levels]
            narrowed[factor] = f"{factor}={','.join(levels)}"
    kept = [text for text in given if text.partition("=")[0] not in (*OWN_NAMES, *narrowed)]
    if not any(text.startswith("experiment=") for text in kept) and "-m" not in kept:
        kept.insert(0, "-m")
    own = [f"study={frames.name}_again" if cells else f"study={frames.name}"]
    return shlex.join(["study", "train", *kept, *own, *narrowed.values()])


# What a claim's effect is, in words: `test error: norm=none minus norm=batch; init=normal`.


def measure_words(claim: Claim, quantity: Quantity) -> str:
    """The effect in the direction in which it is counted, and the levels of the cells."""
    parts = [f"{MEASURES[claim.measure].words}{quantity.label}"]
    if claim.partner:
        parts[0] += f" with {claim.partner}"
    if claim.over:
        parts[0] += f" over the levels of {claim.over}"
    if claim.within is not None:
        parts[0] += f", within {claim.within:g} {quantity.unit}".rstrip() + " of the best"
    if sides := _sides(claim):
        parts[0] += f": {sides}"
    elsewhere = claim.elsewhere or {}
    if elsewhere:
        parts.append(f"that with {_of(claim, elsewhere)} minus that with {where_text(elsewhere)}")
    named = {*(claim.against or ()), *elsewhere}
    rest = {factor: levels for factor, levels in claim.cells.items() if factor not in named}
    return "; ".join([*parts, where_text(rest)] if rest else parts)


def _sides(claim: Claim) -> str:
    if claim.against:
        first, second = _of(claim, claim.against), where_text(claim.against)
    elif claim.predicted is not None:
        number = f"{claim.predicted:g}" if isinstance(claim.predicted, float) else claim.predicted
        number = "the pre-flight's" if number == PREFLIGHT else number
        first, second = "measured", f"predicted ({number})"
    else:
        return ""
    if claim.expect.sign < 0:
        first, second = second, first
    return f"{first} {MEASURES[claim.measure].joint} {second}"


def _of(claim: Claim, replaced: object) -> str:
    """The levels of `cells` that are replaced."""
    assert isinstance(replaced, dict)
    return where_text({factor: claim.cells[factor] for factor in replaced})


@dataclass(frozen=True)
class _Asked:
    """A claim that was put to the study: its effect, or the reason why there is none."""

    value: Any
    place: int
    claim: Claim | None = None
    question: Question | None = None
    effect: Effect | None = None
    reason: str = ""


def decide(frames: Frames) -> tuple[Verdict, ...]:
    """A verdict for each claim in the study's ledger, in its order.

    Effects and bounds are in the direction that a claim expects: `lower by` of what is 3 lower
    has the effect 3. Bounds and p are adjusted over all claims, so that none widens when a study
    goes on. A claim that is not decidable says why: a cell that is not finished, one seed alone.
    """
    known = known_levels(frames.cells, frames.factors)
    values = enumerate(frames.ledger.claims, 1)
    asked = [_ask(frames, known, value, place) for place, value in values]
    decidable = [each for each in asked if each.effect]
    found = rules.judge([_estimated(each) for each in decidable], family=len(asked))
    judged = {each.place: each_found for each, each_found in zip(decidable, found, strict=True)}
    return tuple(_verdict(frames, known, each, judged.get(each.place)) for each in asked)


def _ask(frames: Frames, known: Levels, value: Any, place: int) -> _Asked:
    """The claim and its effect, in the direction that the claim expects."""
    asked = _Asked(value, place)
    try:
        claim = parse_claim(value, place)
        check_claim(claim)
        asked = replace(asked, claim=claim)
        claim = with_whole_names(claim, known)
        asked = replace(asked, claim=claim)
        where = {f: levels for f, levels in claim.cells.items() if f in frames.factors}
        tasks = sorted({cell.finished.task for cell in frames.finished if matches(cell, where)})
        quantity = claim.quantity
        if len(tasks) > 1 and quantity.of_data:
            raise NotDecidableError(
                f"{claim.of} is not one thing in cells of {' and '.join(tasks)}"
            )
        quantity = quantity.of_task(tasks[0]) if tasks else quantity
        if tasks:
            check_unit(claim.expect, MEASURES[claim.measure].unit(quantity.unit))
        question = Question(frames, claim, quantity)
        asked = replace(asked, question=question)
        require_one_origin(question)
        effect = MEASURES[claim.measure].effect(question)
        fewest = 3 if _is_of_neighbours(question) else 2
        if len(effect.values) < fewest:
            of = "pair" if fewest > 2 else "seed"
            shared = counted(len(effect.values), of)
            raise NotDecidableError(
                f"its cells share {shared}: an interval needs at least {fewest}"
            )
        sign = claim.expect.sign
        oriented = {seed: sign * value + 0.0 for seed, value in effect.values.items()}
        cells = tuple({cell.directory: cell for cell in effect.cells}.values())
        effect = replace(effect, values=oriented, cells=cells, beyond=sign * effect.beyond)
        return replace(asked, effect=effect)
    except (InputError, NotDecidableError) as error:
        return replace(asked, reason=str(error).removeprefix(f"{claim_name(value, place)}: "))


def with_whole_names(claim: Claim, known: Levels) -> Claim:
    """The claim with whole names of levels; InputError where one is not `known`."""
    if claim.over is not None:
        resolved({claim.over: ()}, known)
    return replace(
        claim,
        cells=resolved(claim.cells, known),
        against=claim.against and resolved(claim.against, known),
        elsewhere=claim.elsewhere and resolved(claim.elsewhere, known),
    )


def _estimated(asked: _Asked) -> rules.Effect:
    assert asked.effect is not None
    assert asked.claim is not None
    estimate, error = mean_and_error(list(asked.effect.values.values()))
    assert error is not None
    error = error if asked.effect.has_spread else 0.0
    count = len(asked.effect.values)
    degrees: float = count - 1
    if _is_of_neighbours(asked.question):
        error *= neighbours_factor(count)
        degrees = neighbours_degrees(count)
    expect = asked.claim.expect
    # 0.15 - 0.10 is to count as 0.05.
    smallest = expect.smallest * (1 - 1e-9)
    return rules.Effect(estimate, error, degrees, smallest, expect.kind, bool(asked.effect.beyond))


def _is_of_neighbours(question: Question | None) -> bool:
    """Whether the numbers of a seed are those of its pair with the next one."""
    if question is None:
        return False
    partner = (question.claim.partner or "").split(MINUS)
    return question.quantity.of_neighbours or any(part.strip() in OF_PAIRS for part in partner)


def neighbours_factor(num_seeds: int) -> float:
    """What the standard error of a mean over pairs of neighbours is multiplied by.

    Of pairs around a circle, where a pair's number is a_i + a_j + e_ij, the usual s^2 / n has the
    mean (2 - 2 / (n - 1)) A + E over n, and the mean the variance (4 A + E) / n: too small by the
    factor 2 (n - 1) / (n - 2) at most, which is where all variance is the seeds' own (A).
    """
    return math.sqrt(2 * (num_seeds - 1) / (num_seeds - 2))


def neighbours_degrees(num_seeds: int) -> float:
    """The degrees of freedom of that standard error, fewer than of independent numbers.

    Where all variance is the seeds' own, s^2 is a sum of squares with the unequal variances
    lambda_k = 2 + 2 cos(2 pi k / n), k = 1 to n - 1: as many degrees as (sum lambda)^2 /
    sum lambda^2 (Satterthwaite 1946). With n - 1 of them intervals of 5 seeds would hold 93 %.
    """
    return (2 * num_seeds - 4) ** 2 / (6 * num_seeds - 16)


def _verdict(
    frames: Frames, known: Levels, asked: _Asked, judged: rules.Judgement | None
) -> Verdict:
    claim, effect = asked.claim, asked.effect
    outcome: Outcome = judged.outcome if judged else "not decidable"
    reasons = [] if judged else [asked.reason]
    if effect and not effect.has_spread:
        seeds = f"all {len(effect.values)} seeds"
        reasons.append(f"{seeds} have the same effect: no spread, so neither interval nor p")
    if effect and effect.beyond:
        side = "larger" if effect.beyond > 0 else "smaller"
        cause = "an error was not reached in the epochs trained"
        if claim is None or claim.target is None:
            cause = "the grid of learning rates ends where they are still good, or best"
        reasons.append(f"the true effect may be {side}: {cause}")
    estimate = mean_and_error(list(effect.values.values()))[0] if effect else None
    cells = effect.cells if effect else ()
    quantity = asked.question.quantity if asked.question else None
    return Verdict(
        id=claim_name(asked.value, asked.place).removeprefix("claim "),
        statement=claim.statement if claim else _said(asked.value, "statement"),
        source=claim.source if claim else _said(asked.value, "source"),
        outcome=outcome,
        kind=claim.expect.words if claim else "",
        measure=measure_words(claim, quantity or claim.quantity) if claim else "",
        estimate=estimate,
        low=judged.low if judged else None,
        high=judged.high if judged else None,
        p=judged.p if judged else None,
        num_seeds=len(effect.values) if effect else 0,
        smallest=claim.expect.smallest if claim else 0.0,
        unit=claim.expect.unit if claim else "",
        published=claim.published if claim else _said(asked.value, "published"),
        command=rerun_command(frames, known, cells),
        reason="; ".join(reasons),
        cells=tuple(cell.directory for cell in cells),
    )


def _said(value: Any, key: str) -> str:
    """What a claim that cannot be read says all the same."""
    said = value.get(key) if isinstance(value, Mapping) else None
    return " ".join(str(said or "").split())


# Whether the claims of a study are those that were fixed before it ran.


def remarks(frames: Frames) -> tuple[str, ...]:
    """Where the copy of the claims comes from, and each that is not as it was beforehand."""
    ledger = frames.ledger
    if not ledger.claims and not late_changes(ledger):
        return ()
    experiment = ledger.experiment or {}
    commit, modified = experiment.get("commit"), experiment.get("modified")
    state = f"commit {str(commit)[:12]}" if commit else "no commit that is known"
    if commit and modified is not False:
        # Older ledgers do not know whether the file was as that commit has it.
        state += " with uncommitted changes" if modified else " (perhaps with uncommitted changes)"
    return (
        f"Claims are those of conf/experiment/{experiment.get('name', '?')}.yaml as it was "
        f"launched, at {state}, sha256 {str(experiment.get('sha256'))[:12]}.",
        *late_changes(ledger),
    )


def late_changes(ledger: Ledger) -> tuple[str, ...]:
    """Claims that were added, changed or taken out when a cell was already done.

    The ledger keeps under `previous` the claims of each launch that another replaced, and how
    many cells were finished by then. The first of them with a finished cell is what was fixed
    beforehand; a claim that was taken out later counts from any.
    """
    late = [entry for entry in ledger.previous if _num_finished(entry) and "claims" in entry]
    if not late:
        return ()
    now = _by_name(ledger.claims)
    first, done = _by_name(late[0]["claims"]), counted(_num_finished(late[0]), "cell")
    found = []
    for name, claim in now.items():
        if claim != first.get(name):
            how = "changed" if name in first else "added"
            found.append(f"Warning: {name} was {how} when {done} had been trained.")
    taken_out = dict.fromkeys(
        name for entry in late for name in _by_name(entry["claims"]) if name not in now
    )
    return (
        *found,
        *(f"Warning: {name} was taken out when {done} had been trained." for name in taken_out),
    )


def _num_finished(entry: Any) -> int:
    number = entry.get("num_finished") if isinstance(entry, Mapping) else None
    return number if isinstance(number, int) else 0


def _by_name(claims: Sequence[Any]) -> dict[str, Any]:
    return {claim_name(claim, place): claim for place, claim in enumerate(claims, 1)}

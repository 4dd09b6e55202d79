"""Whether the claims of a study are those that were fixed before it ran."""

from collections.abc import Mapping, Sequence
from typing import Any

from study.analysis.claims.schema import claim_name
from study.analysis.frames import Frames
from study.config.labels import counted
from study.outputs.records import Ledger


def remarks(frames: Frames) -> tuple[str, ...]:
    """Where the copy of the claims comes from, and each that is not as it was beforehand."""
    ledger = frames.ledger
    if not ledger.claims and not late_changes(ledger):
        return ()
    experiment = ledger.experiment or {}
    commit, modified = experiment.get("commit"), experiment.get("modified")
    state = f"commit {commit[:12]}" if commit else "no commit that is known"
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

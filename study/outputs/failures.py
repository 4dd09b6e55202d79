"""How a run of many cells ended: what failed, and why."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from study.config.labels import counted
from study.outputs.schema import ERROR_FILE

_SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] (.*?)(: '.*')?")


@dataclass(frozen=True)
class Failure:
    """A cell that failed: its directory, and the kind and text of its error."""

    directory: str
    kind: str
    message: str

    @classmethod
    def of(cls, directory: str, error: Exception) -> "Failure":
        """What an exception says; of a system's error what went wrong, not with which file."""
        words = error.strerror if isinstance(error, OSError) else None
        return cls(directory, type(error).__name__, words or str(error).split("\n")[0])

    @classmethod
    def recorded(cls, directory: str, error: str) -> "Failure":
        """The same of the last line of an error.txt."""
        kind, _, message = error.partition(": ")
        if of_system := _SYSTEM_ERROR.fullmatch(message):
            message = of_system[1]
        return cls(directory, kind.rpartition(".")[2], message)

    @property
    def label(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


@dataclass(frozen=True)
class Outcome:
    """The cells that failed, and how many were not tried because all before had failed alike."""

    failures: list[Failure]
    num_untried: int = 0


def all_alike(failures: Sequence[Failure], limit: int) -> bool:
    """Whether so many failed, and all with the same error."""
    return len(failures) >= limit and len({failure.label for failure in failures}) == 1


def summary(study: Path, outcome: Outcome) -> str:
    """What failed, by kind of error."""
    failures, untried = outcome.failures, outcome.num_untried
    rest = f", {counted(untried, 'cell')} not tried" if untried else ""
    lines = [
        f"{counted(len(failures), 'cell')} failed{rest}; what is done is kept. "
        "The same command tries again."
    ]
    for label, count in Counter(failure.label for failure in failures).most_common():
        errors = [study / each.directory / ERROR_FILE for each in failures if each.label == label]
        kept = next((error for error in errors if error.exists()), None)
        lines.append(f"  {count} x {label}{f' (see {kept})' if kept else ''}")
    return "\n".join(lines)

"""What is known of a configuration key."""

from dataclasses import dataclass
from typing import Any, Literal

from study.kinds import Kind

Effect = Literal["result", "rounding", "none"]
_NEVER = object()


@dataclass(frozen=True)
class Key:
    """One configuration key: what it changes, what it takes, and a line of help.

    At `neutral`, if it has one, results are what they were before the key was added.
    """

    effect: Effect
    kind: Kind
    help: str
    neutral: Any = _NEVER

    def is_neutral(self, value: Any) -> bool:
        """Whether a canonical value leaves all results as if there were no such key."""
        return bool(value == self.neutral)

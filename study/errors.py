"""What a user did wrong, said in one line."""

import difflib
import itertools
from collections.abc import Iterable, Sequence

LONGEST_LIST = 330
"""Characters of the names that an error lists."""


class InputError(ValueError):
    """Bad input: its message says what was wrong, where, and what would be right.

    The command prints the message on one line and exits with status 2.
    """


def unknown(what: str, name: object, choices: Iterable[object]) -> InputError:
    """The error for a name that is not among `choices`: lists them, the closest first named.

    Of so many that the line would be a page, the first and how many more there are.

    >>> unknown("activation", "rleu", ["relu", "tanh"])
    InputError("unknown activation 'rleu' (did you mean 'relu'?); choose from: relu, tanh")
    """
    names = [str(choice) for choice in choices]
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return InputError(f"unknown {what} {str(name)!r}{hint}; choose from: {listed(names)}")


def listed(names: Sequence[str]) -> str:
    """The names as a line lists them: of very many the first, and how many more there are."""
    lengths = itertools.accumulate(len(name) + len(", ") for name in names)
    fitting = sum(length <= LONGEST_LIST for length in lengths)
    more = f" and {len(names) - fitting} more" if fitting < len(names) else ""
    return ", ".join(names[:fitting]) + more

"""What a user did wrong, said in one line."""

import difflib
import itertools
import re
from collections.abc import Iterable, Sequence

LONGEST_LIST = 330
"""Characters of the names that an error lists."""
LONGEST_LINE, LONGEST_WORD = 500, 200
"""Characters of an error, and of one word of it, such as a path."""


class InputError(ValueError):
    """Bad input: its message says what was wrong, where, and what would be right.

    It is a `bounded_line`, whatever it quotes; the command prints it and exits with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(bounded_line(message))


def bounded_line(text: str) -> str:
    """`text` on one line of bounded length, which a terminal shows as it is and obeys nowhere.

    Line breaks become spaces, other characters that cannot be printed their escapes. Of what is too
    long the middle is left out: a message begins with what is wrong and ends with what is right.
    """
    line = "".join(
        character if character.isprintable() else ascii(character)[1:-1]
        for character in " ".join(text.splitlines())
    )
    return _shortened(" ".join(_shortened(word, LONGEST_WORD) for word in line.split(" ")))


def _shortened(text: str, longest: int = LONGEST_LINE) -> str:
    end = longest // 3
    return text if len(text) <= longest else f"{text[: longest - end - 3]}...{text[-end:]}"


MOST_SUGGESTIONS = 3

ALSO_CALLED = {"kaiming": "he", "glorot": "xavier", "swish": "silu", "logistic": "sigmoid"}
"""Other names of the field, and those that are used here."""


def unknown(what: str, name: object, choices: Iterable[object]) -> InputError:
    """The error for a name that is not among `choices`: lists them, the closest first named.

    Of so many that the line would be a page, the first and how many more there are. Close are
    names of other spelling (`LeakyReLU`), those that begin with the name or the name with them
    (`he`, `BatchNorm`), or else the one that most letters agree with.

    >>> unknown("activation", "rleu", ["relu", "tanh"])
    InputError("unknown activation 'rleu' (did you mean 'relu'?); choose from: relu, tanh")
    """
    names = [str(choice) for choice in choices]
    close = [repr(choice) for choice in _closest(str(name), names)]
    return InputError(
        f"unknown {what} {str(name)!r}{did_you_mean(close)}; choose from: {listed(names)}"
    )


def did_you_mean(names: Sequence[str]) -> str:
    """` (did you mean A, B or C?)`, of one name or several; nothing of none."""
    distinct = list(dict.fromkeys(names))
    joined = " or ".join(filter(None, [", ".join(distinct[:-1]), *distinct[-1:]]))
    return f" (did you mean {joined}?)" if distinct else ""


def _closest(name: str, names: Sequence[str]) -> list[str]:
    wanted = _folded(name)
    for word, own in ALSO_CALLED.items():
        wanted = wanted.replace(word, own)
    folded = {_folded(choice): choice for choice in names}
    if wanted in folded:
        return [folded[wanted]]
    longer = [each for each in folded if len(wanted) > 1 and each.startswith(wanted)]
    within = [each for each in folded if len(each) > 3 and wanted.startswith(each)]
    close = sorted(longer, key=len) or within or difflib.get_close_matches(wanted, folded, n=1)
    return [folded[each] for each in close[:MOST_SUGGESTIONS]]


def _folded(name: str) -> str:
    """A name without the marks and capitals in which spellings differ."""
    return re.sub(r"[-_. ]", "", name.lower())


def listed(names: Sequence[str]) -> str:
    """The names as a line lists them: of very many the first, and how many more there are."""
    lengths = itertools.accumulate(len(name) + len(", ") for name in names)
    fitting = sum(length <= LONGEST_LIST for length in lengths)
    more = f" and {len(names) - fitting} more" if fitting < len(names) else ""
    return ", ".join(names[:fitting]) + more


def shown(value: object) -> str:
    """A value as one would type it, on one line of bounded length."""
    if isinstance(value, list | tuple):
        text = f"[{','.join(map(shown, value))}]"
    elif isinstance(value, bool) or value is None:
        text = "null" if value is None else str(value).lower()
    else:
        text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."

"""What a level of a group says: its name, and the keywords that its function takes."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from study.errors import InputError, unknown

Value: TypeAlias = "float | str | Sequence[Value] | None"
"""What a keyword is set to: a number, true or false, a text, nothing, or a list of these."""

Arguments = Mapping[str, Value]
"""A level as its function takes it: its `name`, and its keywords.

The blocks, and what makes them, say `Mapping[str, Any]`: their text is part of the digest that a
model of one's own is known by (`study.config.level_source`), so that another word would train its
cells anew.
"""


def split_level(
    group: str, config: Arguments | str, registry: Iterable[str]
) -> tuple[str, dict[str, Value]]:
    """The level's name, which must be in `registry`, and its keys, not yet checked.

    A name alone is a level without keys.
    """
    keys: dict[str, Value] = {"name": config} if isinstance(config, str) else dict(config)
    name = keys.pop("name", None)
    names = list(registry)
    if not isinstance(name, str) or name not in names:
        raise unknown(group, name, names)
    return name, keys


def keywords(function: Callable[..., Any]) -> dict[str, Value]:
    """A function's keyword-only parameters with their defaults: the keys that a level may set."""
    parameters = inspect.signature(function).parameters.values()
    return {
        item.name: item.default
        for item in parameters
        if item.kind is inspect.Parameter.KEYWORD_ONLY
    }


def only_keys(what: str, keys: Iterable[str], allowed: Iterable[str]) -> None:
    """Raises InputError if one of `keys` is not `allowed`."""
    names = list(allowed)
    for key in keys:
        if key in names:
            continue
        if not names:
            raise InputError(f"{what} takes no parameters; leave {key!r} out")
        raise unknown(f"key of {what}", key, names)

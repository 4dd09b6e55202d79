"""Completion by TAB: Hydra's plugins make the scripts and complete the overrides.

`study -sc install=bash` prints what a shell evaluates once; from then on it asks
`study -sc query=bash` with the line typed so far in COMP_LINE. Neither needs PyTorch.
"""

import contextlib
import importlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from study.config.configuration import levels
from study.config.keys import GROUPS, KEYS, PLACES
from study.config.refused import is_hydras
from study.console import command
from study.errors import InputError, shown

FLAGS = ("-sc", "--shell-completion")
PAGES = ("--cfg", "-c", "--info", "-i", "--hydra-help")
"""Flags of `study train` that ask for one of Hydra's pages."""
SHELLS = ("bash", "zsh", "fish")
ACTIONS = ("install", "uninstall", "query")
SWITCHES = (*GROUPS, "trainer", "experiment", "hydra/launcher")

_ZSH = "autoload -Uz compinit bashcompinit && compinit -u && bashcompinit"
"""Hydra's script for zsh is bash's, which these make zsh understand."""
_PLAIN = re.compile(r"[\w./=,+:@~\[\]-]+")
"""What a shell takes as it is: bash expands the words that it is offered."""


def asks_for_page(arguments: Sequence[str]) -> bool:
    """Whether a command line of `study train` asks for one of Hydra's pages."""
    return any(argument.split("=")[0] in (*PAGES, *FLAGS) for argument in arguments)


def install_line(shell: str) -> str:
    """The line that makes a shell complete this command."""
    program = command("-sc", f"install={shell}")
    return f"{program} | source" if shell == "fish" else f'eval "$({program})"'


def answer(arguments: Sequence[str]) -> int:
    """Prints a shell's script (`install=bash`), or what may follow a line (`query=bash`)."""
    action, _, shell = " ".join(arguments).partition("=")
    if action not in ACTIONS or shell not in SHELLS:
        given = " ".join(["-sc", *arguments])
        raise InputError(f"{shown(given)}: write -sc install=bash (or zsh, or fish)")
    if action == "query":
        words = completions(_typed())
        print(*words, sep="\n" if shell == "fish" else " ")
        return 0
    if (action, shell) == ("install", "zsh"):
        print(_ZSH)
    with _hydras(shell) as plugin:
        plugin.install() if action == "install" else plugin.uninstall()
    return 0


def _typed() -> str:
    """The line up to the cursor."""
    line = os.environ.get("COMP_LINE", "")
    point = os.environ.get("COMP_POINT", "")
    return line[: int(point)] if point.isdecimal() else line


@contextlib.contextmanager
def _hydras(shell: str) -> Iterator[Any]:
    """Hydra's plugin for a shell, which names the program after `sys.argv`."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.plugins.completion_plugin import CompletionPlugin

    from study.config.compose import hydra_ready

    given, sys.argv = sys.argv, ["study"]
    try:
        with hydra_ready():
            loader = GlobalHydra.instance().config_loader()
            kinds: Any = Plugins.instance().discover(CompletionPlugin)
            yield next(kind for kind in kinds if kind.provides() == shell)(loader)
    finally:
        sys.argv = given


def completions(line: str) -> list[str]:
    """What the last word of a command line may become, the program's name being its first."""
    words = line.split()[1:]
    word = "" if line.endswith(" ") or not words else words.pop()
    return [
        text for text in _offered(words, word) if text.startswith(word) and _PLAIN.fullmatch(text)
    ]


def _offered(words: Sequence[str], word: str) -> Iterable[str]:
    from study.__main__ import COMMANDS

    names = list(COMMANDS)
    if not words:
        return [*names, "help"]
    if words[0] == "help":
        return names
    if words[0] not in COMMANDS:
        return []
    if word.startswith("-"):
        return _options(COMMANDS[words[0]][0])
    if words[0] in ("train", "preflight"):
        return _overrides(words[1:], word)
    if words[0] == "data":
        name, equals, _ = word.partition("=")
        if equals:
            return _overrides((), word) if name in PLACES else []
        return [*levels("data"), *(f"{key}=" for key in PLACES)]
    if words[0] == "activations":
        return levels("activation")
    if words[0] == "list":
        from study.config.listing import SECTIONS

        return SECTIONS
    return []


def _options(module: str) -> list[str]:
    """The options that a command's help names."""
    page = io.StringIO()
    with contextlib.redirect_stdout(page), contextlib.suppress(SystemExit):
        importlib.import_module(module).main(["--help"])
    return sorted(set(re.findall(r"(?<!\S)--[a-z][\w-]*", page.getvalue())))


def _overrides(words: Sequence[str], word: str) -> list[str]:
    """Groups, levels and keys, as Hydra completes them, without those that are refused."""
    name, equals, value = word.partition("=")
    if equals and name in KEYS and KEYS[name].kind.names:
        return [f"{name}={each}" for each in KEYS[name].kind.names]
    swept, comma, last = value.rpartition(",")
    if comma and name in SWITCHES:
        offered = [text.partition("=")[2] for text in _by_hydra(words, f"{name}={last}")]
        return [f"{name}={swept},{level}" for level in offered]
    found = {_as_key(text) for text in _by_hydra(words, word)} | {"hydra/launcher="}
    return sorted(text for text in found if _is_taken(text, words))


def _by_hydra(words: Sequence[str], word: str) -> list[str]:
    """Hydra's own answer, where the words before have chosen levels."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    chosen = [text for text in words if _is_level(*text.partition("=")[::2])]
    os.environ["COMP_LINE"] = " ".join(["study", *chosen, word])  # where the plugin reads it
    page = io.StringIO()
    no_answer = contextlib.suppress(HydraException, OmegaConfBaseException)
    with no_answer, _hydras("bash") as plugin, contextlib.redirect_stdout(page):
        plugin.query("config")
    return page.getvalue().split()


def _is_level(group: str, level: str) -> bool:
    return group in SWITCHES and level in levels(group)


def _as_key(text: str) -> str:
    """A key whose value is a list, or null, ends in `=` as other keys do."""
    return f"{text[:-1]}=" if text[:-1] in KEYS else text


def _is_taken(text: str, words: Sequence[str]) -> bool:
    """Whether the command takes what Hydra offers."""
    name, equals, value = text.partition("=")
    if is_hydras(text):
        has_launcher = any(word.startswith("hydra/launcher=") for word in words)
        own = name.startswith("hydra.launcher.") and not name.endswith("._target_")
        return name == "hydra/launcher" or (has_launcher and own)
    if name.partition(".")[0] in GROUPS and name.endswith(".name"):
        return False
    if equals:
        return (name in SWITCHES or name in KEYS) and "=" not in value
    return name.endswith(".") and any(key.startswith(name) for key in KEYS)

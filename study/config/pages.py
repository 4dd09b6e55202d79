"""What else of Hydra's command line works: its pages about one cell, and completion by TAB.

`study -sc install=bash` prints what a shell evaluates once; from then on it asks
`study -sc query=bash` with the line typed so far in COMP_LINE. Neither needs PyTorch, and Hydra
itself is imported where it answers.
"""

import argparse
import contextlib
import importlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from study.config.configuration import CONF, levels, own_files
from study.config.keys import GROUPS, KEYS, PLACES
from study.config.refused import is_hydras
from study.console import COMMANDS, Parser, add_config_dir, command, show
from study.errors import InputError, shown

PAGES = ("--cfg", "-c", "--info", "-i", "--hydra-help")
COMPLETION = ("-sc", "--shell-completion")
SHELLS = ("bash", "zsh", "fish")
ACTIONS = ("install", "uninstall", "query")
SWITCHES = (*GROUPS, "trainer", "experiment", "hydra/launcher")

_ZSH = "autoload -Uz compinit bashcompinit && compinit -u && bashcompinit"
"""Hydra's script for zsh is bash's, which these make zsh understand."""
_PLAIN = re.compile(r"[\w./=,+:@~\[\]-]+")
"""What a shell takes as it is: bash expands the words that it is offered."""

_GRAMMAR = """Of Hydra's grammar:

  GROUP=LEVEL KEY=VALUE                       as activation=relu 'optimizer.lr=[0.01,0.1]'
  GROUP='LEVEL KEY=VALUE'                     a level with a key of it, quoted twice in a shell
  -m KEY=A,B,C                                a sweep; also choice() range() glob() sort() shuffle()
  hydra/launcher=NAME hydra.launcher.KEY=...  cells handed to a launcher, as {launchers}

No other key of Hydra's has an effect, and each is refused with what to write instead.

Completion by TAB, for this shell (in its start-up file, for every one):

{completion}"""


def asks_for_page(arguments: Sequence[str]) -> bool:
    """Whether a command line of `study train` asks for one of Hydra's pages."""
    return any(argument.split("=")[0] in (*PAGES, *COMPLETION) for argument in arguments)


def hydra_page(arguments: Sequence[str]) -> int:
    """Prints Hydra's page; returns the exit status.

    Flags and overrides are checked first: of a bad one Hydra makes a page or a traceback. Raises
    `InputError` for them, and for a sweep, since a page is about one cell.
    """
    if arguments[0] in COMPLETION:
        return answer(arguments[1:])
    from study.config.compose import compose_cell, hydra_ready, parse_overrides

    parser = _parser()
    options = parser.parse_intermixed_args(list(arguments))
    if options.hydra_help and len(arguments) > 1:
        raise InputError("--hydra-help stands alone")
    if options.hydra_help:
        show(parser.format_help())
        return 0
    if (options.resolve or options.package) and not options.cfg:
        raise InputError("no such page of Hydra's: --resolve and --package belong to --cfg")

    if options.multirun:
        raise InputError("Hydra's pages are about one cell: leave out -m")
    with own_files(options.config_dir), hydra_ready():
        axes = parse_overrides(options.overrides)
        for axis in axes:
            if len(axis.values) > 1:
                raise InputError(f"Hydra's pages are about one cell: give {axis.name} one value")
        compose_cell([text for axis in axes for text in axis.values[0]])
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            _print_page(arguments)
    except SystemExit as stopped:
        if stopped.code:
            raise InputError(_no_page(options.package, said.getvalue())) from None
    except ValueError as error:
        raise InputError(f"no such page of Hydra's: {error}") from None
    finally:
        sys.stdout.flush()
    return 0


def _print_page(arguments: Sequence[str]) -> None:
    """Hydra's own command line, which prints a page here and runs no job."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    def no_job(config: Any) -> None:
        raise AssertionError("a page runs no job")

    GlobalHydra.instance().clear()
    given, sys.argv = sys.argv, [command("train"), *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(no_job)()
    finally:
        sys.argv = given


def _no_page(package: str | None, said: str) -> str:
    if package is not None:
        return f"--package {package}: the configuration has no such part; leave it out for all"
    return f"no such page of Hydra's: {said}"


def _parser() -> Parser:
    """The flags of Hydra's pages, so that a wrong one is refused in one line."""
    completion = "\n".join(f"  {install_line(shell)}" for shell in SHELLS)
    launchers = ", ".join(level for level in levels("hydra/launcher") if "_" not in level)
    epilog = _GRAMMAR.format(launchers=launchers, completion=completion)
    parser = Parser("study train", "What of Hydra works here: its pages, for one cell.", epilog)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the cell")
    parser.add_argument("-m", "--multirun", action="store_true", help=argparse.SUPPRESS)
    add_config_dir(parser)
    parser.add_argument("--resolve", action="store_true", help="with --cfg: ${...} resolved")
    parser.add_argument("-p", "--package", help="with --cfg: a part of it, as optimizer")
    page = parser.add_mutually_exclusive_group(required=True)
    kinds: Sequence[str] = ("job", "hydra", "all")
    page.add_argument("-c", "--cfg", choices=kinds, help="the composed configuration")
    kinds = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
    what = "where it comes from"
    page.add_argument("-i", "--info", nargs="?", const="all", choices=kinds, help=what)
    page.add_argument("--hydra-help", action="store_true", help="this page")
    return parser


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

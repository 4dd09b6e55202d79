"""`study list`: every experiment, level and key, with a line each."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from study.config import own
from study.config.configuration import CONF, file_of, file_shown, levels, own_files
from study.config.keys import GROUPS, KEYS
from study.console import Parser, add_config_dir, run_as_command, show
from study.errors import InputError, shown

DESCRIPTION = """Prints every experiment, level and key, with a line each.

  study list                 all of them
  study list activation      the levels of a group, and its keys
  study list weight          every line that has the word"""
SECTIONS = ("experiments", *GROUPS, "trainer", "callbacks", "hydra/launcher", "keys")


def main(arguments: Sequence[str]) -> int:
    """Prints the catalogue, or what of it was asked for."""
    parser = Parser("study list", DESCRIPTION)
    what = f"{', '.join(SECTIONS)}, or any word; default: everything"
    parser.add_argument("word", nargs="?", metavar="WORD", help=what)
    add_config_dir(parser)
    options = parser.parse_args(list(arguments))
    with own_files(options.config_dir):
        show("\n".join(catalogue() if options.word is None else about(options.word)))
    return 0


def catalogue() -> list[str]:
    """The lines that `study list` prints."""
    return _apart(block for name in SECTIONS for block in blocks(name))


def about(word: str) -> list[str]:
    """A section with the keys of its group, or every line that has the word, under its title.

    Raises `InputError` where there is none.
    """
    name = {"experiment": "experiments", "key": "keys", "launcher": "hydra/launcher"}.get(
        word, word
    )
    if name in SECTIONS:
        ((title, *keys),) = blocks("keys")
        of_it = [line for line in keys if line.startswith((f"  {name}.", f"  {name} "))]
        return _apart([*blocks(name), [title, *of_it] if of_it else []])
    found = []
    for title, *lines in (block for name in SECTIONS for block in blocks(name)):
        with_word = [line for line in lines if word.lower() in line.lower()]
        found += [[title, *with_word]] if with_word else []
    if not found:
        choices = ", ".join(SECTIONS)
        raise InputError(f"nothing listed has {shown(word)!r}; choose from: {choices}, or any word")
    return _apart(found)


def blocks(name: str) -> list[list[str]]:
    """A title, and a line for each experiment, level or key; those of each own folder apart."""
    if name == "keys":
        keys = [_line(key, f"{each.help}: {each.kind.expects}") for key, each in KEYS.items()]
        return [[name, *keys]]
    group, title = ("experiment", name) if name == "experiments" else (name, f"{name}=")
    found: dict[Path | str, list[str]] = {CONF: [title]} if levels(group) else {}
    for level in levels(group):
        place, text = file_of(group, level).parents[1], headline(group, level)
        lines = found.setdefault(place, [f"{title}    of {place}"])
        lines.append(_line(level, text.removeprefix(f"{level}: ")))
    for folder in own.folders():
        for each in folder.declared:
            if each.form.takes_list and each.form.group == group:
                title = f"{each.form.label}=[...]    of {folder.path}"
                lines = found.setdefault(title, [title])
                lines.append(_line(each.name, each.headline or "(its docstring would say it)"))
    return list(found.values())


def _apart(blocks: Iterable[Sequence[str]]) -> list[str]:
    """The lines of the blocks, with an empty one between two."""
    return [line for block in blocks if block for line in (*block, "")][:-1]


def _line(name: str, text: str) -> str:
    return f"  {name:22} {text}"


def headline(group: str, level: str) -> str:
    """The first comment of a level's file; where it has none, that it should."""
    lines = file_of(group, level).read_text(encoding="utf-8", errors="replace").splitlines()
    comments = [line for line in lines if line.startswith("#") and "@package" not in line]
    missing = (
        f"(the first line of {file_shown(group, level)} should be a comment that says what it is)"
    )
    return comments[0].lstrip("# ") if comments else missing


if __name__ == "__main__":
    run_as_command("list")

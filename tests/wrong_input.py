"""Command lines that nobody should type, made from what there is to type.

Of every key of the table its values beside the right ones, of every group its levels, of every
command its options as its help prints them: what is added is tried at once.
"""

import re
from collections.abc import Iterator

from study.config.compose import SWITCHES
from study.config.keys import KEYS
from study.config.kinds import Kind

LONG = 5000
"""Characters of what is too long for a name, a path or a line."""

TYPES = ("null", "true", "''", "' '", "x", "1.5", "-1", "0", "-0.0", "[]", "[[]]", "[null]", "???")
MAPPINGS = ("{}", "{a:1}", "{a:{}}", "{1:2}", "[{}]", "[{a:{}}]", "{a.b:1}")
SIZES = (
    *("9223372036854775808", "-9223372036854775809", "1" + 30 * "0", 400 * "9", "1e308", "1e-320"),
    *("1e999", "nan", "inf", "-inf", f"[{','.join(1000 * '0')}]"),
    *(LONG * "x", f"'{LONG // 2 * 'x '}'", LONG // 2 * "/x", f"[{LONG * 'x'}]"),
)
CHARACTERS = (
    *("é", "日本語", "'a\u202eb'", "'a\u200fb'", "'a\x00b'", "'a\x07b'", "'\x1b[31mred'", "'a\nb'"),
    *("'a\udcffb'", "'a\u2028b'", "\ufeff", "a\tb"),
)
PATHS = (
    *("../x", "/", "/dev/null/x", "a/b", "~", "~nobody/x", "'-x'", ".hidden", "CON", "con.txt"),
    *("'LPT1 .x'", "x/aux/y", "x/NUL"),
)
NESTINGS = (
    *(f"{depth * '['}{depth * ']'}" for depth in (10, 60, 150, 900)),
    *(f"{depth * '{a:'}1{depth * '}'}" for depth in (10, 60, 150, 900)),
    *(3000 * "[", "[1", "{a", "'a", "(", "1,2"),
)
EXPRESSIONS = (
    *(
        "${batch_size}",
        "${nothing}",
        "${oc.env:NO_SUCH}",
        "${oc.decode:'[1'}",
        "${oc.decode:",
        "${",
    ),
    *("${hydra:job.name}", "${.name}", "${no:x}", "glob(*)", "range(1,3)", "choice(1", "sort(2,1)"),
    *("interval(0,1)", "int(x)", "!!python/object:os.system", "0x10", "1_000", "2020-01-01", "1:2"),
    *("'1'", "'true'", "=", "@", "\\", "$", "#", "%", "a=b"),
)
WRONG = tuple(
    dict.fromkeys(
        (*MAPPINGS, *TYPES, *SIZES, *CHARACTERS, *PATHS, *NESTINGS, *EXPRESSIONS),
    )
)
"""Values as they are typed: of wrong type, size, encoding, path, nesting or interpolation."""


def near(kind: Kind) -> Iterator[str]:
    """Values beside those that the words of a kind name: beyond each bound, a name misspelt."""
    for text in re.findall(r"\d+(?:\.\d+)?", kind.expects):
        number = int(float(text))
        yield from (f"{number - 1}", f"{number}.5", f"-{number}", f"[{number},{number}]")
        yield f"'{number}'"
    if names := re.search(r"one of ([\w, -]+)", kind.expects):
        for name in names[1].split(", "):
            yield from (name.upper(), f"{name}{name}", f"[{name}]")


def overrides() -> Iterator[str]:
    """Every key and group with each of these values, and a key within a level's name."""
    for name, key in KEYS.items():
        yield from (f"{name}={value}" for value in dict.fromkeys((*WRONG, *near(key.kind))))
    for name in (*SWITCHES, "hydra/launcher", "hydra.launcher.n_jobs"):
        yield from (f"{name}={value}" for value in WRONG)
    yield from (f"activation='leaky_relu slope={value}'" for value in WRONG)


def unquoted(value: str) -> str:
    """A value as an argument that is no override: without the quotes of Hydra's grammar."""
    return value[1:-1] if value[0] == value[-1:] == "'" else value


def options(help_page: str) -> list[str]:
    """The options that take a value, as a command's help lists them."""
    return re.findall(r"^  (?:-\w, )?(--[\w-]+) (?! )", help_page, re.MULTILINE)

"""The table of every key's effect, in docs/reproducibility.md.

`python -m study.proof.effects docs/reproducibility.md` writes it from study.keys; it stands between
`<!-- study effects EFFECT ... -->` and `<!-- end -->`.
"""

import sys
from collections.abc import Sequence

from study.errors import InputError
from study.keys import KEYS
from study.report import quoted


def table(effects: Sequence[str]) -> str:
    """Every key of these effects, in the order of study.keys, as a Markdown table."""
    rows = [
        f"| `{name}` | `{key.effect}` | {key.help} |"
        for name, key in KEYS.items()
        if key.effect in effects
    ]
    return "\n".join(["| key | effect | what it is |", "|---|---|---|", *rows])


PRINTERS: dict[str, quoted.Printer] = {"study effects": table}


def main(arguments: Sequence[str]) -> int:
    """Refreshes or (with --check) checks the table."""
    return quoted.main(arguments, PRINTERS, "python -m study.proof.effects")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"study: {error}")

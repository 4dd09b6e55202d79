"""The table of every key's effect, in docs/reproducibility.md.

It comes from study.keys, and stands between `<!-- study effects EFFECT ... -->` and `<!-- end -->`.
"""

from collections.abc import Sequence

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

"""The house on one screen, drawn from the order that tests/test_floors.py holds."""

import ast
import re
from pathlib import Path

from study.console import sentence_table
from study.files import PACKAGE
from tests.test_floors import BESIDE, FLOORS

ROOT = PACKAGE.parent
MODULES, LINES = 5, 500
"""What a wing has is counted in such steps, so that a small change leaves the drawing as it is."""


def wings() -> str:
    """The packages beside `study`, then its wings from the roof to the ground."""
    paths = [ROOT / name for name in BESIDE if name != "tests"]
    paths += [PACKAGE / "__main__.py", *(PACKAGE / name for name in reversed(FLOORS))]
    return sentence_table(("", "what it is", "modules", "lines"), map(_row, paths)) + "\n"


def _row(path: Path) -> tuple[str, ...]:
    path = path if path.exists() else path.with_suffix(".py")
    modules = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    texts = [module.read_text(encoding="utf-8") for module in modules]
    described = path / "__init__.py" if path.is_dir() else path
    docstring = ast.get_docstring(ast.parse(described.read_text(encoding="utf-8"))) or ""
    sentence = re.match(r".*?\.(?=\s|$)", " ".join(docstring.split()))
    lines = sum(text.count("\n") for text in texts)
    num_modules = max(MODULES * round(len(modules) / MODULES), 1)
    size = f"{LINES * round(lines / LINES):,}" if lines >= LINES else f"under {LINES}"
    name = path.relative_to(ROOT).as_posix() + "/" * path.is_dir()
    return (f"[{name}](../{name})", sentence[0] if sentence else "", str(num_modules), size)

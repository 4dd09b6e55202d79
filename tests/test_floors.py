"""The house: its wings in order, each of which imports lower ones only, and no loose files."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = """
errors locks files console networks config levels data outputs training analysis probes tensorboard
report launch theory
""".split()  # noqa: SIM905
"""From the ground up. Above them stand `__main__` and the packages beside this one."""
FILES = {"__init__.py", "__main__.py"} | {
    f"{name}.py" for name in ("console", "errors", "files", "levels", "locks")
}
BESIDE = ("benchmarks", "clusters", "docs", "faults", "tests")
"""What no room of the package may know."""


def upward(path: Path) -> Iterator[str]:
    """The imports of a module, lazy ones too, that go to its own floor's wings above."""
    name = path.relative_to(ROOT).as_posix()
    floor = FLOORS.index(path.relative_to(ROOT / "study").parts[0].removesuffix(".py"))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module="study", names=names):
                modules = [f"study.{alias.name}" for alias in names]
            case ast.ImportFrom(module=str(module)):
                modules = [module]
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case _:
                continue
        for module in modules:
            package, _, rest = module.partition(".")
            wing = rest.partition(".")[0]
            above = package == "study" and (wing == "__main__" or wing in FLOORS[floor + 1 :])
            if above or package in BESIDE:
                yield f"{name} imports {wing if above else package}"


def test_every_room_imports_lower_floors_only() -> None:
    paths = [path for wing in FLOORS for path in (ROOT / "study" / wing).rglob("*.py")]
    paths += [ROOT / "study" / f"{wing}.py" for wing in FLOORS]
    found = {line for path in paths if path.exists() for line in upward(path)}
    assert not found


def test_no_file_is_loose() -> None:
    assert {path.name for path in (ROOT / "study").glob("*.py")} == FILES
    assert {
        path.name for path in (ROOT / "study").iterdir() if (path / "__init__.py").exists()
    } == (set(FLOORS) - {name.removesuffix(".py") for name in FILES})

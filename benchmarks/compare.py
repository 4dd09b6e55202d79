"""`python -m benchmarks.compare BASE`: do this tree and a commit train the same weights?

Cells that between them have every level of every group, both engines and both number formats are
trained at BASE, in a temporary copy of it, and here, uncommitted changes included: by the same
Python and packages, one thread each. Every number that both record, and every tensor, must be the
same bit for bit, unless RECIPE was raised in between, or, in LEVEL_RECIPES, that of a cell's level.
"""

import ast
import io
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.images import write_images
from study.console import Parser
from study.errors import InputError
from study.launch.reproduce.comparable import ABSENT, Difference, comparable, differences

ROOT = Path(__file__).parents[1]
SHOWN = 5
"""Differences of a cell, beside its tensors, that are printed; the others are counted."""

COMMON = (
    "data=image_folder",
    "data.val_size=200",
    "data.train_size=100",
    "data.test_size=100",
    "data.normalize=unit",
    "batch_size=25",
    "seeds=2",
    "optimizer.lr=0.01",
    "trainer.max_epochs=2",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "outputs.tensorboard=none",
)
MLP = ("model.widths=[8,8]",)
CNN = ("model=cnn", "model.channels=[[4],[4]]", "model.head=[8]")
LAUNCHES: Mapping[str, tuple[str, ...]] = {
    "activation": MLP,
    "init": (*CNN, "activation=tanh"),
    "norm": (*MLP, "input_noise=0.1", "model.dropout=0.2"),
    "model": ("probes=none", "seeds=1", "trainer.max_epochs=1", "batch_size=50"),
    "optimizer": (*MLP, "norm=batch"),
    "schedule": (*MLP, "optimizer.momentum=0.9"),
    "probes": (*CNN, "norm=batch", "data.flip=true", "data.crop=2"),
    "pretraining": (*MLP, "activation=sigmoid", "pairs.points=3"),
    "population.engine=stacked": (*MLP, "norm=batch", "trainer.precision=32-true,64-true"),
    "population.engine=sequential": (*MLP, "norm=batch", "trainer.precision=32-true,64-true"),
    "population.products=numpy": (*MLP, "norm=none,batch"),
}
"""The launches: each sweeps all levels of the group that it is named after, or as it says."""


@dataclass(frozen=True)
class Side:
    """What a tree trained: its recipes, and by cell what `comparable` gives.

    `failed` are the launches that ended with an error, `levels` the names in conf/ by group.
    """

    recipe: int
    level_recipes: Mapping[tuple[str, str], int]
    cells: Mapping[str, Mapping[str, Any]]
    failed: Sequence[str] = ()
    levels: Mapping[str, Sequence[str]] = field(default_factory=dict)


def main(arguments: Sequence[str]) -> int:
    """Prints what differs; 1 if anything does that no recipe says, or was not compared.

    `InputError`, status 2, for what is no commit.
    """
    parser = Parser("python -m benchmarks.compare", __doc__.partition("\n\n")[2])
    parser.add_argument("base", metavar="BASE", help="a commit, such as main~1")
    base = parser.parse_args(list(arguments)).base
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="compare-") as scratch:
        copy = Path(scratch) / "base"
        check_out(base, copy)
        write_images(Path(scratch) / "images")
        before = trained(copy, Path(scratch) / "before", base)
        now = trained(ROOT, Path(scratch) / "now", "here")
    lines, differing = verdict(before, now)
    print(*lines, f"compared in {time.monotonic() - started:.0f} s", sep="\n")
    return int(differing)


def check_out(commit: str, directory: Path) -> None:
    """Writes the files of a commit into a new directory; `InputError` if git knows none."""
    name = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}"]
    found = subprocess.run(name, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        raise InputError(f"{commit!r} cannot be checked out: git knows no commit of that name")
    command = ["git", "archive", "--format=tar", found.stdout.strip(), "."]
    command += [":!outputs", ":!docs", ":!tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise InputError(
            f"{commit!r} cannot be checked out: {''.join(reason) or 'git says nothing'}"
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(directory, filter="data")


def trained(tree: Path, outputs: Path, place: str) -> Side:
    """Trains the cells by the code of `tree`, each launch in a process of its own.

    They are kept in `outputs`; their images are in `images` beside it. A launch that fails is said,
    with its `place`, and what it finished counts. A group or key that the tree has not has no
    launch. Products are PyTorch's, as in trees that know no others, but in the launch of NumPy's.
    """
    cells, failed = {}, []
    knows_products = _knows_products(tree)
    for name, overrides in LAUNCHES.items():
        study = name.replace("=", "-")
        swept_levels = levels_of(tree, name)
        by_numpy = name == "population.products=numpy"
        if ("=" not in name and not swept_levels) or (by_numpy and not knows_products):
            continue
        sweep = name if "=" in name else f"{name}={','.join(swept_levels)}"
        places = [
            f"study={study}",
            f"outputs_dir={outputs}",
            f"data.root={outputs.parent / 'images'}",
        ]
        command = [sys.executable, "-m", "study", "train", "-m", *COMMON, *overrides, *places]
        command.append(sweep)
        command += ["population.products=torch"] if knows_products and not by_numpy else []
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
            print(f"{place}: the launch {name} ended with status {done.returncode}: {said}")
            failed.append(name)
        for record in sorted((outputs / study).glob("[!.]*/result.json")):
            found = comparable(record.parent)
            swept = "trainer.precision" if "=" in name else name
            swept = "norm" if by_numpy else swept
            cells[f"{name} {found['record']['factors'][swept]}"] = found
    print(f"{place}: {len(cells)} cells", flush=True)
    recipes = constant(tree, "RECIPE", 0), constant(tree, "LEVEL_RECIPES", {})
    return Side(*recipes, cells, failed, {name: _files(tree, name) for name in LAUNCHES})


def _knows_products(tree: Path) -> bool:
    """Whether the tree has the key population.products."""
    keys = tree / "study" / "config" / "keys.py"
    return keys.is_file() and '"population.products"' in keys.read_text(encoding="utf-8")


def levels_of(tree: Path, group: str) -> list[str]:
    """The levels of a group: its files, in conf/ of the tree or of its package.

    Each pretraining takes one epoch; without `none`, which the cells of all other groups have.
    """
    names = _files(tree, group)
    if group != "pretraining":
        return names
    return [f"'{name} epochs=1'" for name in names if name != "none"]


def _files(tree: Path, group: str) -> list[str]:
    folders = [tree / "conf" / group, tree / "study" / "conf" / group]
    return sorted(path.stem for folder in folders for path in folder.glob("*.yaml"))


def constant(tree: Path, name: str, absent: Any) -> Any:
    """The literal that a module of the tree's study/ assigns to `name`; `absent` if none does."""
    for path in sorted((tree / "study").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return ast.literal_eval(node.value)
    return absent


def verdict(base: Side, head: Side) -> tuple[list[str], bool]:
    """What to print, and whether a cell differs that may not, or was not compared.

    Cells that only `head` has, those of a level that it has no more, and numbers that only `head`
    records, are named and no difference.
    """
    lines, wrong = [], False
    lacking = [
        *(f"at the base the launch {name} failed" for name in base.failed),
        *(f"here the launch {name} failed" for name in head.failed),
        *([] if base.cells else ["nothing was trained at the base"]),
        *([] if head.cells else ["nothing was trained here"]),
    ]
    if base.recipe != head.recipe:
        lines.append(f"RECIPE was {base.recipe} and is {head.recipe}: results may differ")
    for name in dict.fromkeys([*base.cells, *head.cells]):
        if name not in base.cells:
            lines.append(f"{name}: here alone")
            continue
        if name not in head.cells:
            group, level = name.split()[:2]
            is_gone = "=" not in group and level not in head.levels.get(group, ())
            lines.append(f"{name}: at the base alone{', its level is gone' if is_gone else ''}")
            lacking += [] if is_gone else [f"{name} was not trained here"]
            continue
        lost = list(_lost(base.cells[name], head.cells[name]))
        if not lost:
            continue
        levels = _raised(base, head, name)
        allowed = base.recipe != head.recipe or bool(levels)
        wrong = wrong or not allowed
        why = f" (LEVEL_RECIPES: {', '.join(levels)})" if levels else ""
        lines.append(f"{name}: {'differs' if allowed else 'DIFFERS'} in {len(lost)} values{why}")
        tensors = [each.place[-1] for each in lost if each.place[0] == "weights"]
        lines += [f"    weights: {', '.join(tensors)}"] if tensors else []
        others = [f"    {each}" for each in lost if each.place[0] != "weights"]
        lines += others[:SHOWN]
    if wrong:
        lines.append("results changed: mend that, or raise RECIPE (study/config/configuration.py)")
    if lacking:
        lines.append(f"not everything was compared: {'; '.join(lacking)}")
    return lines, wrong or bool(lacking)


def _lost(base: Mapping[str, Any], head: Mapping[str, Any]) -> Iterator[Difference]:
    """What `head` has otherwise or not at all; which files a cell consists of is no result."""
    for difference in differences(base, head):
        if difference.first != ABSENT and difference.place[:2] != ("record", "files"):
            yield difference


def _raised(base: Side, head: Side, cell: str) -> list[str]:
    """The cell's levels whose own recipes differ."""
    factors = head.cells[cell]["record"]["factors"]
    return [
        f"{group}={level}"
        for group, level in {**base.level_recipes, **head.level_recipes}
        if str(factors.get(group)).partition(" ")[0] == level
        and base.level_recipes.get((group, level), 1) != head.level_recipes.get((group, level), 1)
    ]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        print("compare:", error, file=sys.stderr)
        sys.exit(2)

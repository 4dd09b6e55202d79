"""Nothing that is read from a file is executed: no pickle, no unsafe YAML, no eval."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("study", "benchmarks", "clusters", "faults")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {
    "eval", "exec", "compile", "__import__", "torch.load", "torch.jit.load", "yaml.unsafe_load",
    "yaml.full_load", "pandas.read_pickle", "torch.hub.load", "read_pickle",
}  # fmt: skip

MEANT = {"docs/exercises.py": {"compile", "exec"}}
"""Running the code blocks of this project's own pages is what this file is for."""


def wrong(source: str) -> list[str]:
    """What in a piece of code could execute what it reads."""
    return list(_wrong(ast.parse(source)))


def _wrong(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _module(alias.name) in MODULES)
        elif isinstance(node, ast.ImportFrom) and _module(node.module or "") in MODULES:
            yield f"from {node.module}"
        elif isinstance(node, ast.Call):
            yield from _wrong_call(node)


def _module(name: str) -> str:
    return name.partition(".")[0]


def _wrong_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    words = [ast.unparse(argument) for argument in (*node.args, *(k.value for k in node.keywords))]
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if name in CALLS:
        yield name
    if name in ("yaml.load", "yaml.load_all") and not _is_safe(words[1:]):
        yield name
    if name in ("np.load", "numpy.load") and keywords.get("allow_pickle") != "False":
        yield f"{name} without allow_pickle=False"


def _is_safe(arguments: list[str]) -> bool:
    """Whether the only loaders in sight are the safe ones."""
    text = " ".join(arguments)
    return "SafeLoader" in text and "Unsafe" not in text and "FullLoader" not in text


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_code_executes_nothing_that_it_reads(path: Path) -> None:
    found = set(wrong(path.read_text(encoding="utf-8")))
    assert found <= MEANT.get(str(path.relative_to(ROOT)), set())


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "torch.load(path)",
        "torch.load(path, weights_only=True)",
        "yaml.load(text)",
        "yaml.load(text, yaml.FullLoader)",
        "yaml.load(text, Loader=yaml.UnsafeLoader)",
        "yaml.unsafe_load(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "eval('1')",
        "exec(code)",
    ],
)
def test_such_code_would_be_found(source: str) -> None:
    assert wrong(source)


@pytest.mark.parametrize(
    "source",
    ["yaml.safe_load(t)", "yaml.load(t, yaml.CSafeLoader)", "network.eval()", "re.compile"],
)
def test_and_what_is_safe_is_not(source: str) -> None:
    assert not wrong(source)

"""The source of a level that is not the project's own: which code a name in a configuration meant.

`activation=swish` names what `ACTIVATIONS["swish"]` in study/networks/activations.py says. Of a
level in `OWN` the project answers for that: RECIPE and golden weights hold it. Of any other the
source is read: the entry, the definitions that it names, those that they name, and so on
through the files of this tree, but neither installed packages nor other entries of a registry.
An entry that no file says in so many words, as one that a loop adds, has no source, and its cells
are not trained: a digest of it could not see every edit.
Nothing is imported, so that it can be told without torch; comments, docstrings and formatting do
not count, nor does the file in which a definition stands.
"""

import ast
import copy
import functools
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from study.errors import InputError

ROOT = Path(__file__).parents[2]
WORDS = ("label", "unit", "formula", "source")
"""What the decorator of a probe may say of its number."""
STARTED = time.time()
"""About when this process read the code that it runs."""

REGISTRIES: dict[str, tuple[str, str]] = {
    "activation.name": ("study.networks.activations", "ACTIVATIONS"),
    "init.name": ("study.networks.initializers", "INITIALIZERS"),
    "norm.name": ("study.networks.normalization", "NORMS"),
    "model.name": ("study.networks.models", "MODELS"),
    "model.pool": ("study.networks.models", "POOLS"),
    "pretraining.name": ("study.training.pretraining.greedy", "KINDS"),
    "pretraining.optimizer": ("study.training.optimizers", "OPTIMIZERS"),
    "pretraining.corruption": ("study.training.pretraining.autoencoder", "CORRUPTIONS"),
    "optimizer.name": ("study.training.optimizers", "OPTIMIZERS"),
    "schedule.name": ("study.training.optimizers", "SCHEDULES"),
    "loss": ("study.training.task", "LOSSES"),
    "data.name": ("study.data.sources", "SOURCES"),
    "data.normalize": ("study.data.normalize", "NORMALIZATIONS"),
    "data.test_shift": ("study.data.preparation", "SHIFTS"),
    "data.augment": ("study.data.preparation", "AUGMENTATIONS"),
    "probes.own": ("study.probes.measure", "OWN_PROBES"),
    "callbacks": ("study.training.trainer", "CALLBACKS"),
}
"""The module and the dictionary that say what a key's value means."""

BESIDE: dict[str, tuple[str, str]] = {
    "activation.name": ("study.training.stacking", "STACKED"),
    "init.name": ("study.networks.initialize", "DATA_DEPENDENT"),
    "norm.name": ("study.training.stacking", "STACKED"),
    "model.name": ("study.training.stacking", "STACKED"),
}
"""A dictionary with more to a level, under its name or that of one of its classes."""

OPAQUE = {*REGISTRIES.values(), *BESIDE.values()}
"""Tables that anyone adds to: to use one is not to depend on all its entries."""

COMPUTE_NOTHING = frozenset(
    f"study.{module}"
    for module in (
        *("config.keys", "config.kinds", "config.labels", "config.refused", "console", "errors"),
        *("files", "locks", "networks.registry", "levels", "config.own"),
    )
)
"""Modules that check, word or keep what is given: no number of theirs is in a level's results.

The value that a check lets pass is the configuration's, of which a signature knows.
"""

_OPTIMIZERS = frozenset(("sgd", "rmsprop", "adam", "adamw"))
OWN: dict[str, frozenset[str]] = {
    "activation.name": frozenset(
        (
            *("identity", "sigmoid", "tanh", "hard_tanh", "softsign", "lecun_tanh", "relu"),
            *("leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "mish", "softplus", "maxout"),
        )
    ),
    "init.name": frozenset(
        (
            *("zeros", "constant", "normal", "uniform", "standard", "lecun_normal"),
            *("xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "he_lecture"),
            *("he_average", "torch_default", "orthogonal", "delta_orthogonal", "lsuv"),
        )
    ),
    "norm.name": frozenset(("none", "batch")),
    "model.name": frozenset(("mlp", "cnn", "autoencoder")),
    "model.pool": frozenset(("max", "average")),
    "pretraining.name": frozenset(
        ("none", "autoencoder", "denoising_autoencoder", "rbm", "supervised")
    ),
    "pretraining.optimizer": _OPTIMIZERS,
    "pretraining.corruption": frozenset(("none", "masking", "gaussian")),
    "optimizer.name": _OPTIMIZERS,
    "schedule.name": frozenset(("constant", "step", "cosine")),
    "loss": frozenset(("cross_entropy", "squared_error")),
    "data.name": frozenset(
        ("mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100", "image_folder")
    ),
    "data.normalize": frozenset(
        ("standard", "centre", "pixel", "whiten", "unit", "binary", "none")
    ),
    "data.test_shift": frozenset(("none", "noise", "translate", "contrast")),
    "data.augment": frozenset(),
    "probes.own": frozenset(),
    "callbacks": frozenset(),
}
"""The project's own levels, whose results golden weights hold: a level that is new is in no list.

A level that joins them has its name added here, once its results will not change any more.
"""

_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)

Node = tuple[str, str]
"""A module and a name that it binds; the name `*` is all of them."""


@dataclass(frozen=True)
class Source:
    """A digest of a level's source, and the files that it is in: first the one to look into.

    `since` is when this process read them, if that was not as it started.
    """

    sha256: str
    files: tuple[Path, ...]
    since: float | None = None


ADDED: dict[tuple[str, str], Callable[[], Source]] = {}
"""By key and name what reads the source of a level that a user's own folder brought."""


@functools.cache
def source_of(key: str, name: str) -> Source | None:
    """The source of the level `name` that a `key` of `REGISTRIES` names; None if there is none.

    Once read it stays, as imported code does.
    """
    if (added := ADDED.get((key, name))) is not None:
        return added()
    return read_source(ROOT, key, name)


def required_source(key: str, name: str) -> Source:
    """The source of a level; InputError where none says what it is."""
    if source := source_of(key, name):
        return source
    module, registry = REGISTRIES[key]
    raise InputError(
        f"{key.removesuffix('.name')}={name}: {registry} in {module.replace('.', '/')}.py has no "
        f"entry {name!r} that can be read, nor has any file of study/ that adds one: write it as "
        f'`"{name}": ...` there, or as `{registry}["{name}"] = ...`; one of a folder of your own '
        "needs levels=DIR"
    )


def check_unchanged(key: str, name: str) -> None:
    """InputError if a level's file was written after this process had read its code.

    It would train what the file said before, under the name of what the file says now. And where
    no source says what a level is.
    """
    if name in OWN[key]:
        return
    source = required_source(key, name)
    for file in source.files:
        # What the project's own files say was read as the process started.
        read_at = STARTED if source.since is None or file.is_relative_to(ROOT) else source.since
        if file.stat().st_mtime > read_at:
            raise InputError(
                f"{key.removesuffix('.name')}={name}: {shown_file(file)} was changed after "
                "this Python had read it: start it anew (in a notebook, restart the kernel)"
            )


def shown_file(file: Path) -> str:
    """A file as a message names it: within the project, or wherever it is."""
    return (file.relative_to(ROOT) if file.is_relative_to(ROOT) else file).as_posix()


def read_definition(folder: Path, package: str, module: str, tree: ast.stmt) -> Source:
    """The source of a definition in a module of `package`, whose files are those of `folder`.

    With all that it names in its folder and in this project. What its decorators say of keys
    checks and words what is given, and what they call a probe words what is taken: neither counts.
    """
    reader = _Reader(ROOT, {package: folder})
    reader.collect(module, _WithoutKeys().visit(copy.deepcopy(tree)))
    text = "\n".join(sorted(reader.shapes.values()))
    files = dict.fromkeys([*filter(None, [reader.file(module)]), *reader.files])
    return Source(hashlib.sha256(text.encode()).hexdigest(), tuple(files))


class _WithoutKeys(ast.NodeTransformer):
    """Takes `key(...)` out of the arguments of a definition's decorators, and a probe's words."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        calls = [each for each in node.args if isinstance(each, ast.Call)]
        keys = [each for each in calls if _last_name(each.func) == "key"]
        node.args = [each for each in node.args if each not in keys]
        if _last_name(node.func) == "probe":
            node.keywords = [each for each in node.keywords if each.arg not in WORDS]
        return self.generic_visit(node)


def read_source(root: Path, key: str, name: str) -> Source | None:
    """The source of a level in the tree below `root`; None if no file of it has the entry.

    InputError for a file that is not Python's, if the entry needs it or is found nowhere else.
    """
    reader = _Reader(root)
    places = reader.take(*REGISTRIES[key], {name})
    if not places:
        for error in reader.unreadable.values():
            raise error
        return None
    if key in BESIDE:
        reader.take(*BESIDE[key], {name, *reader.names})
    files = dict.fromkeys([*reader.files, *map(reader.file, places)])
    text = "\n".join(sorted(reader.shapes.values()))
    return Source(hashlib.sha256(text.encode()).hexdigest(), tuple(filter(None, files)))


class _Reader:
    """Reads modules below a root, and collects what is reached from entries of their registries.

    `shapes` has a text for each statement that was reached, `names` what they define, and `files`
    where they are; `unreadable` are the files that might have had an entry.
    """

    def __init__(self, root: Path, packages: Mapping[str, Path] | None = None) -> None:
        self.root = root
        self.packages = packages or {}
        self.shapes: dict[int, str] = {}
        self.names: set[str] = set()
        self.files: dict[Path, None] = {}
        self.unreadable: dict[str, InputError] = {}
        self._parsed: dict[str, list[ast.stmt]] = {}
        self._bound: dict[str, dict[str, list[ast.stmt]]] = {}
        self._seen: set[Node] = set()

    def take(self, module: str, registry: str, keys: set[str]) -> list[str]:
        """Collects all entries under `keys`, and what they need; the modules that have some."""
        places = []
        for place in dict.fromkeys([module, *self._mentioning(registry)]):
            try:
                statements = self._statements(place)
            except InputError as error:
                self.unreadable[place] = error
                continue
            entries = [e for each in statements for e in _entries(each, registry, keys)]
            for entry in entries:
                self.collect(place, entry)
            if entries:
                places.append(place)
        return places

    def _mentioning(self, word: str) -> Iterator[str]:
        """The modules of the package whose text has a word."""
        for path in sorted((self.root / "study").rglob("*.py")):
            if word.encode() in path.read_bytes():
                parts = path.relative_to(self.root).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def collect(self, module: str, tree: ast.AST) -> None:
        """Takes a statement or an expression of a module, and all that it names."""
        if id(tree) in self.shapes:
            return
        self.shapes[id(tree)] = _shape(tree)
        path = self.file(module)
        if path and isinstance(tree, ast.stmt):
            self.files.setdefault(path)
        for name, attribute in _references(tree):
            self._visit(self._targets(module, name, attribute))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):  # inside a function
                for alias in node.names:
                    self._visit(self._imported(module, node, alias, None))

    def _visit(self, nodes: Iterator[Node]) -> None:
        for node in nodes:
            module, name = node
            if node in self._seen or node in OPAQUE or module in COMPUTE_NOTHING:
                continue
            self._seen.add(node)
            bound = self._names_of(module)
            if name == "*":
                self._visit((module, own) for own in bound)
            for statement in bound.get(name, []):
                if isinstance(statement, ast.Import | ast.ImportFrom):
                    self._visit(self._targets(module, name, None))
                else:
                    self.names.add(name)
                    self.collect(module, statement)

    def _targets(self, module: str, name: str, attribute: str | None) -> Iterator[Node]:
        """What a name stands for in a module: a definition in it, or in one that it imports."""
        for statement in self._names_of(module).get(name, []):
            if not isinstance(statement, ast.Import | ast.ImportFrom):
                yield module, name
            elif _brings_all(statement):
                yield from self._imported(module, statement, ast.alias(name), attribute)
            else:
                for alias in statement.names:
                    if _bound_by(alias, statement) == name:
                        yield from self._imported(module, statement, alias, attribute)

    def _imported(
        self,
        module: str,
        statement: ast.Import | ast.ImportFrom,
        alias: ast.alias,
        attribute: str | None,
    ) -> Iterator[Node]:
        """What an import brings, as far as it is from a file of the tree."""
        if isinstance(statement, ast.Import):
            if self.file(alias.name):
                yield alias.name, attribute if attribute and alias.asname else "*"
            return
        source = self._origin(module, statement)
        if not self.file(source):
            return
        below = f"{source}.{alias.name}"
        if alias.name not in self._names_of(source) and self.file(below):
            yield below, attribute or "*"
        else:
            yield source, alias.name

    def _origin(self, module: str, statement: ast.ImportFrom) -> str:
        """The module that a statement of another imports from."""
        source = statement.module or ""
        if not statement.level:
            return source
        parts = module.split(".")
        path = self.file(module)
        up = statement.level - (path is not None and path.name == "__init__.py")
        return ".".join([*parts[: len(parts) - up], *([source] if source else [])])

    def file(self, module: str) -> Path | None:
        """The file of a module, if it is one of the tree."""
        base = self.root.joinpath(*module.split("."))
        for package, folder in self.packages.items():
            if f"{module}.".startswith(f"{package}."):
                base = folder.joinpath(*module[len(package) :].split(".")[1:])
        choices = base.with_name(f"{base.name}.py"), base / "__init__.py"
        return next((path for path in choices if module and path.is_file()), None)

    def _names_of(self, module: str) -> dict[str, list[ast.stmt]]:
        """The statements of a module by the names that they bind."""
        if module not in self._bound:
            bound = self._bound[module] = {}
            for statement in self._statements(module):
                names = _bound_names(statement)
                for node in _outer(statement):
                    if _brings_all(node):
                        names |= self._names_of(self._origin(module, node)).keys()
                for name in names:
                    bound.setdefault(name, []).append(statement)
        return self._bound[module]

    def _statements(self, module: str) -> list[ast.stmt]:
        """The statements of a module, none if it is not of the tree; InputError if not Python's."""
        if module not in self._parsed:
            path = self.file(module)
            try:
                self._parsed[module] = ast.parse(path.read_bytes()).body if path else []
            except (SyntaxError, ValueError) as error:
                line = f" line {error.lineno}:" if isinstance(error, SyntaxError) else ""
                raise InputError(f"{module} cannot be read:{line} {error.args[0]}") from None
        return self._parsed[module]


def _bound_names(statement: ast.stmt) -> set[str]:
    """The names that a statement of a module defines, or whose value it changes."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {_bound_by(alias, statement) for alias in statement.names}
    names = set()
    for node in _outer(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {_bound_by(alias, node) for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            names.add(_root(node.value.func))  # NAMES.update(...)
        elif isinstance(getattr(node, "ctx", None), ast.Store):
            names.add(_root(node))
    return names


def _outer(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement whose names are the module's, not those of a scope of their own."""
    yield node
    if not isinstance(node, _SCOPES):
        for child in ast.iter_child_nodes(node):
            yield from _outer(child)


def _bound_by(alias: ast.alias, statement: ast.Import | ast.ImportFrom) -> str:
    whole = alias.asname or alias.name
    return whole.partition(".")[0] if isinstance(statement, ast.Import) else whole


def _brings_all(node: ast.AST) -> TypeGuard[ast.ImportFrom]:
    """Whether this is `from ... import *`."""
    return isinstance(node, ast.ImportFrom) and node.names[0].name == "*"


def _root(node: ast.AST) -> str:
    """`name` of `name.attribute[index]`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _mentioned(tree: ast.AST) -> set[str]:
    """The names and attributes in a piece of code."""
    return {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
    }


def _entries(statement: ast.stmt, registry: str, keys: set[str]) -> Iterator[ast.AST]:
    """What a statement puts into a registry under one of `keys`: texts, or the names of classes.

    That is the value; of a statement that has the entry somewhere within, as a loop, all of it.
    """

    def fits(key: ast.expr | None) -> bool:
        if isinstance(key, ast.Constant):
            return key.value in keys
        return isinstance(key, ast.Name | ast.Attribute) and not keys.isdisjoint(_mentioned(key))

    for node in ast.walk(statement):
        match node:
            case ast.Assign(targets=targets, value=table):
                pass
            case (
                ast.AnnAssign(target=target, value=ast.Dict() as table)
                | ast.AugAssign(target=target, value=table)
            ):
                targets = [target]
            case ast.Call(func=ast.Attribute(value=target, attr="update"), args=[table, *_]):
                targets = [target]
            case _:
                continue
        values = []
        for target in targets:
            if isinstance(target, ast.Subscript):
                if registry == _last_name(target.value) and fits(target.slice):
                    values.append(table)
            elif registry == _last_name(target) and isinstance(table, ast.Dict):
                pairs = zip(table.keys, table.values, strict=True)
                values += [value for key, value in pairs if fits(key)]
        is_plain = node is statement or node is getattr(statement, "value", None)
        yield from values if is_plain else [statement] * bool(values)


def _last_name(node: ast.AST) -> str:
    """`NAME` of `NAME` and of `module.NAME`."""
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _references(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Every name in a piece of code, with the attribute that is taken of it, if one is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Name) and not isinstance(node, ast.Attribute):
                yield child.id, None
    if isinstance(tree, ast.Name):
        yield tree.id, None


def _shape(node: Any) -> str:
    """Code without its layout, comments and docstrings: the same on every version of Python."""
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__} {node.value!r}"
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if name != "ctx"]
        # What a version of Python adds to its trees is empty in code for earlier ones.
        parts = [f"{name}={_shape(value)}" for name, value in fields if value not in (None, [])]
        return f"{type(node).__name__}({', '.join(parts)})"
    if isinstance(node, list):
        return f"[{', '.join(_shape(item) for item in node if not _is_remark(item))}]"
    return repr(node)


def _is_remark(node: Any) -> bool:
    """Whether a statement is a text that nobody reads: a docstring."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )

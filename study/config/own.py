"""Levels of one's own: a folder of Python files and YAML groups that a user names.

`levels=DIR` on a command line, `levels:` in an experiment's file or STUDY_LEVELS names the folder;
an installed package has one by an entry point of the group `study.levels`. What a folder declares,
names, keys and YAML, is *read*: the files are parsed, and nothing of them is run, so that `study
list|status|table` need no PyTorch. They are run (`register`) where networks are about to be built.
A record never names a folder: what it says of `levels` is not looked at.
"""

import ast
import functools
import importlib
import importlib.util
import inspect
import os
import re
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from study.config import kinds
from study.config.keys import KEYS, Key
from study.config.kinds import Kind
from study.config.level_source import (
    ADDED,
    OWN,
    REGISTRIES,
    WORDS,
    Source,
    read_definition,
    read_source,
    source_of,
)
from study.config.level_source import ROOT as PROJECT
from study.errors import InputError, shown, unknown

VARIABLE = "STUDY_LEVELS"
ENTRY_POINTS = "study.levels"
PACKAGE = "own_levels"
"""What the files of a folder are imported as: they see each other as `from .other import name`."""


@dataclass(frozen=True)
class Form:
    """What a decorator registers: under which key, and which arguments its function is given.

    A key such as `activation.name` takes one, and has YAML files in its group; others take a list.
    """

    key: str
    arguments: tuple[str, ...]
    example: str
    needs: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.key.partition(".")[0]

    @property
    def label(self) -> str:
        """What stands before `=` where one is named: `activation`, `callbacks`."""
        return self.key.removesuffix(".name")

    @property
    def takes_list(self) -> bool:
        """Whether the key takes a list of names, and no YAML file names any."""
        return self.label == self.key


FORMS: dict[str, Form] = {
    "activation": Form("activation.name", (), "def swish(*, beta=1.0)"),
    "initialization": Form(
        "init.name", ("weight", "generator"), "def truncated(weight, generator, *, std=0.02)"
    ),
    "norm": Form("norm.name", ("num_features",), "def layer(num_features, *, eps=1e-5)"),
    "model": Form(
        "model.name",
        ("input_shape", "num_classes"),
        "def residual(input_shape, num_classes, *, widths, activation, norm)",
        ("activation", "norm"),
    ),
    "optimizer": Form("optimizer.name", ("groups", "lr"), "def lion(groups, lr, *, beta1=0.9)"),
    "schedule": Form(
        "schedule.name", ("epoch", "num_epochs"), "def linear(epoch, num_epochs, *, factor=0.1)"
    ),
    "dataset": Form("data.name", (), "class Digits"),
    "augmentation": Form(
        "data.augment", ("images", "generator"), "def cutout(images, generator, *, side=8)"
    ),
    "probe": Form("probes.own", ("layer",), "def largest(layer)"),
    "callback": Form("callbacks", (), "class Average(lightning.Callback)"),
}
"""The decorators, by name."""

_KINDS: dict[str, Any] = {name: getattr(kinds, name) for name in kinds.__all__}


@dataclass(frozen=True)
class NewKey:
    """A key that a level brings: its name within the group, what it takes, a line of help."""

    name: str
    kind: Kind
    help: str


def key(name: str, kind: Kind, help: str) -> NewKey:
    """A key of a level, beside its function: `@activation(key("beta", number(0), "steepness"))`.

    The kind is made of `number`, `whole`, `choice`, `FLAG` and the others of `study.levels`, of
    literal values: it is read without being run.
    """
    return NewKey(name, kind, help)


@dataclass(frozen=True)
class Declared:
    """A level as a file of a folder declares it, read and not run."""

    kind: str
    name: str
    path: Path
    line: int
    module: str
    tree: ast.stmt = field(repr=False)
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def form(self) -> Form:
        return FORMS[self.kind]

    @property
    def headline(self) -> str:
        """The first line of its docstring."""
        assert isinstance(self.tree, ast.FunctionDef | ast.ClassDef)
        return (ast.get_docstring(self.tree) or "").partition("\n")[0]

    def __str__(self) -> str:
        return f"{self.form.label}={self.name}"


@dataclass(frozen=True)
class Folder:
    """A folder of levels: where it is, what its modules are called, and what it declares."""

    path: Path
    package: str
    files: tuple[Path, ...]
    declared: tuple[Declared, ...]
    keys: Mapping[str, Key]
    stamp: tuple[tuple[str, int], ...]
    read_at: float

    def declares(self, label: str, name: str) -> bool:
        """Whether `label=name`, such as `activation=swish`, is declared here."""
        return any((each.form.label, each.name) == (label, name) for each in self.declared)


@dataclass(frozen=True)
class Registered:
    """What a decorator was given while a folder's files ran."""

    kind: str
    name: str
    function: Callable[..., Any]
    options: Mapping[str, Any]


class _State:
    """What is in use in this process, and what has run."""

    folders: tuple[Folder, ...] | None = None
    running: list[Registered]
    undo: list[Callable[[], object]]
    registered: tuple[Registered, ...] | None = None

    def __init__(self) -> None:
        self.running, self.undo = [], []


_STATE = _State()


# In use.


def folders() -> tuple[Folder, ...]:
    """The folders in use: the one that was named, else that of STUDY_LEVELS; then packages'."""
    if _STATE.folders is None:
        use(None)
    return _STATE.folders or ()


def named_folder() -> Path | None:
    """The folder that a user named; None where packages alone have levels, or nothing has."""
    return next((each.path for each in folders() if each.package == PACKAGE), None)


def use(directory: str | os.PathLike[str] | None) -> None:
    """Has the levels of a folder known from here on, or of STUDY_LEVELS, or of none.

    Nothing is run. Raises `InputError` for a folder that is missing, and for what is wrong in it.
    """
    directory = directory or os.environ.get(VARIABLE) or None
    places = [] if directory is None else [(Path(directory).expanduser(), PACKAGE)]
    places += list(_of_packages())
    now = [(path.absolute(), _stamp(path)) for path, _ in places]
    if _STATE.folders is not None and now == [(each.path, each.stamp) for each in _STATE.folders]:
        return
    _STATE.folders = ()
    _forget()
    found: list[Folder] = []
    for path, package in places:
        found.append(read_folder(path, package, found))
    for folder in found:
        KEYS.update(folder.keys)
        for each in folder.declared:
            ADDED[each.form.key, each.name] = functools.partial(_source, folder, each)
    _STATE.folders = tuple(found)


def _forget() -> None:
    """Takes away what folders brought."""
    for undo in reversed(_STATE.undo):
        undo()
    for name in [name for name, each in KEYS.items() if isinstance(each, OwnKey)]:
        del KEYS[name]
    ADDED.clear()
    source_of.cache_clear()
    _STATE.undo.clear()
    _STATE.registered = None


@dataclass(frozen=True)
class OwnKey(Key):
    """A key that a folder brought."""


def _of_packages() -> Iterator[tuple[Path, str]]:
    """The folders of installed packages: found, not imported."""
    for point in entry_points(group=ENTRY_POINTS):
        top, *rest = point.value.partition(":")[0].split(".")
        spec = importlib.util.find_spec(top)
        places = list((spec and spec.submodule_search_locations) or ())
        if not places:
            raise InputError(
                f"the entry point {point.name} = {shown(point.value)} of {ENTRY_POINTS} names no "
                "package"
            )
        yield Path(places[0], *rest), ".".join((top, *rest))


def _stamp(path: Path) -> tuple[tuple[str, int], ...]:
    """What tells that a folder is as it was: its files and when each was written."""
    found = (each for kind in ("*.py", "*/*.yaml") for each in path.glob(kind))
    return tuple(sorted((str(each), each.stat().st_mtime_ns) for each in found))


def _source(folder: Folder, level: Declared) -> Source:
    """The digest of a level's source, with what it names in its folder and in this package."""
    source = read_definition(folder.path, folder.package, level.module, level.tree)
    return Source(source.sha256, source.files, since=folder.read_at)


# Reading.


def read_folder(path: Path, package: str = PACKAGE, others: Sequence[Folder] = ()) -> Folder:
    """What a folder declares; `InputError`, with file and line, for what cannot be used."""
    if not path.is_dir():
        raise InputError(
            f"levels={shown(path)} is no folder; `study levels new DIR` makes one to start from"
        )
    read_at, stamp = time.time(), _stamp(path)
    files = tuple(sorted(path.glob("*.py")))
    declared: list[Declared] = []
    keys: dict[str, Key] = {}
    for file in files:
        for level in _read_file(file, package):
            earlier = [*declared, *(each for other in others for each in other.declared)]
            if level.name in OWN[level.form.key] or any(
                (each.form.key, each.name) == (level.form.key, level.name) for each in earlier
            ):
                raise _wrong(file, level.line, f"{level} exists already; give it another name")
            _check_signature(level)
            for new, line in _keys_of(level, file):
                if level.kind in ("callback", "dataset", "probe"):
                    text = f"a {level.kind} has no keys: write the value into it"
                    raise _wrong(file, line, text)
                dotted = f"{level.form.group}.{new.name}"
                if dotted in KEYS and not isinstance(KEYS[dotted], OwnKey):
                    raise _wrong(file, line, f"{dotted} is a key already; leave key(...) out")
                keys[dotted] = OwnKey("result", new.kind, f"{new.help} ({level.name})")
            declared.append(level)
    return Folder(path.absolute(), package, files, tuple(declared), keys, stamp, read_at)


def check_yaml(folder: Folder, group: str, file: Path, name: object, conf: Path) -> None:
    """`InputError` for a YAML file of a folder that hides one of conf/, or names no function."""
    if (conf / group / file.name).exists():
        raise InputError(f"{file}: conf/{group}/{file.name} exists; give it another name")
    key_of = f"{group}.name"
    if not isinstance(name, str) or key_of not in OWN or folder.declares(group, name):
        return
    if name not in OWN[key_of] and read_source(PROJECT, key_of, name) is None:
        (kind,) = [kind for kind, form in FORMS.items() if form.key == key_of]
        own = [each.name for each in folder.declared if each.kind == kind]
        raise InputError(
            f"{file}: no function registers {unknown(kind, name, own or sorted(OWN[key_of]))}"
            if own
            else f"{file}: no @{kind} {name} in {folder.path}/*.py, nor in this package"
        )


def check_names(flat: Mapping[str, Any]) -> None:
    """`InputError` where a key that lists levels of one's own has a name that no folder declares.

    `flat` are canonical values by dotted key.
    """
    for kind, form in FORMS.items():
        declared = [each for folder in folders() for each in folder.declared if each.kind == kind]
        for name in flat.get(form.key, ()) if form.takes_list else ():
            if name not in (names := [each.name for each in declared]):
                raise (
                    InputError(f"{unknown(kind, name, names)}")
                    if names
                    else InputError(
                        f"{form.key}=[{shown(name)}]: no folder of levels has {kind}s: name one "
                        "that has, levels=DIR"
                    )
                )


def _read_file(file: Path, package: str) -> Iterator[Declared]:
    """The levels that a file declares, in its order."""
    try:
        body = ast.parse(file.read_bytes()).body
    except SyntaxError as error:
        raise _wrong(file, error.lineno or 1, f"syntax error: {error.msg}") from None
    except ValueError as error:
        raise _wrong(file, 1, f"no Python: {error}") from None
    module = package if file.name == "__init__.py" else f"{package}.{file.stem}"
    for statement in body:
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            continue
        for decorator in statement.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            kind = _name(call.func if call else decorator)
            if kind not in FORMS:
                continue
            name = statement.name
            if call and call.args and isinstance(call.args[0], ast.Constant):
                name = call.args[0].value  # type: ignore[assignment]
            if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z]\w{0,99}", name):
                raise _wrong(file, decorator.lineno, f"@{kind}: {shown(name)} is no plain name")
            words = _words_of(call, file) if call and kind == "probe" else {}
            yield Declared(kind, name, file, statement.lineno, module, statement, words)


def _words_of(call: ast.Call, file: Path) -> dict[str, str]:
    """What the decorator of a probe says of its number, read."""
    words = {}
    for each in call.keywords:
        if each.arg not in WORDS:
            raise _wrong(file, call.lineno, f"{unknown('word of a probe', each.arg, WORDS)}")
        if not isinstance(each.value, ast.Constant) or not isinstance(each.value.value, str):
            raise _wrong(file, call.lineno, f"{each.arg}: write a text, it is read and not run")
        words[each.arg] = each.value.value
    return words


def _keys_of(level: Declared, file: Path) -> Iterator[tuple[NewKey, int]]:
    """The keys that a level's decorator declares, read."""
    assert isinstance(level.tree, ast.FunctionDef | ast.ClassDef)
    for decorator in level.tree.decorator_list:
        for node in decorator.args if isinstance(decorator, ast.Call) else ():
            if isinstance(node, ast.Call) and _name(node.func) == "key":
                try:
                    new = key(*map(_read_value, node.args), **_read_options(node))
                except (ValueError, TypeError) as error:
                    text = f'{error}; write key("name", number(0), "what it is") of literal values'
                    raise _wrong(file, node.lineno, f"key(...): {text}") from None
                if not isinstance(new.kind, Kind) or not str(new.name).isidentifier():
                    raise _wrong(file, node.lineno, 'write key("name", number(), "what it is")')
                yield new, node.lineno


def _read_value(node: ast.expr) -> Any:
    """A literal, or a kind made of literals; ValueError for anything else."""
    if isinstance(node, ast.Call):
        if (name := _name(node.func)) not in _KINDS:
            raise ValueError(f"no kind of value is called {name!r}: {', '.join(_KINDS)}")
        return _KINDS[name](*map(_read_value, node.args), **_read_options(node))
    if isinstance(node, ast.Name | ast.Attribute):
        if isinstance(kind := _KINDS.get(_name(node)), Kind):
            return kind
        raise ValueError(f"{ast.unparse(node)} is no literal")
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{ast.unparse(node)} is no literal") from None


def _read_options(node: ast.Call) -> dict[str, Any]:
    return {str(each.arg): _read_value(each.value) for each in node.keywords}


def _check_signature(level: Declared) -> None:
    """`InputError` for a function that does not take what it will be given."""
    tree = level.tree
    of_class = isinstance(tree, ast.ClassDef)
    if isinstance(tree, ast.ClassDef):
        found = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
        makers = [each for each in found if each.name == "__init__"]
        if not makers:
            return  # Inherited: `register` asks the class.
        signature = makers[0].args
    else:
        assert isinstance(tree, ast.FunctionDef)
        signature = tree.args
    given = [each.arg for each in (*signature.posonlyargs, *signature.args)][int(of_class) :]
    only = [each.arg for each in signature.kwonlyargs]
    _check_arguments(level, given, len(signature.defaults), only, bool(signature.kwarg))


def _check_arguments(
    level: Declared, given: list[str], num_defaults: int, only: list[str], takes_any: bool
) -> None:
    form = level.form
    missing = [name for name in form.needs if name not in only and not takes_any]
    fits = len(given) - num_defaults <= len(form.arguments) <= len(given) and not missing
    draws = "generator" in form.arguments
    if fits and (not draws or given[1] == "generator"):
        return
    if draws and "generator" not in given:
        lack = "its signature lacks the generator"
    elif missing:
        lack = f"its signature lacks the keyword {missing[0]}"
    else:
        none = "nothing" if form.takes_list else "keywords alone"
        lack = f"it is given {', '.join(form.arguments) or none}"
    raise _wrong(
        level.path, level.line, f"{level.kind} {level.name}: {lack}: write such as {form.example}"
    )


def _wrong(file: Path, line: int, text: str) -> InputError:
    return InputError(f"{file} line {line}: {text}")


def _name(node: ast.AST) -> str:
    """`name` of `name` and of `module.name`."""
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


# Running.


def decorator(kind: str) -> Callable[..., Any]:
    """The decorator that registers levels of a kind: `@it`, `@it("name")`, `@it(key(...))`."""

    def decorate(*given: Any, **options: Any) -> Any:
        name = next((each for each in given if isinstance(each, str)), None)

        def register_as(function: Any) -> Any:
            own = name or function.__name__
            _STATE.running.append(Registered(kind, own, function, options))
            return function

        if len(given) == 1 and callable(given[0]) and not options:
            return register_as(given[0])
        return register_as

    decorate.__name__ = decorate.__qualname__ = kind
    decorate.__doc__ = f"Registers {FORMS[kind].example} as a level of {FORMS[kind].label}."
    return decorate


def register() -> tuple[Registered, ...]:
    """Runs the files of the folders in use, once, and enters what they register.

    It imports PyTorch. Raises `InputError` for a file that fails, with its line.
    """
    found = folders()
    if _STATE.registered is not None:
        return _STATE.registered
    done: list[Registered] = []
    for folder in found:
        _STATE.running.clear()
        _run(folder)
        ran = {(each.kind, each.name) for each in _STATE.running}
        for level in folder.declared:
            if (level.kind, level.name) not in ran:
                raise _wrong(level.path, level.line, f"@{level.kind} is not that of study.levels")
        read = {(each.kind, each.name): each for each in folder.declared}
        for each in _STATE.running:
            if (each.kind, each.name) not in read:
                raise InputError(
                    f"{folder.path}: {each.kind} {each.name} is registered where it cannot be "
                    "read: write its decorator above a function or class of the file"
                )
            _enter(each, read[each.kind, each.name])
        done += _STATE.running
    _STATE.registered = tuple(done)
    return _STATE.registered


def _run(folder: Folder) -> None:
    """Imports every file of a folder, anew where it was imported before."""
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{folder.package}.")]:
        if folder.package == PACKAGE:
            del sys.modules[name]
    if folder.package == PACKAGE:
        package = types.ModuleType(PACKAGE)
        package.__path__ = [str(folder.path)]
        sys.modules[PACKAGE] = package
        importlib.invalidate_caches()
    # Bytecode is told apart by size and whole seconds: an edit could be overlooked.
    writes_none = sys.dont_write_bytecode
    sys.dont_write_bytecode = writes_none or folder.package == PACKAGE
    try:
        _import(folder)
    finally:
        sys.dont_write_bytecode = writes_none


def _import(folder: Folder) -> None:
    for file in folder.files:
        if file.name == "__init__.py" and folder.package == PACKAGE:
            continue
        name = folder.package if file.name == "__init__.py" else f"{folder.package}.{file.stem}"
        try:
            importlib.import_module(name)
        except InputError:
            raise
        except Exception as error:
            raise _wrong(file, _line_in(error, file), f"{type(error).__name__}: {error}") from None


def _line_in(error: Exception, file: Path) -> int:
    """The last line of a file that an error passed through."""
    line, trace = 1, error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == file.absolute():
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _enter(given: Registered, level: Declared) -> None:
    """Puts a level into the registry that its key is looked up in, and beside it what it brings."""
    module, name = REGISTRIES[level.form.key]
    registry = getattr(importlib.import_module(module), name)
    if given.name in registry:
        raise _wrong(level.path, level.line, f"{level} exists already; give it another name")
    parameters = inspect.signature(given.function).parameters.values()
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [each for each in parameters if each.kind in plain]
    takes_all = any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters)
    if not takes_all:
        _check_arguments(
            level,
            [each.name for each in positional],
            sum(each.default is not inspect.Parameter.empty for each in positional),
            [each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY],
            any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters),
        )
    _put(registry, given.name, _as_entry(given))
    if (form := given.options.get("stacked")) is not None:
        stacking = importlib.import_module("study.training.stacking")
        _put(stacking.STACKED, given.function, form)


def _put(table: dict[Any, Any], name: Any, value: Any) -> None:
    table[name] = value
    _STATE.undo.append(functools.partial(table.pop, name, None))


def _as_entry(given: Registered) -> Any:
    """A function as the registry of its kind has it."""
    function = given.function
    if given.kind == "model":
        return function, function
    if given.kind == "dataset":
        return function()
    if given.kind in ("optimizer", "schedule"):
        # Its keywords are its keys, as everywhere; the registry's functions take a mapping.
        names = [
            each.name
            for each in inspect.signature(function).parameters.values()
            if each.kind is inspect.Parameter.KEYWORD_ONLY
        ]

        def entry(first: Any, second: float, config: Mapping[str, Any]) -> Any:
            return function(first, second, **{name: config[name] for name in names})

        entry.is_elementwise = bool(given.options.get("elementwise"))  # type: ignore[attr-defined]
        return entry
    return function


def is_own(kind: type) -> bool:
    """Whether a class is of a folder in use."""
    return any(f"{kind.__module__}.".startswith(f"{each.package}.") for each in folders())


def variance_of(name: str) -> Callable[..., float] | None:
    """The law of an initialization of a folder, (shape, keys) -> variance, if it gives one."""
    for each in register():
        if (each.kind, each.name) == ("initialization", name):
            law: Callable[..., float] | None = each.options.get("variance")
            return law
    return None

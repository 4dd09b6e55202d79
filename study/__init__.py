"""Ablation studies of how neural networks are trained.

`study.load("outputs/NAME", activation="relu", seed=0)` gives a trained network as a plain module,
`study.frame("outputs/NAME")` one row per replica as a pandas frame, and `study.probe_frame` one row
per replica, moment and layer. `study.population("norm=batch", "seeds=2")` gives the module and the
data of a cell to a `lightning.Trainer` of one's own. Importing the package imports nothing else:
the command must start on a Python that has no package installed yet.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from study.launch.notebook import population as population
    from study.outputs.load import load as load
    from study.outputs.records import frame as frame
    from study.outputs.series import probe_frame as probe_frame

if sys.path[:1] == __path__:
    # `python study/__main__.py`: its own directory is the first of the path, where `data` and
    # `config` would be found for others of these names.
    del sys.path[0]


def _started() -> str | None:
    """The module or the file of this package that this Python was told to run."""
    if sys.argv[:1] == ["-m"]:  # until `python -m` has found its module, which it then puts here
        module = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
        return module if module.startswith("study.") else None
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None) or ""
    is_script = getattr(main, "__spec__", None) is None
    return file if is_script and file.startswith(tuple(__path__)) else None


if _part := _started():
    from study.console import check_started

    check_started(_part)

__version__ = "0.1.0"
__all__ = ["__version__", "frame", "load", "population", "probe_frame"]

_HOMES = {
    "frame": "study.outputs.records",
    "load": "study.outputs.load",
    "population": "study.launch.notebook",
    "probe_frame": "study.outputs.series",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'study' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The groups of a configuration, typed: what code reads of each by name.

A default is what the absence of a key means, whether its level has no such key or the record is
older than it. Where anyone adds levels, each with keywords of its own, `level` has all that a level
says, by name, as its function takes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from study.networks.registry import Arguments

NUM_EXAMPLES = 1024
"""Images that a network is measured on where no key says how many."""


@dataclass(frozen=True)
class LevelGroup:
    """A group of which nothing is read but its name; `level` goes to the level's function."""

    name: str
    level: "Arguments"


@dataclass(frozen=True)
class DataGroup:
    """`val_size` is a count, or a share of the training images.

    `augment` names augmentations of a folder of levels, which take keys of their own from `level`.
    """

    name: str
    root: str | None = None
    cache: str | None = None
    val_size: float = 5000
    train_size: int | None = None
    test_size: int | None = None
    split_seed: int = 0
    normalize: str = "standard"
    zca_epsilon: float = 1e-2
    flip: bool = False
    crop: int = 0
    augment: Sequence[str] = field(default=(), hash=False)
    test_shift: str = "none"
    test_shift_strength: float | None = None
    level: "Arguments" = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class ModelGroup(LevelGroup):
    widths: Sequence[int] = ()
    code: int = 0


@dataclass(frozen=True)
class NormGroup(LevelGroup):
    evaluation: str = "running"
    eval_batch_size: int = 1


@dataclass(frozen=True)
class OptimizerGroup(LevelGroup):
    """`lr` are the learning rates to choose from, in ascending order."""

    lr: Sequence[float]
    weight_decay: float = 0.0
    clip_norm: float | None = None


@dataclass(frozen=True)
class ScheduleGroup(LevelGroup):
    warmup_epochs: float


@dataclass(frozen=True)
class PretrainingGroup:
    """`epochs`, `lr`, `batch_size` and `optimizer` are of every layer, or lists of one a layer."""

    name: str
    layers: int | str = "all"
    epochs: int | Sequence[int] = 0
    lr: float | Sequence[float] = 0.0
    batch_size: int | Sequence[int] = 1
    optimizer: str | Sequence[str] = ""
    momentum: float = 0.0
    weight_decay: float = 0.0
    decoder: str = "tied"
    loss: str = "squared"
    corruption: str = "none"
    corruption_level: float = 0.0
    visible: str = "bernoulli"
    hidden: str = "auto"
    mean_field: bool = False
    cd_steps: int = 1
    persistent: bool = False
    final_momentum: float = 0.0
    momentum_switch: int = 0
    weight_cost: float = 0.0
    equal_budget: bool = False


@dataclass(frozen=True)
class ProbesGroup:
    name: str
    num_examples: int = NUM_EXAMPLES
    steps: int | Sequence[int] = 0
    epochs: str = "last"
    thorough: str = "ends"
    own: Sequence[str] = ()


@dataclass(frozen=True)
class PairsGroup:
    points: int = 0


@dataclass(frozen=True)
class TrainerGroup:
    max_epochs: int
    precision: str
    accelerator: str
    devices: int = 1
    threads: int | None = None
    checkpoint_seconds: float | None = None
    detect_anomaly: bool = False
    profiler: str | None = None
    enable_progress_bar: bool = True
    fast_dev_run: bool = False


@dataclass(frozen=True)
class PopulationGroup:
    engine: str = "auto"
    products: str = "auto"
    compile: bool = False
    max_replicas: int | None = None


@dataclass(frozen=True)
class OutputsGroup:
    weights: str = "chosen"
    tensorboard: str = "cell"


@dataclass(frozen=True)
class SweepGroup:
    max_failures: int = 3
    exclude: Sequence[Mapping[str, Any]] = ()


GroupType = TypeVar("GroupType")


def typed(group: type[GroupType], values: Mapping[str, Any]) -> GroupType:
    """The group of canonical values; what it has no field for is in `level` alone, if there is."""
    names = [field.name for field in fields(group)]  # type: ignore[arg-type]
    known = {name: values[name] for name in names if name in values}
    return group(**known, **({"level": values} if "level" in names else {}))

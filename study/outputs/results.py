"""A cell's record, result.json, and what of it stands for the cell."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from study.outputs.metrics import PROBES, Metric
from study.outputs.schema import (
    SCHEMA,
    Check,
    Count,
    CountFromOne,
    Level,
    NotNegative,
    Positive,
    Row,
    SchemaError,
    check_schema,
    reader,
    require_seal,
    seal,
    to_json,
)

if TYPE_CHECKING:
    from torch import Tensor

CELL_SECONDS = ("wall_seconds", "pretraining_seconds")
"""The two parts of a cell's time in its record."""
WEIGHTS_SHA256 = ("weights_sha256", "best_weights_sha256")
"""The hashes in a replica's entry: of its weights at its last epoch, and of those of its headline.

Records from before the best epoch's were kept have the first alone.
"""
CHOSEN: Literal["chosen"] = "chosen"
FileName = Annotated[
    str, Check("name of a file", lambda name: bool(re.fullmatch(r"\w[^/\\]*", name)))
]
Digest = Annotated[
    str, Check("sha256", lambda it: isinstance(it, str) and bool(re.fullmatch("[0-9a-f]{64}", it)))
]


TORCH = "torch"
"""Whose products dense layers took where a record does not say: there was no other library."""


@dataclass(frozen=True)
class Resumed:
    """A checkpoint that training went on from: its epoch, and where it was made."""

    epoch: Count
    device: str
    threads: CountFromOne
    packing: tuple[CountFromOne, ...]
    git_commit: str | None
    git_diff_sha256: str | None
    torch: str | None
    processor: str | None
    gpu: str | None
    products: str = TORCH


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from: code, versions, machine, and how it was trained.

    `packing`: the sizes of the groups that were trained as one; `populations` names their replicas
    (none: by the stated rule). `products`: the library that multiplied dense layers, such as
    `numpy (OpenBLAS 0.3.31, SkylakeX)`.
    `own_probes`: what a user's own are called, their formulas and units.
    `signature`: of the record that a replica was copied from; a cell's own stands in its record.
    """

    git_commit: str | None
    git_diff_sha256: str | None
    packages: Mapping[str, str | None]
    python: str
    platform: str
    processor: str
    command: str
    recipe: Count
    data_fingerprint: str
    device: str
    gpu: str | None
    threads: CountFromOne
    engine: str
    packing: tuple[CountFromOne, ...]
    populations: tuple[tuple[tuple[str, ...], ...], ...]
    alone: str | None
    slurm_job: str | None
    resumed: tuple[Resumed, ...]
    processor_model: str | None = None
    products: str = TORCH
    levels: Mapping[str, CountFromOne | str] = field(default_factory=dict)
    own_probes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    signature: str | None = None


@dataclass(frozen=True)
class ReplicaResult:
    """One replica's entry of a record: a loss or an error that is not finite is None.

    Those without prefix are of its best epoch, the headline. `symmetry_broken` is the layer whose
    units rounding has made distinct; `copied_from` is where a copied replica was trained.
    """

    seed: Count
    lr: Positive
    status: Literal["trained", "diverged"]
    train_loss: float | None
    train_error: NotNegative | None
    val_loss: float | None
    val_error: NotNegative | None
    test_loss: float | None
    test_error: NotNegative | None
    last_train_loss: float | None
    last_train_error: NotNegative | None
    last_val_loss: float | None
    last_val_error: NotNegative | None
    last_test_loss: float | None
    last_test_error: NotNegative | None
    best_epoch: Count | None
    weights_sha256: str
    best_weights_sha256: str | None = None
    symmetry_broken: CountFromOne | None = None
    copied_from: Provenance | None = None

    @property
    def diverged(self) -> bool:
        """Whether its loss is not finite, or over 1,000 times that before training."""
        return self.status == "diverged"

    def is_best(self, epoch: int) -> bool:
        """Whether its headline is of its weights after `epoch`.

        That of a diverged one, which has no best epoch, is of its last.
        """
        return self.diverged or self.best_epoch == epoch


@dataclass(frozen=True)
class Moment:
    """Probes of the chosen replicas after `step` updates: the mean over seeds of each layer."""

    step: int
    layers: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Any) -> "Moment":
        """Of an object with `step`, whose other keys are the probes."""
        if not isinstance(content, dict):
            raise SchemaError.no(content, "object")
        if "step" not in content:
            raise SchemaError("is missing", ".step")
        layers = _layers({name: each for name, each in content.items() if name != "step"})
        return cls(reader(_Step)({"step": content["step"]}).step, layers)

    def to_json(self) -> dict[str, Any]:
        """The object that `from_json` takes."""
        return {"step": self.step, **{name: list(each) for name, each in self.layers.items()}}


@dataclass(frozen=True)
class _Step:
    step: Count


_layers = reader(Mapping[str, tuple[float | None, ...]])


@dataclass(frozen=True)
class Moments:
    """The first and the last moment of a cell's probes; None where there were none."""

    start: Moment | None = None
    end: Moment | None = None


@dataclass(frozen=True)
class Pca:
    """What a PCA of as many components as a code has makes of the images."""

    components: Count
    train_error: NotNegative
    test_error: NotNegative


@dataclass(frozen=True)
class MeanImage:
    """What the mean image makes of the images."""

    train_error: NotNegative
    test_error: NotNegative


@dataclass(frozen=True)
class Ridge:
    """What a linear map with the penalty of the best validation loss makes of the images."""

    penalty: float
    train_loss: float
    test_loss: float
    train_error: NotNegative
    test_error: NotNegative


@dataclass(frozen=True)
class References:
    """What simpler methods reach on the cell's data."""

    pca: Pca | None = None
    mean_image: MeanImage | None = None
    ridge: Ridge | None = None


@dataclass(frozen=True)
class Pretraining:
    """The pretraining that a cell begins with: its signature, and the hashes of its weights."""

    signature: str
    sha256: Mapping[str, str] = field(default_factory=dict)
    weights_sha256: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """A metric over the replicas of a cell at one learning rate.

    `values` by seed; one that is not finite is the worst that the metric can be. A replica that
    diverged keeps its number, and takes the mean from the sample: where one diverged or has no
    finite number, `mean` is None, and the median is what is said of the sample. Whoever compares
    means (sheets, claims) leaves such a sample out; whoever shows it gives the median and a count.
    """

    values: Mapping[int, float]
    num_diverged: int = 0
    num_not_finite: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether every replica was trained and has a finite number."""
        return not self.num_diverged and not self.num_not_finite

    @property
    def mean(self) -> float | None:
        """The mean over seeds; None unless the sample is whole."""
        if not self.is_whole or not self.values:
            return None
        return math.fsum(self.values.values()) / len(self.values)


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a record says of its cell before any number of a replica.

    `family` is the signature without seeds; `config` is the cell's configuration, without the keys
    that are of a whole study; `num_train`, `num_val` and `num_test` count its images.
    """

    signature: str
    family: str
    factors: Mapping[str, Level]
    config: Mapping[str, Any]
    task: Literal["classification", "reconstruction"]
    num_train: CountFromOne
    num_val: Count
    num_test: Count
    updates_per_epoch: CountFromOne
    references: References = References()
    wall_seconds: NotNegative
    pretraining_seconds: NotNegative
    pretraining_updates: Count
    pretraining: Pretraining | None = None
    provenance: Provenance


@dataclass(frozen=True, kw_only=True)
class Result(Header):
    """result.json: what a finished cell says of itself.

    `updates` are those of one replica's weights; `probes` sum up those at the chosen learning rate;
    `files` has the SHA-256 of the cell's other files.
    """

    updates: Count
    replicas: tuple[ReplicaResult, ...]
    chosen_lr: Positive
    chosen_lr_at_edge: Literal["lowest", "highest"] | None
    probes: Moments
    files: Mapping[FileName, Digest]

    @cached_property
    def chosen(self) -> tuple[ReplicaResult, ...]:
        """The replicas at the chosen learning rate."""
        return self.at(CHOSEN)

    def at(self, lr: float | Literal["chosen"]) -> tuple[ReplicaResult, ...]:
        """The replicas at a learning rate, or at the chosen one, as they stand in the record."""
        rate = self.chosen_lr if lr == CHOSEN else lr
        return tuple(replica for replica in self.replicas if replica.lr == rate)

    @property
    def edge(self) -> Literal["lowest", "highest"] | None:
        """Whether the chosen learning rate is the lowest or highest of a grid of several."""
        return self.chosen_lr_at_edge

    @cached_property
    def rates(self) -> list[float]:
        """The learning rates, sorted."""
        return sorted({replica.lr for replica in self.replicas})

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds, sorted."""
        return sorted({replica.seed for replica in self.replicas})

    @cached_property
    def num_diverged(self) -> int:
        """Number of diverged replicas at the chosen learning rate."""
        return sum(replica.diverged for replica in self.chosen)

    @property
    def seconds(self) -> float:
        """The whole time that the cell took, pretraining included."""
        return float(self.wall_seconds + self.pretraining_seconds)

    def value(self, metric: Metric, lr: float | Literal["chosen"] = "chosen") -> Sample:
        """The metric at a learning rate; `Sample` says what a diverged replica counts as."""
        return sample(metric, self.at(lr))


OF_STUDY = ("claims", "report", "sweep")
"""The keys of a configuration that say nothing of a single cell."""


def own_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A cell's configuration as its record has it."""
    return {name: keys for name, keys in config.items() if name not in OF_STUDY}


def sample(metric: Metric, replicas: Sequence[ReplicaResult]) -> Sample:
    """The metric over replicas; of a seed that has several (rates, layers) their mean."""
    by_seed: dict[int, list[float]] = {}
    num_not_finite = 0
    for replica in replicas:
        number = metric.value(replica)
        num_not_finite += number is None and not replica.diverged
        by_seed.setdefault(replica.seed, []).append(metric.worst if number is None else number)
    return Sample(
        {seed: math.fsum(by_seed[seed]) / len(by_seed[seed]) for seed in sorted(by_seed)},
        sum(replica.diverged for replica in replicas),
        num_not_finite,
    )


_result = reader(Result)


def sealed(result: Result) -> dict[str, Any]:
    """What `parse_result` takes: the content of result.json."""
    return seal({"schema": SCHEMA, "status": "done", **to_json(result)})


def parse_result(content: dict[str, Any], signature: str | None = None) -> Result:
    """The record that a result.json holds; ValueError unless it is whole, unaltered and expected.

    `signature` is that of the cell, if it is known. One with a valid seal that was made by hand is
    checked as well.
    """
    check_schema(content)
    if signature is not None and content.get("signature") != signature:
        raise ValueError("its signature is not the one study.json expects, so it is foreign")
    require_seal(content)
    if content.get("status") != "done" or not content.get("replicas"):
        raise ValueError("it has no finished replicas")
    result: Result = _result(content)
    if len({(replica.seed, replica.lr) for replica in result.replicas}) < len(result.replicas):
        raise ValueError("two of its replicas have the same seed and learning rate")
    if not result.chosen:
        raise ValueError("no replica has its chosen_lr")
    if (result.references.pca is None) != (result.references.mean_image is None):
        raise ValueError("its references have one of pca and mean_image without the other")
    PROBES.learn(result.provenance.own_probes)
    return result


@dataclass(frozen=True)
class TrainedReplica:
    """All that one replica leaves.

    `entry` is that of result.json, `curve` its rows of curves.csv; `predictions` (classes
    of the test images at its best epoch, [N]; -1: its outputs are not finite), `weights` (last
    epoch) and `best_weights` may be absent where the replica was copied from an earlier record that
    did not keep them; the last are absent, too, where the best epoch is the last.
    `probes` are its rows of probes.csv, by step and layer; `samples` are values for histograms,
    {(step, layer, "activation" or "gradient"): float32 [n]}, which no file keeps.
    """

    entry: ReplicaResult
    curve: Sequence[Row]
    predictions: Any = None
    weights: "Mapping[str, Tensor] | None" = None
    probes: Sequence[Row] = ()
    samples: dict[tuple[int, int, str], Any] = field(default_factory=dict)
    best_weights: "Mapping[str, Tensor] | None" = None

    @property
    def seed(self) -> int:
        return self.entry.seed

    @property
    def lr(self) -> float:
        return self.entry.lr

    @property
    def lacks_weights(self) -> bool:
        """Whether the weights of its last epoch or of its best were not kept."""
        last_is_best = self.entry.is_best(self.curve[-1]["epoch"])
        return self.weights is None or (self.best_weights is None and not last_is_best)

    def state(self) -> dict[str, Any]:
        """All of it as a checkpoint keeps it, for `of`."""
        samples = [[*place, values] for place, values in self.samples.items()]
        return {**vars(self), "entry": to_json(self.entry), "samples": samples}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "TrainedReplica":
        """The result that `state` was taken of."""
        samples = {(step, layer, name): values for step, layer, name, values in state["samples"]}
        entry: ReplicaResult = reader(ReplicaResult)(state["entry"])
        return cls(**{**state, "entry": entry, "samples": samples})


def choose_lr(replicas: Sequence[ReplicaResult]) -> float:
    """The learning rate that stands for a cell.

    Lowest mean validation error over all seeds, diverged ones included; then lowest mean
    validation loss; then the smaller.
    """

    def key(lr: float) -> tuple[float, float, float]:
        group = [replica for replica in replicas if replica.lr == lr]
        errors, losses = ([each.val_error for each in group], [each.val_loss for each in group])
        return _mean(errors), _mean(losses), lr

    return min({replica.lr for replica in replicas}, key=key)


def _mean(numbers: Sequence[float | None]) -> float:
    """The mean, infinite where one is not finite."""
    return math.fsum(math.inf if each is None else each for each in numbers) / len(numbers)


def edge(chosen: float, rates: Sequence[float]) -> Literal["lowest", "highest"] | None:
    """Whether the chosen learning rate is the `lowest` or `highest` of a grid of several."""
    if len(rates) < 2 or min(rates) < chosen < max(rates):
        return None
    return "lowest" if chosen == min(rates) else "highest"

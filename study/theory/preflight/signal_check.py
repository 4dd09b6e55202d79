"""One cell before it is trained: predicted, measured at every seed, and flagged."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from study.config.configuration import Config
from study.data import Data, Split
from study.data.device import DTYPES
from study.data.module import data_of
from study.errors import InputError
from study.networks import build_network
from study.outputs.metrics import PROBES
from study.probes.measure import measured
from study.probes.recorder import probe_batch
from study.theory.preflight.ends import input_signal, output_gradient
from study.theory.preflight.rules import flags
from study.theory.preflight.shapes import LayerShape, hidden_layers, not_in_theory, output_layer
from study.theory.preflight.theory import PREDICTED, predict
from study.training.build import initial_network
from study.training.task import make_task

Numbers = dict[str, list[float]]
"""{probe: a number for each hidden layer}."""

DEPENDS_ON = ("model", "activation", "init", "norm", "seeds", "loss")
"""The groups and keys, beside the data, that the start of a network depends on."""


@dataclass(frozen=True)
class SignalCheck:
    """What was predicted of a cell and measured at the start of each of its seeds.

    `measured` has one entry a seed, none where a network could not start: `error` then says why.
    `inputs` are the moments of the images that the prediction started from, `remarks` say what it
    takes no notice of.
    """

    layers: list[LayerShape]
    num_examples: int
    inputs: dict[str, float]
    predicted: Numbers
    measured: dict[int, Numbers] = field(default_factory=dict)
    error: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def units(self) -> list[int]:
        return [shape.units for shape in self.layers]

    @property
    def predicted_flags(self) -> list[str]:
        return flags(self.predicted, self.units)

    @property
    def flags_of_seeds(self) -> dict[int, list[str]]:
        """The flags of each seed; a number that is not finite has overflown."""
        return {
            seed: flags(_overflown(numbers), self.units) for seed, numbers in self.measured.items()
        }

    @property
    def measured_flags(self) -> list[str]:
        """The flags that half of the seeds or more have."""
        by_seed = list(self.flags_of_seeds.values())
        codes = dict.fromkeys(code for found in by_seed for code in found)
        return [code for code in codes if 2 * sum(code in f for f in by_seed) >= len(by_seed)]

    def spread(self, probe: str, layer: int) -> list[float]:
        """A probe of a layer (0 is the first) for each seed."""
        return [numbers[probe][layer] for numbers in self.measured.values()]


def _overflown(numbers: Mapping[str, Sequence[float]]) -> Numbers:
    """Variances that are not finite as infinite; of what else is not, nothing is known."""
    return {
        name: [math.inf if name.endswith("_variance") and math.isnan(v) else v for v in values]
        for name, values in numbers.items()
    }


def predict_and_measure(configs: Sequence[Config]) -> Iterator[SignalCheck]:
    """The check of each configuration in turn; cells that start alike are measured once."""
    known: dict[str, SignalCheck] = {}
    for config in configs:
        key = start_of(config)
        if key not in known:
            data = data_of(config)
            batch = probe_batch(data.val, config.probes.num_examples)
            check = predicted_check(config, data, batch)
            try:
                check.measured.update(
                    {seed: measured_start(config, data, batch, seed) for seed in config.seeds}
                )
            except InputError as error:
                check = replace(check, error=str(error))
            known[key] = check
        yield known[key]


def start_of(config: Config) -> str:
    """What the networks of a cell and the probe batch depend on before training."""
    shared = {name: config.mapping[name] for name in DEPENDS_ON}
    data = asdict(replace(config.data, flip=False, crop=0, augment=(), level={}))
    more = [
        config.streams["initialization"],
        config.trainer.precision,
        config.trainer.accelerator,
        config.probes.num_examples,
    ]
    return json.dumps([shared, data, more], sort_keys=True)


def predicted_check(config: Config, data: Data, batch: Split) -> SignalCheck:
    """The prediction, from the shapes of the network and two moments of the images."""
    network = build_network(config.network, data.input_shape, data.num_classes)
    layers = list(hidden_layers(network, data.input_shape))
    output = output_layer(network, layers)
    signal = input_signal(batch.inputs, layers)
    numbers = predict(
        layers,
        output,
        signal,
        config.init.level,
        config.activation.level,
        output_gradient=output_gradient(config, output.rows, batch.inputs),
        num_examples=len(batch),
    )
    inputs = {"second_moment": signal.second, **signal.shared}
    remarks = list(not_in_theory(network))
    if layers and all(map(math.isnan, numbers["distinct_units"])):
        remarks = [f"without a prediction: only data can say what init={config.init.name} draws"]
    return SignalCheck(layers, len(batch), inputs, numbers, remarks=tuple(remarks))


def measured_start(config: Config, data: Data, batch: Split, seed: int) -> Numbers:
    """The probes of a seed's network before training, on the probe batch."""
    task = make_task(config)
    network = initial_network(config, data, seed)
    network.to(device=batch.inputs.device, dtype=DTYPES[config.trainer.precision])
    targets = task.target(batch.inputs, batch.labels)
    numbers = measured(network, batch.inputs, targets, task)
    return {name: numbers[name] for name in PROBES if name in numbers} or {
        name: [] for name in PREDICTED
    }

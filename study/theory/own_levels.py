"""`study levels`: a folder of levels of one's own, begun, and checked as the project's are."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.config import own
from study.config.configuration import file_of, level_defaults, levels, use_levels
from study.config.labels import counted
from study.console import Parser, as_path, command, importing, run_as_command, show
from study.errors import InputError
from study.files import write_text

if TYPE_CHECKING:
    from torch import nn

    from study.config.configuration import Config
    from study.config.own import Declared
    from study.data import Split

DESCRIPTION = """Levels of your own: a folder of Python and YAML files, used by levels=DIR.

  study levels new DIR      writes a commented folder to start from
  study levels check DIR    tests each level as this project tests its own

The check trains one update in both models, compares replicas that are stacked with the same ones
alone, gradients with differences, and an initialization's weights with its law; it takes a probe of
both models, and trains for a moment with a callback. Exit status 1: a
level lacks something, or is wrong. docs/levels.md has examples of every kind."""

ACTIONS = ("new", "check")
OK, NOTE, MISSING, WRONG = "ok", "note", "missing", "wrong"
Finding = tuple[str, str]

START = '''"""Levels of my own, used by levels={folder}; docs/levels.md has more examples.

A decorator registers a function or class under its name, or under the one it is given. Keywords
are keys: each has a line in the level's YAML file, {folder}/GROUP/NAME.yaml. A key that no level of
the group has yet is declared in the decorator: key("beta", number(0), "what it is").
"""

import torch
from torch import Tensor, nn

from study.levels import activation, key, number  # initialization, norm, model, optimizer, ...


@activation("my_power", key("exponent", number(1), "power of the positive part"))
class Power(nn.Module):
    """max(x, 0)^exponent."""

    def __init__(self, *, exponent: float = 2.0) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) ** self.exponent


# An initialization fills one weight from the generator that it is given, and from nothing else.
# The law is the variance of one weight, from which `study preflight` predicts; it may be left out.
#
# @initialization(variance=lambda shape, keys: keys["std"] ** 2)
# def my_normal(weight, generator, *, std=0.05):
#     nn.init.normal_(weight, std=std, generator=generator)


# Probes, augmentations and callbacks have no YAML file: probes.own=[my_largest], data.augment=[...]
# and callbacks=[...] name them. A probe gives a number for each of the K networks that it is shown.
#
# @probe(label="largest activation", formula="max over n, i of abs a_ni")
# def my_largest(layer):
#     return layer.activation.abs().flatten(1).amax(1)
'''
START_YAML = """# max(x, 0)^exponent
name: my_power
exponent: 2.0
"""


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit status: 1 if a level was found wrong."""
    parser = Parser("study levels", DESCRIPTION)
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument("folder", type=as_path, metavar="DIR", help="the folder of levels")
    options = parser.parse_args(list(arguments))
    return begin(options.folder) if options.action == "new" else check(options.folder)


def begin(folder: Path) -> int:
    """Writes a folder to start from."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already, and not empty: name another folder")
    (folder / "activation").mkdir(parents=True)
    write_text(folder / "mine.py", START.replace("{folder}", folder.name))
    write_text(folder / "activation/my_power.yaml", START_YAML)
    show(f"wrote {folder}/mine.py and {folder}/activation/my_power.yaml; next:")
    show(f"  {command('levels', 'check', folder)}")
    show(f"  {command('train', f'levels={folder}', '-m', 'activation=relu,my_power')}")
    return 0


def check(folder: Path) -> int:
    """Prints what is found of each level of a folder; returns 1 if one lacks or fails something."""
    use_levels([f"levels={folder}"])
    with importing():
        own.register()
    declared = [
        each for found in own.folders() if found.package == own.PACKAGE for each in found.declared
    ]
    if not declared:
        raise InputError(f"{folder} has no level: no function below a decorator of study.levels")
    from study.config.compose import hydra_ready

    num_wrong = 0
    with hydra_ready():
        for level in declared:
            show(f"{level} ({level.path.name} line {level.line})")
            for kind, text in findings(level):
                num_wrong += kind in (MISSING, WRONG)
                show(f"  {kind:8} {text}")
    return int(bool(num_wrong))


def findings(level: Declared) -> Iterator[Finding]:
    """What is found of a level, in words: OK, NOTE, MISSING or WRONG."""
    group = level.form.group
    if level.form.takes_list:
        yield from _found(str(level), CHECKS[level.kind](level))
        return
    files = []
    for name in levels(group):
        is_here = file_of(group, name).parents[1] == level.path.absolute().parent
        if is_here and level_defaults(group, name)["name"] == level.name:
            files.append(name)
    if not files:
        place = level.path.parent / group / f"{level.name}.yaml"
        yield MISSING, f"{place}, with a comment of what it is and `name: {level.name}`"
        return
    for name in files:
        yield from _found(f"{group}={name}", _of_file(level, name))


def _found(what: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings, the last of them what a user's code raised."""
    try:
        yield from findings
    except InputError as error:
        yield WRONG, f"{what}: {error}"
    except Exception as error:
        yield WRONG, f"{what}: {type(error).__name__}: {' '.join(str(error).split())}"


def _of_file(level: Declared, name: str) -> Iterator[Finding]:
    group = level.form.group
    if level.kind == "dataset":
        yield from _of_images(level.name, level_defaults(group, name))
        return
    chosen = f"{group}={name}"
    models = (name,) if group == "model" else ("mlp", "cnn")
    configs = {each: _config(each, *([] if group == "model" else [chosen])) for each in models}
    for model, config in configs.items():
        yield from _one_update(config, f"{chosen}, {model}")
    config = configs[models[0]]
    if level.kind == "initialization":
        yield from _law(config)
    elif level.kind == "schedule":
        yield from _factors(config)
    elif level.kind != "optimizer":
        yield _gradient(config, level.kind)


SMALL = {
    "mlp": ("model.widths=[6,5]",),
    "cnn": ("model.channels=[[4],[4]]", "model.head=[6]"),
}
SIDE, BATCH, NUM_CLASSES = 32, 8, 3


def _config(model: str, *chosen: str) -> Config:
    """What is chosen, in a small network, two seeds, float64 on the CPU."""
    from study.config.compose import compose_cell

    fixed = ["seeds=2", f"batch_size={BATCH}", "trainer.precision=64-true", "probes=none"]
    fixed += ["trainer.accelerator=cpu", "trainer.max_epochs=1"]
    return compose_cell([*fixed, f"model={model}", *chosen, *SMALL.get(model, ())]).config


def _images() -> Split:
    """One batch of made-up images."""
    import torch

    from study.data import Split

    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(BATCH, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    return Split(inputs, torch.randint(NUM_CLASSES, (BATCH,), generator=generator))


def _network(config: Config, seed: int) -> Any:
    """An initialized network in float64."""
    import torch

    from study.data.batches import Streams
    from study.networks import build_network, initialize

    network = build_network(config.network, (3, SIDE, SIDE), NUM_CLASSES)
    generator = Streams().generator(seed, "initialization")
    sample = _images().inputs.float()
    initialize(network, config.init.level, config.activation.level, generator, sample)
    return network.to(torch.float64)


def _one_update(config: Config, what: str) -> Iterator[Finding]:
    """One update of two seeds at two rates alone, and stacked where they can be."""
    import torch

    from study.data.batches import Run
    from study.training.alone import Alone
    from study.training.build import why_alone
    from study.training.settings import Replica, Settings
    from study.training.stack import Stack

    settings, images = Settings.from_config(config), _images()
    first = {seed: _network(config, seed) for seed in config.seeds}
    rate = config.optimizer.lr[0]
    replicas = [Replica(seed, lr) for seed in config.seeds for lr in (rate, rate / 2)]
    run = Run.of_epoch(images, config.seeds, settings.streams, epoch=0, batch_size=BATCH)
    alones = []
    for replica in replicas:
        alone = Alone(copy.deepcopy(first[replica.seed]), replica, settings)
        alone.start()
        alone.train(run, [1.0])
        alones.append(alone)
    before, after = first[replicas[0].seed].state_dict(), alones[0].network.state_dict()
    if not all(bool(value.isfinite().all()) for value in after.values()):
        yield WRONG, f"{what}: after one update there are numbers that are not finite"
    elif all(torch.equal(before[name], after[name]) for name in before):
        yield WRONG, f"{what}: an update changes no weight"
    else:
        yield OK, f"{what}: one update"
    if reason := why_alone(first.values(), config.optimizer.name):
        yield NOTE, f"{what}: replicas train one by one: {reason}"
        return
    stack = Stack([first[replica.seed] for replica in replicas], replicas, settings)
    stack.start()
    stack.train(run, [1.0])
    for alone in alones:
        together = stack.snapshot(stack.replicas.index(alone.replicas[0]))
        for name, value in alone.network.state_dict().items():
            if not torch.allclose(together[name], value, rtol=1e-7, atol=1e-10):
                yield WRONG, f"{what}: stacked, {name} of {alone.replicas[0]} is another than alone"
                return
    yield OK, f"{what}: stacked = alone"
    for kind in _mapped(stack.network):
        yield NOTE, f"{what}: {kind} is stacked by torch.func, slower than a form given as stacked="


def _callback(level: Declared) -> Iterator[Finding]:
    """A short training with a callback, and what a checkpoint would keep of it."""
    import tempfile

    from study.data import Data, fit_normalization
    from study.data.module import StudyData
    from study.outputs.checkpoint import write_checkpoint
    from study.training.build import build_population, replicas_of
    from study.training.trainer import make_trainer, own_callbacks

    config = _config("mlp", f"callbacks=[{level.name}]", "trainer.max_epochs=2")
    images = _images()
    normalize = fit_normalization("none", (images.inputs * 255).byte(), zca_epsilon=0.1)
    classes = tuple(map(str, range(NUM_CLASSES)))
    data = Data(images, images, images, classes, "", normalize)
    population = build_population(config, data, replicas_of(config))
    (callback,) = own_callbacks(config).values()
    trainer = make_trainer(config, max_epochs=2, callbacks=[callback])
    module = StudyData(config, data)
    trainer.fit(population, datamodule=module)
    if population.epochs < 2:
        yield WRONG, "it stops training, and no cell stops early"
        return
    trainer.test(population, datamodule=module, verbose=False)
    yield OK, "two epochs of one update run with it"
    kept = callback.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder) / "checkpoint", "", {}, kept)
    yield OK, f"a checkpoint keeps {len(kept)} values of its state"


def _augmentation(level: Declared) -> Iterator[Finding]:
    """What an augmentation makes of images, and an update of both models with it."""
    import torch

    from study.training.settings import Settings

    named = [
        name for name in levels("data") if level.name in level_defaults("data", name)["augment"]
    ]
    chosen = f"data={named[0]}" if named else f"data.augment=[{level.name}]"
    change = Settings.from_config(_config("mlp", chosen)).augmentations[level.name]
    images = _images().inputs
    stream = torch.get_rng_state()
    made: list[Any] = []
    for _ in range(2):
        torch.manual_seed(len(made))
        before = torch.get_rng_state()
        made.append(change(images.clone(), torch.Generator().manual_seed(0)))
        if not torch.equal(before, torch.get_rng_state()):
            yield WRONG, "it draws from PyTorch's generator, not from its own"
            return
    torch.set_rng_state(stream)
    if not torch.equal(*made):
        yield WRONG, "from one generator it makes other images each time"
        return
    yield OK, "it draws from its own generator alone"
    for model in ("mlp", "cnn"):
        yield from _one_update(_config(model, chosen), f"{chosen}, {model}")


def _probe(level: Declared) -> Iterator[Finding]:
    """A probe of the layers of both models, alone and stacked."""
    import torch

    from study.outputs.metrics import PROBES
    from study.probes.capture import capture
    from study.probes.measure import measure
    from study.training.build import why_alone
    from study.training.settings import Replica, Settings
    from study.training.stack import Stack

    PROBES.own()
    images = _images()
    for model in ("mlp", "cnn"):
        what = f"{level}, {model}"
        config = _config(model, "probes=default", f"probes.own=[{level.name}]")
        settings = Settings.from_config(config)
        networks = [_network(config, seed) for seed in config.seeds]
        replicas = [Replica(seed, config.optimizer.lr[0]) for seed in config.seeds]
        assert why_alone(networks, config.optimizer.name) is None, "usual networks are stacked"
        stack = Stack(networks, replicas, settings).network.double()
        stream, taken = torch.get_rng_state(), []
        for network in (*networks, stack):
            before = {name: value.clone() for name, value in network.state_dict().items()}
            layers = capture(network, images.inputs, images.labels, settings.task)
            for layer in layers:  # as if there had been a moment before
                layer.weight_before, layer.inputs_before = layer.weight, layer.input_distribution
            taken.append([measure(layer, own=config.probes.own) for layer in layers])
            if any(not torch.equal(before[n], each) for n, each in network.state_dict().items()):
                yield WRONG, f"{what}: it changes the network"
                return
        if not torch.equal(stream, torch.get_rng_state()):
            yield WRONG, f"{what}: it draws random numbers: a cell would be another with it"
            return
        count = 0
        for place, (*alone, stacked) in enumerate(zip(*taken, strict=True), 1):
            if any(level.name not in numbers for numbers in (*alone, stacked)):
                yield NOTE, f"{what}: layer {place} has no such number"
                continue
            count += 1
            apart = torch.cat([numbers[level.name] for numbers in alone]).double()
            if not bool(apart.isfinite().all()):
                yield WRONG, f"{what}: of layer {place} it is {apart.tolist()}"
                return
            if not torch.allclose(stacked[level.name].double(), apart, rtol=1e-7, atol=1e-10):
                now = stacked[level.name].tolist()
                yield WRONG, f"{what}: stacked, layer {place} has {now}, alone {apart.tolist()}"
                return
        if count:
            yield OK, f"{what}: finite numbers of {counted(count, 'layer')}, stacked = alone"


CHECKS = {"augmentation": _augmentation, "probe": _probe, "callback": _callback}
"""What checks a level that no YAML file names, by kind."""


def _mapped(network: nn.Module) -> Iterator[str]:
    """The parts of a stack that have no form of their own, once each."""
    from study.training.stacking import StackedByMap

    found = [each for each in network.modules() if isinstance(each, StackedByMap)]
    yield from dict.fromkeys(each.of.__name__ for each in found)


def _law(config: Config) -> Iterator[Finding]:
    """Weights drawn of a dense layer and of a convolution against their law."""
    import torch

    from study.networks import weight_filler
    from study.theory.preflight.shapes import LayerShape
    from study.theory.preflight.weights import drawn

    init, activation = config.init.level, config.activation.level
    shapes = {"dense": (200, 300), "convolution": (100, 60, 3, 3)}
    for kind, shape in shapes.items():
        weights = [torch.empty(shape) for _ in range(2)]
        for weight in weights:
            torch.manual_seed(len(weights))
            stream = torch.get_rng_state()
            weight_filler(init, activation, torch.Generator().manual_seed(0))(weight)
            if not torch.equal(stream, torch.get_rng_state()):
                yield WRONG, f"{kind}: it draws from PyTorch's generator, not from its own"
                return
        if not torch.equal(*weights):
            yield WRONG, f"{kind}: from one generator it draws other weights each time"
            return
        if own.variance_of(config.init.name) is None:
            continue
        kernel = shape[2] if len(shape) > 2 else 1
        layer = LayerShape(shape[1], shape[0], shape[0], kernel, convolves=kernel > 1)
        law, found = drawn(init, activation, layer).variance, float(weights[0].var())
        if abs(found - law) > 0.05 * law:
            yield WRONG, f"{kind}: its law says variance {law:.4g}, its weights have {found:.4g}"
        else:
            yield OK, f"{kind}: variance {found:.4g}, by its law {law:.4g}"
    if own.variance_of(config.init.name) is None:
        law_text = "@initialization(variance=lambda shape, keys: ...)"
        yield NOTE, f"no law given, so `study preflight` predicts nothing: {law_text} says it"


def _factors(config: Config) -> Iterator[Finding]:
    import math

    from study.training.optimizers import learning_rate_factors

    level = config.schedule.level
    for epoch in range(5):
        factors = learning_rate_factors(level, epoch=epoch, num_epochs=5, updates_per_epoch=7)
        for factor in factors:
            if not (math.isfinite(factor) and factor >= 0):
                yield WRONG, f"in epoch {epoch + 1} of 5 its factor is {factor}"
                return
    yield OK, "its factors over 5 epochs are finite and not negative"


def _gradient(config: Config, kind: str) -> Finding:
    """The gradient of a random sum of outputs along a random direction, against a difference."""
    import torch

    from study.networks import make_activation, make_norm

    generator = torch.Generator().manual_seed(1)
    module: nn.Module
    if kind == "model":
        module, inputs = _network(config, 0).eval(), _images().inputs
    elif kind == "norm":
        module = make_norm(config.norm.level, 6)
        inputs = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    else:
        module = make_activation(config.activation.level)
        inputs = torch.randn(5, 12, generator=generator, dtype=torch.float64)
    module, inputs = module.double(), inputs.requires_grad_()
    moved = [inputs, *module.parameters()]
    directions = [
        torch.randn(each.shape, generator=generator, dtype=torch.float64) for each in moved
    ]
    outputs = module(inputs)
    weights = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
    found = torch.autograd.grad((outputs * weights).sum(), moved, allow_unused=True)
    if unused := [str(index) for index, each in enumerate(found) if each is None and index]:
        return WRONG, f"{len(unused)} of its weights reach no output: they would never be trained"
    slope = sum(
        float((g * d).sum()) for g, d in zip(found, directions, strict=True) if g is not None
    )

    def moved_by(step: float) -> float:
        with torch.no_grad():
            for each, direction in zip(moved, directions, strict=True):
                each += step * direction
            value = float((module(inputs) * weights).sum())
            for each, direction in zip(moved, directions, strict=True):
                each -= step * direction
        return value

    step = 1e-6
    difference = (moved_by(step) - moved_by(-step)) / (2 * step)
    if abs(slope - difference) > 1e-4 * max(1.0, abs(difference)):
        return WRONG, f"its gradient is {slope:.6g} where a difference says {difference:.6g}"
    return OK, "its gradient is that of a difference"


def _of_images(name: str, keys: Mapping[str, Any]) -> Iterator[Finding]:
    """What a data set decodes to, if it is there."""
    import torch

    from study.data.sources import SOURCES, read_images

    lacking = [each for each in ("cache", "files", "decode") if not hasattr(SOURCES[name], each)]
    if lacking:
        yield MISSING, f"the method {lacking[0]} (docs/levels.md has one with all)"
        return
    images = read_images(name, keys.get("root"), keys.get("cache"), fresh=True)
    for part in ("train", "test"):
        pixels, labels = getattr(images, f"{part}_images"), getattr(images, f"{part}_labels")
        if pixels.dtype != torch.uint8 or pixels.dim() != 4:
            shape = list(pixels.shape)
            yield WRONG, f"{part}: images are {pixels.dtype} {shape}, not uint8 [N, C, H, W]"
        elif len(pixels) != len(labels) or not 0 <= labels.min() <= labels.max() < len(
            images.classes
        ):
            yield WRONG, f"{part}: labels are no indices into {len(images.classes)} classes"
        else:
            yield OK, f"{len(pixels):,} {part} images of {'x'.join(map(str, pixels.shape[1:]))}"


if __name__ == "__main__":
    run_as_command("levels")

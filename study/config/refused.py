"""What users of Hydra and of Lightning type and this command does otherwise: what to write instead.

Each is refused with that line. Of Hydra's own keys those that have an effect are allowed; whatever
else Hydra would compose, and this command would then leave unread, is not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from study.console import command
from study.errors import InputError, shown

_OWN_FILES = "write --config-dir DIR, whose files are read beside those of conf/"
_PLACES = "directories of cells are named by their content: write outputs_dir=DIR and study=NAME"
_LINES = "nothing is logged: what is printed can be sent to a file, a failure is in error.txt"

FLAGS = {
    "--config-path": _OWN_FILES,
    "-cp": _OWN_FILES,
    "--config-name": "write experiment=NAME",
    "-cn": "write experiment=NAME",
    "--run": "leave it out: without -m one cell is trained",
    "-r": "leave it out: without -m one cell is trained",
    "--experimental-rerun": "type the same command again, or `study reproduce CELL`",
    "--package": "it belongs to --cfg job",
    "-p": "it belongs to --cfg job",
    "--resolve": "it belongs to --cfg job",
    "--version": "write `study --version`",
}
"""Flags of Hydra's command line, and what to do instead."""

HYDRA = {
    "run": _PLACES,
    "sweep": _PLACES,
    "output_subdir": _PLACES,
    "sweeper": "no sweeper is used: list the values, as -m activation=relu,tanh; "
    "a search calls study.launch.train.main([...]) from Python",
    "searchpath": _OWN_FILES,
    "job.chdir": "leave it out: a cell is trained where the command is typed",
    "job.name": "write study=NAME",
    "job.env_set": "set variables before the command: NAME=VALUE study train ...",
    "verbose": _LINES,
    "job_logging": _LINES,
    "hydra_logging": _LINES,
    "mode": "write -m for a sweep",
    "callbacks": "no callback of Hydra's is called",
}
"""By the name below `hydra`."""

_ONE_DEVICE = "a cell trains on one device; many at once do by hydra/launcher=machine"
_DEPTH = "write depth x width: model.widths=8x64 is eight hidden layers of 64"
_RESUMED = "type the same command again: a cell goes on from its last checkpoint by itself"
_BITWISE = "leave it out: on one machine a cell is trained again bit for bit"
_CALLED = "write callbacks=[NAME], of a folder of levels (docs/levels.md)"
_VALIDATED = "leave it out: each epoch ends with validation"
_EPOCHS = "write trainer.max_epochs=N"
_RATE = "write optimizer.lr=RATE, or a list to choose from"
_FEWER = "write data.train_size=N, and trainer.max_epochs=1 for a short try"

_PARTS = "write the level of each group, as in model=cnn optimizer=adam schedule=cosine"
_BOTH = "leave it out: every cell is trained, and tested once, with its best epoch's weights"
_WORDS = "write study=NAME; a cell's factors are its tags"

KEYS = {
    "ckpt_path": _RESUMED,
    "trainer.resume_from_checkpoint": _RESUMED,
    "trainer.gpus": f"write trainer.accelerator=cuda; {_ONE_DEVICE}",
    "trainer.num_nodes": _ONE_DEVICE,
    "trainer.strategy": _ONE_DEVICE,
    "trainer.max_steps": f"training counts in epochs: {_EPOCHS}",
    "trainer.epochs": _EPOCHS,
    "max_epochs": _EPOCHS,
    "epochs": _EPOCHS,
    "num_epochs": _EPOCHS,
    "trainer.gradient_clip_val": "write optimizer.clip_norm=NORM",
    "trainer.accumulate_grad_batches": "an update takes batch_size=N examples",
    "trainer.enable_checkpointing": "write trainer.checkpoint_seconds=SECONDS, or null for never",
    "trainer.check_val_every_n_epoch": _VALIDATED,
    "trainer.val_check_interval": _VALIDATED,
    "trainer.limit_train_batches": _FEWER,
    "trainer.limit_val_batches": "write data.val_size=N",
    "trainer.limit_test_batches": "write data.test_size=N",
    "trainer.max_time": f"a cell that a clock ends is another on each machine: {_EPOCHS}; "
    "one that is stopped goes on by the same command",
    "trainer.overfit_batches": _FEWER,
    "trainer.default_root_dir": _PLACES,
    "trainer.logger": "write logger=[tensorboard,csv]",
    "callbacks.early_stopping": f"no cell stops early: {_EPOCHS}",
    "callbacks.model_checkpoint": "the best and the last epoch's weights are kept; write "
    "outputs.weights=all for those of every learning rate",
    "trainer.callbacks": _CALLED,
    "trainer.deterministic": _BITWISE,
    "trainer.benchmark": _BITWISE,
    "seed": "write seeds=N, or seeds=[3,5] for those",
    "lr": _RATE,
    "learning_rate": _RATE,
    "optimizer.learning_rate": _RATE,
    "data.batch_size": "write batch_size=N",
    "data.num_workers": "leave it out: images are read once, and lie on the device",
    "num_workers": "leave it out: images are read once, and lie on the device",
    "model.depth": _DEPTH,
    "model.width": _DEPTH,
    "model.num_layers": _DEPTH,
    "model.hidden_size": _DEPTH,
    "model.hidden_sizes": _DEPTH,
    "trainer=cpu": "write trainer.accelerator=cpu",
    "trainer=gpu": "write trainer.accelerator=cuda",
    "trainer=mps": "write trainer.accelerator=mps",
    "trainer=ddp": _ONE_DEVICE,
    "trainer=ddp_sim": _ONE_DEVICE,
    "trainer.min_epochs": f"no cell stops early: {_EPOCHS}",
    "trainer.log_every_n_steps": "curves have a point an epoch; probes.steps=[N,...] adds moments",
    "model.optimizer": _PARTS,
    "model.scheduler": _PARTS,
    "model.net": _PARTS,
    "model.compile": "write population.compile=true",
    "data.data_dir": "write data.root=DIR",
    "data.pin_memory": "leave it out: images are read once, and lie on the device",
    "data.train_val_test_split": "write data.train_size=N data.val_size=N data.test_size=N",
    "train": _BOTH,
    "test": _BOTH,
    "debug": _FEWER,
    "hparams_search": "list the values, as -m activation=relu,tanh; learning rates lie inside a "
    "cell, as 'optimizer.lr=[0.01,0.1]'",
    "optimized_metric": "the rate that is best on validation is chosen by itself",
    "local": "write data.root=DIR or outputs_dir=DIR, or set them in an experiment's file",
    "paths": "write data.root=DIR and outputs_dir=DIR",
    "extras": "write --cfg job to see the configuration; nothing else is printed of it",
    "experiment": "the file of an experiment begins with the line `# @package _global_`",
    "task_name": _WORDS,
    "tags": _WORDS,
    "name": "write study=NAME",
}
"""Keys and levels of other projects' configurations; a group's name stands for all its keys."""


def check_flags(arguments: Sequence[str]) -> None:
    """Raises `InputError` for a flag of Hydra's that this command has not."""
    for argument in arguments:
        flag = argument.partition("=")[0]
        if flag in FLAGS:
            raise InputError(f"{flag} is Hydra's: {FLAGS[flag]}")


def instead_of(name: str) -> str | None:
    """What to write instead of a key, or a level, of another project's."""
    return _nearest(KEYS, name)


def is_hydras(name: str) -> bool:
    """Whether an override is of Hydra's own configuration."""
    return name.startswith(("hydra.", "hydra/"))


def check_hydra(overrides: Mapping[str, Any]) -> None:
    """Raises `InputError` for overrides of Hydra's own configuration that would have no effect."""
    for name in filter(is_hydras, overrides):
        if name == "hydra/launcher" or (name, overrides[name]) == ("hydra/sweeper", "basic"):
            continue
        if not name.startswith("hydra.launcher."):
            raise InputError(f"{shown(name)} has no effect here: {hydra_instead(name)}")
        if "hydra/launcher" not in overrides:
            raise InputError(f"{shown(name)} sets no launcher: add such as hydra/launcher=machine")


def hydra_instead(name: str) -> str:
    """What to do instead of setting one of Hydra's keys (`hydra.sweep.dir`)."""
    if (instead := _nearest(HYDRA, name[len("hydra.") :])) is not None:
        return instead
    return (
        "of Hydra's keys hydra/launcher and hydra.launcher.* have; "
        f"`{command('train', '--hydra-help')}` says what else of Hydra works"
    )


def _nearest(table: Mapping[str, str], name: str) -> str | None:
    """What a table says of a name, or else of what stands before its last dot, and so on."""
    while name not in table and "." in name:
        name = name.rpartition(".")[0]
    return table.get(name)

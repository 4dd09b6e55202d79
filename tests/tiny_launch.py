"""Tiny cells of the embedded MNIST, as a launch makes them."""

from study.config.compose import hydra_ready
from study.config.sweep import Cell, plan
from study.launch.cells import identify

TINY = (
    "data.train_size=64",
    "data.val_size=64",
    "data.test_size=64",
    "model.widths=[8]",
    "trainer.max_epochs=1",
    "seeds=1",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
)


def cells(*overrides: str) -> list[Cell]:
    with hydra_ready():
        return identify(plan([*TINY, *overrides], multirun=True).cells)

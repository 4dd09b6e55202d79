"""A cell's population for a Trainer of one's own."""

from study.config import own
from study.config.compose import compose_cell, hydra_ready
from study.config.configuration import Config
from study.data.module import StudyData
from study.errors import InputError
from study.training.build import build_population, replicas_of
from study.training.population import Population


def population(*config: str | Config) -> tuple[Population, StudyData]:
    """The LightningModule and the LightningDataModule of a cell.

    `config` is what `study train` takes for one cell, word by word ("norm=batch", "seeds=2"), or
    one whole `Config`. `lightning.Trainer(max_epochs=...).fit(module, data)` trains all replicas,
    and `.test(module, data)` evaluates them; nothing is written but by that Trainer. Its number of
    epochs should be `trainer.max_epochs`, over which schedules and probes are laid out. Raises
    `InputError` for what no cell can be, for callbacks, which are that Trainer's, and for
    pretraining, which is kept with a study.
    """
    if len(config) == 1 and isinstance(config[0], Config):
        checked = config[0]
    else:
        with hydra_ready():
            checked = compose_cell([str(word) for word in config]).config
    if checked.pretraining.name != "none":
        raise InputError(
            f"pretraining={checked.pretraining.name}: `study train` pretrains, and keeps the "
            "weights with its study; without it write pretraining=none"
        )
    if checked.callbacks:
        raise InputError(
            f"callbacks=[{','.join(checked.callbacks)}] are for the Trainer of `study train`: give "
            "yours to your own, and leave them out here"
        )
    own.register()
    data = StudyData(checked)
    data.setup()
    return build_population(checked, data.data, replicas_of(checked)), data

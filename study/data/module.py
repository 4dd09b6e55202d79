"""A cell's data as Lightning asks for them: what is fetched, prepared and handed out in runs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import lightning
import torch

from study.config.configuration import Config
from study.data.batches import Run, Streams
from study.data.device import DTYPES, device_of
from study.data.preparation import Data, prepare
from study.data.sources import read_images

SPLITS = ("train", "val", "test")


def data_of(config: Config, device: torch.device | None = None) -> Data:
    """The cell's data in its precision, on that device or its own."""
    device = device or device_of(config.trainer.accelerator)
    return prepare(config.data, dtype=DTYPES[config.trainer.precision], device=device)


class StudyData(lightning.LightningDataModule):
    """The data of a cell, which lie on its device from the start: no worker loads any.

    A training batch is a `Run`: for each seed the examples of up to an epoch's updates. It ends
    with the epoch, where `end_runs_at` says, or once it is as long as the module wants. Where it
    ends changes no number. A batch of an evaluation is the name of a split.
    """

    def __init__(self, config: Config, data: Data | None = None) -> None:
        super().__init__()
        self.config = config
        self._data = data
        self.ends: set[int] = set()

    @property
    def data(self) -> Data:
        """What `setup` has prepared."""
        assert self._data is not None, "`setup` comes first"
        return self._data

    def prepare_data(self) -> None:
        """Fetches and verifies the images, unless they are there."""
        if self._data is None:
            read_images(self.config.data.name, self.config.data.root, self.config.data.cache)

    def setup(self, stage: str | None = None) -> None:
        """Splits and normalizes the images, on the Trainer's device."""
        device = self.trainer.strategy.root_device if self.trainer else None
        if self._data is None or (device and self._data.train.inputs.device != device):
            self._data = data_of(self.config, device)

    def end_runs_at(self, updates: Iterable[int]) -> None:
        """From now on a run ends after so many updates since the start of training."""
        self.ends.update(updates)

    def train_dataloader(self) -> "Runs":
        return Runs(self)

    def val_dataloader(self) -> Sequence[str]:
        return ["val"]

    def test_dataloader(self) -> Sequence[str]:
        return SPLITS

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """It is there."""
        return batch


class Runs:
    """The runs of the epoch that the data's Trainer is at; how many there are nobody knows.

    They are of the seeds of the module that it trains, which cuts the epoch into its `parts`.
    """

    def __init__(self, data: StudyData) -> None:
        self.data = data

    def __iter__(self) -> Iterator[Run]:
        config, trainer = self.data.config, self.data.trainer
        assert trainer is not None, "runs are for a Trainer"
        module: Any = trainer.lightning_module
        epoch = trainer.current_epoch
        whole = Run.of_epoch(
            self.data.data.train,
            module.seeds,
            Streams(config.streams),
            epoch=epoch,
            batch_size=config.batch_size,
        )
        ends = [end - epoch * len(whole) for end in self.data.ends]
        for first, last in module.parts(len(whole), ends):
            yield whole.part(first, last)

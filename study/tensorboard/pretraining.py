"""TensorBoard's page of a pretraining: monitors, reconstructions beside inputs, filters."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from study.files import remove
from study.outputs.cell import filter_images
from study.tensorboard.images import beside, grid
from study.tensorboard.writer import open_writer
from study.training.pretraining.autoencoder import LayerAutoencoder
from study.training.pretraining.gradient import GradientTrainee
from study.training.pretraining.greedy import Row, Watch
from study.training.pretraining.rbm_training import RbmTrainee
from study.training.pretraining.trainee import Trainee

NUM_IMAGES = 16


@contextmanager
def watched_run(
    run: Path, input_shape: tuple[int, int, int], tick: Callable[[float], None]
) -> Iterator[Watch]:
    """A run of its own in the directory `run`; what an earlier attempt wrote is written again.

    It shows each epoch's monitors, means over seeds, and images of the first layer's learning: for
    the first seed, validation images above their reconstructions, and filters.
    """
    for left in run.glob("events.out.tfevents.*"):
        remove(left)
    with open_writer(run) as writer:

        def report(layer: int, epoch: int, numbers: Row) -> None:
            for name, value in numbers.items():
                if name == "epoch":
                    continue
                # `val_free_energy` is `free energy val`: both splits of a monitor stand together.
                split, _, rest = name.partition("_")
                shown = f"{rest} {split}" if split in ("train", "val") else name
                tag = f"pretraining layer {layer}/{shown.replace('_', ' ')}"
                writer.add_scalar(tag, value, epoch)

        def finished(layer: int, trainee: Trainee, val: Tensor) -> None:
            if layer > 1:
                return
            images = val[:NUM_IMAGES]
            shown = reconstructions(trainee, images)
            if shown is not None:
                page = beside(images.view(-1, *input_shape), shown.view(-1, *input_shape))
                writer.add_image("pretraining/inputs above their reconstructions", page, 0)
            weight = learned_weight(trainee).cpu().numpy()
            filters = torch.from_numpy(filter_images(weight, input_shape))
            writer.add_image("pretraining/first-layer filters", grid(filters), 0)

        yield Watch(report, finished, tick)


def reconstructions(trainee: Trainee, images: Tensor) -> Tensor | None:
    """What the first layer makes of images, in their shape; None where it has no decoder."""
    if isinstance(trainee, LayerAutoencoder):
        return trainee.reconstruct(images)
    if isinstance(trainee, RbmTrainee):
        return trainee.rbm.reconstruct(images.flatten(1)).view(images.shape)
    return None


def learned_weight(trainee: Trainee) -> Tensor:
    """The weight of the layer, written back or not."""
    if isinstance(trainee, RbmTrainee):
        return trainee.rbm.weight.detach()
    assert isinstance(trainee, GradientTrainee), "no other kind"
    return trainee.block.layer.weight.detach()

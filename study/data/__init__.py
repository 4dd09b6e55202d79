"""Sources of images, their split, and the tensors a population trains on."""

from study.data.augmentation import augment
from study.data.images import Images
from study.data.normalize import (
    IN_UNIT_INTERVAL,
    NORMALIZATIONS,
    Normalize,
    fit_normalization,
)
from study.data.pca import principal_energies
from study.data.preparation import Data, Split, prepare
from study.data.ridge import Ridge, ridge
from study.data.shift import SHIFTS, shifted
from study.data.sources import SOURCES, read_images
from study.data.split import split_indices, subset_indices

__all__ = [
    "IN_UNIT_INTERVAL",
    "NORMALIZATIONS",
    "SHIFTS",
    "SOURCES",
    "Data",
    "Images",
    "Normalize",
    "Ridge",
    "Split",
    "augment",
    "fit_normalization",
    "prepare",
    "principal_energies",
    "read_images",
    "ridge",
    "shifted",
    "split_indices",
    "subset_indices",
]

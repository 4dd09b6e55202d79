"""Sources of images, their split, and the tensors a population trains on."""

from study.data.augmentation import augment
from study.data.images import Images
from study.data.normalize import NORMALIZATIONS, Normalize, fit_normalization
from study.data.preparation import Data, Split, prepare
from study.data.sources import SOURCES, read_images
from study.data.split import split_indices, subset_indices

__all__ = [
    "NORMALIZATIONS",
    "SOURCES",
    "Data",
    "Images",
    "Normalize",
    "Split",
    "augment",
    "fit_normalization",
    "prepare",
    "read_images",
    "split_indices",
    "subset_indices",
]

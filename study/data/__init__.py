"""Sources of images, their split, and the tensors a population trains on."""

from study.data.images import Images, build_images
from study.data.normalize import IN_UNIT_INTERVAL, NORMALIZATIONS, Normalize, fit_normalization
from study.data.preparation import AUGMENTATIONS, SHIFTS, Data, Split, augment, prepare, shifted
from study.data.sources import SOURCES, read_images
from study.data.split import split_indices, subset_indices

__all__ = [
    "AUGMENTATIONS",
    "IN_UNIT_INTERVAL",
    "NORMALIZATIONS",
    "SHIFTS",
    "SOURCES",
    "Data",
    "Images",
    "Normalize",
    "Split",
    "augment",
    "build_images",
    "fit_normalization",
    "prepare",
    "read_images",
    "shifted",
    "split_indices",
    "subset_indices",
]

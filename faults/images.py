"""A thousand digits as picture files, which the broken study trains on."""

from pathlib import Path

from study.data import read_images

NUM_TRAIN, NUM_TEST = 1000, 300


def write_images(root: Path) -> None:
    """Writes the first images of MNIST as an image folder."""
    import numpy as np
    from PIL import Image

    images = read_images("mnist")
    for split, number in (("train", NUM_TRAIN), ("test", NUM_TEST)):
        pixels = getattr(images, f"{split}_images")[:number].numpy()
        labels = getattr(images, f"{split}_labels")[:number].tolist()
        for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            path = root / split / str(label) / f"{index:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.asarray(image[0])).save(path)

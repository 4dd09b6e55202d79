"""`study data`: fetches data sets, verifies them, and checks an image folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from study.config import own
from study.config.configuration import levels
from study.config.keys import PLACES, parse_one
from study.console import Parser, run_as_command
from study.errors import InputError, unknown

if TYPE_CHECKING:
    from study.data.images import Images

LOCAL = "image_folder"

DESCRIPTION = """Fetches and verifies data sets; without a name, says which are here.

  study data cifar10                        fetched if need be, verified, decoded anew
  study data image_folder data.root=DIR     your own images, checked as training will read them
  study data NAME data.cache=DIR            what is decoded is kept in DIR, not beside the images"""


def main(arguments: Sequence[str]) -> int:
    """Decodes each named set from its verified source anew and prints what it holds."""
    known = levels("data")
    parser = Parser("study data", DESCRIPTION)
    parser.add_argument("words", nargs="*", metavar="NAME", help=", ".join(known))
    parser.usage = f"{parser.prog} [-h] [NAME ...] [data.root=DIR] [data.cache=DIR]"
    words = parser.parse_args(list(arguments)).words
    names = [word for word in words if "=" not in word]
    root, cache = _places([word for word in words if "=" in word])
    for name in names:
        if name not in known:
            raise unknown("data set", name, known)
    if not names and (root or cache):
        raise InputError(f"which data set? such as {parser.prog} {LOCAL} data.root=DIR")

    from study.data.sources import SOURCES, cache_of, read_images, resolve_root

    own.register()
    for name in names:
        resolve_root(name, root)
    for name in names:
        images = read_images(name, root, cache, fresh=True)
        shape = " x ".join(str(size) for size in images.train_images.shape[1:])
        print(
            f"{name}: {len(images.train_labels):,} training and {len(images.test_labels):,} test "
            f"images of {shape}, {len(images.classes)} classes, "
            f"fingerprint {images.fingerprint[:16]}",
            flush=True,
        )
        if name == LOCAL:
            print("\n".join(_details(images, root)), flush=True)
    if not names:
        for name in known:
            if name != LOCAL:
                folder = resolve_root(name, None)
                is_here = cache_of(name, folder).exists() or bool(SOURCES[name].files(folder))
                print(f"{name:14} {'here' if is_here else f'not here: study data {name}'}")
    return 0


def _places(words: list[str]) -> tuple[str | None, str | None]:
    """The values of `data.root=` and `data.cache=`; the last of each counts, as in training."""
    found: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in PLACES:
            raise unknown("key", key, PLACES)
        if not value:
            raise InputError(f"{key}= names no directory")
        found[key] = parse_one(key, value)
    return found.get("data.root"), found.get("data.cache")


def _details(images: Images, root: str | None) -> Iterator[str]:
    """How many images each class has, and which files are no images of any."""
    from study.data.image_folder import left_out
    from study.data.images import shown
    from study.data.sources import resolve_root

    counts = [
        labels.bincount(minlength=len(images.classes)).tolist()
        for labels in (images.train_labels, images.test_labels)
    ]
    width = max(len(name) for name in images.classes)
    for name, train, test in zip(images.classes, *counts, strict=True):
        yield f"  {name:{width}} {train:9,} training {test:9,} test"
    others = left_out(resolve_root(LOCAL, root))
    if others:
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        yield f"  passed over, no images in a class folder: {shown(others[0])}{more}"


if __name__ == "__main__":
    run_as_command("data")

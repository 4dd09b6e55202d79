"""`study data`: fetches data sets and verifies them."""

from collections.abc import Sequence

from study.arguments import Parser
from study.configuration import levels
from study.errors import unknown
from study.program import run_as_command

LOCAL = "image_folder"

DESCRIPTION = """Fetches and verifies data sets; without a name, says which are here.

Your own images need no fetching: study train data=image_folder data.root=DIR"""


def main(arguments: Sequence[str]) -> int:
    """Decodes each named set from its verified source anew and prints what it holds."""
    parser = Parser("study data", DESCRIPTION)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(_fetchable()))
    names = parser.parse_args(list(arguments)).names
    for name in names:
        if name not in _fetchable():
            raise unknown("data set", name, _fetchable())
    for name in names:
        print(_verified(name), flush=True)
    if not names:
        print("\n".join(_presence(name) for name in _fetchable()))
    return 0


def _fetchable() -> list[str]:
    return [name for name in levels("data") if name != LOCAL]


def _presence(name: str) -> str:
    from study.data.sources import SOURCES, resolve_root

    root = resolve_root(name, None)
    here = SOURCES[name].cache(root).exists() or bool(SOURCES[name].files(root))
    return f"{name:14} {'here' if here else f'not here: study data {name}'}"


def _verified(name: str) -> str:
    from study.data.sources import read_images

    images = read_images(name, fresh=True)
    shape = " x ".join(str(size) for size in images.train_images.shape[1:])
    return (
        f"{name}: {len(images.train_labels):,} training and {len(images.test_labels):,} test "
        f"images of {shape}, {len(images.classes)} classes, fingerprint {images.fingerprint[:16]}"
    )


if __name__ == "__main__":
    run_as_command("data")

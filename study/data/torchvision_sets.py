"""MNIST and its relatives, as torchvision's dataset classes read and verify them.

torchvision is imported only to decode: a start from the cache does without it.
"""

import shutil
import socket
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from study.data.images import Images, build_images, shown
from study.errors import InputError
from study.files import replacing
from study.locks import Lost

STALLED_SECONDS = 30
CONNECT = "connect to the network and start again"


@dataclass(frozen=True)
class MnistFamily:
    """Four gzipped IDX files in `root/FOLDER/raw`, read by the torchvision class of that name.

    `embedded` is the root where this repository has a copy of its own, if it has one.
    """

    folder: str
    dataset: str
    classes: tuple[str, ...]
    embedded: Path | None = None

    def cache(self, root: Path) -> Path:
        return root / self.folder / "tensors.safetensors"

    def files(self, root: Path) -> list[str]:
        return sorted(str(path) for path in (root / self.folder / "raw").glob("*.gz"))

    def decode(self, root: Path) -> Images:
        """Verify, extract and read the files in a directory of their own.

        torchvision checks the sums of the .gz files only when it extracts them, and takes whatever
        extracted files it finds, a half-written one too. So it is never shown an old one.
        """
        raw = root / self.folder / "raw"
        with tempfile.TemporaryDirectory(prefix="study-") as scratch:
            copies = Path(scratch) / self.folder / "raw"
            copies.mkdir(parents=True)
            with self._explained(root):
                for file in self.files(root):
                    shutil.copyfile(file, copies / Path(file).name)
                train, test = load(self.dataset, Path(scratch))
                self._keep_downloads(copies, raw)
        return build_images(
            (train.data.unsqueeze(1), train.targets),
            (test.data.unsqueeze(1), test.targets),
            classes=self.classes,
        )

    @contextmanager
    def _explained(self, root: Path) -> Iterator[None]:
        """Turn a failed download into the name of the file that made it necessary."""
        try:
            yield
        except (RuntimeError, OSError, HTTPException) as error:
            raw = root / self.folder / "raw"
            sums = [(raw / name, md5) for name, md5 in torchvision_class(self.dataset).resources]
            raise InputError(fault(sums, error, self._remedy(root))) from error

    def _remedy(self, root: Path) -> str:
        if self.embedded and root.resolve() == self.embedded.resolve():
            return f"`git checkout -- data/{self.folder}` restores the repository's copy"
        return CONNECT

    def _keep_downloads(self, copies: Path, raw: Path) -> None:
        """Move what torchvision fetched (it has verified it) to where it belongs."""
        for file in sorted(copies.glob("*.gz")):
            kept = raw / file.name
            if kept.exists() and kept.read_bytes() == file.read_bytes():
                continue
            raw.mkdir(parents=True, exist_ok=True)
            # Whoever took the directory over has fetched them, too.
            with suppress(Lost), file.open("rb") as fetched, replacing(kept) as whole:
                shutil.copyfileobj(fetched, whole)


def torchvision_class(name: str) -> Any:
    import torchvision.datasets

    return getattr(torchvision.datasets, name)


def load(name: str, root: Path) -> tuple[Any, Any]:
    """The training and the test set of a torchvision class, downloaded if it must be.

    A connection that says nothing for half a minute counts as failed.
    """
    dataset = torchvision_class(name)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALLED_SECONDS)
    try:
        return dataset(root, train=True, download=True), dataset(root, train=False, download=True)
    finally:
        socket.setdefaulttimeout(timeout)


def fault(sums: list[tuple[Path, str]], error: Exception, remedy: str) -> str:
    """One line on the first file that is missing or has another MD5 sum than `sums` says."""
    from torchvision.datasets.utils import calculate_md5

    reason = textwrap.shorten(str(error), 160, placeholder=" ...")
    for path, md5 in sums:
        if not path.is_file():
            return f"{shown(path)} is missing and could not be downloaded ({reason}): {remedy}"
        if (found := calculate_md5(path)) != md5:
            return (
                f"{shown(path)} is corrupted (its MD5 checksum is {found}, should be {md5}) "
                f"and could not be downloaded again ({reason}); delete it: {remedy}"
            )
    return f"{shown(sums[0][0].parent)} could not be read or written ({reason})"

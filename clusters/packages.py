"""The programs of Slurm, from Debian's packages where they can be installed."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from clusters.daemons import ClusterError, output_of

SLURM = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
}
"""Each program, and the package that brings it."""
ACCOUNTING = {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server"}
POLICY = Path("/usr/sbin/policy-rc.d")
"""What Debian asks whether an installed service may start."""


def program(name: str) -> str:
    """The path of a program; raises `ClusterError` where there is none."""
    found = _found(name)
    if found is None:
        raise ClusterError(f"there is no {name}")
    return found


def ensure(packages: Mapping[str, str]) -> None:
    """Installs the packages of programs that are missing.

    Raises `ClusterError`, in one line, where that takes somebody else.
    """
    missing = [package for name, package in packages.items() if _found(name) is None]
    if not missing:
        return
    line = f"apt-get install --no-install-recommends {' '.join(missing)}"
    if os.geteuid() or shutil.which("apt-get") is None:
        raise ClusterError(f"packages are missing, and only root can install them: {line}")
    print(f"clusters: {line}   (they stay; their services are not started)", flush=True)
    with _services_stopped():
        quietly = {"DEBIAN_FRONTEND": "noninteractive"}
        output_of(["apt-get", "update"], quietly)
        output_of(["apt-get", "install", "--yes", "--no-install-recommends", *missing], quietly)


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@contextlib.contextmanager
def _services_stopped() -> Iterator[None]:
    """A block in which no installation starts a service."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()

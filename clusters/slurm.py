"""A Slurm of one node on the loopback address, with or without accounting."""

import contextlib
import getpass
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from clusters.daemons import ClusterError, daemon, free_ports, output_of, succeeds, wait_until
from clusters.packages import program

CORES = 2
CONFIGURATION = """\
ClusterName=study
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ReturnToService=2
KillWait=5
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{accounting}
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF
"""
"""A job of `urgent` throws jobs of `main` out, which are requeued."""
DATABASE = """\
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
DbdHost=localhost
DbdPort={port}
SlurmUser={user}
PidFile={directory}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={storage_port}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
"""


@contextlib.contextmanager
def slurm(directory: Path, *, accounting: bool) -> Iterator[Mapping[str, str]]:
    """A block beside which Slurm runs in a new `directory`; yields the environment that finds it.

    Raises `ClusterError` if it does not start.
    """
    for name in ("state", "spool"):
        (directory / name).mkdir(parents=True)
    found = {"SLURM_CONF": str(directory / "slurm.conf")}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_munge(directory))
        text = stack.enter_context(_accounting(directory, found)) if accounting else ""
        (directory / "slurm.conf").write_text(_configuration(directory, text), encoding="utf-8")
        for name in ("slurmctld", "slurmd"):
            log = directory / f"{name}.log"
            stack.enter_context(daemon([program(name), "-D"], log, found))
        wait_until(lambda: _is_idle(found), f"an idle node; see {directory}/slurmctld.log")
        try:
            yield found
        finally:
            _empty(found)


def _configuration(directory: Path, accounting: str) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10 // 2**20
    control_port, node_port = free_ports(2)
    return CONFIGURATION.format(
        host=socket.gethostname().partition(".")[0],
        user=getpass.getuser(),
        directory=directory,
        control_port=control_port,
        node_port=node_port,
        accounting=accounting or "AccountingStorageType=accounting_storage/none",
        cores=CORES,
        memory=memory,
    )


def _is_idle(environment: Mapping[str, str]) -> bool:
    with contextlib.suppress(ClusterError):
        return "idle" in output_of(["sinfo", "--noheader", "--format=%T"], environment)
    return False


def _empty(environment: Mapping[str, str]) -> None:
    """Ends every job, while there is somebody to end it."""
    with contextlib.suppress(ClusterError):
        output_of(["scancel", f"--user={getpass.getuser()}"], environment)
        queue = ["squeue", "--noheader"]
        wait_until(lambda: not output_of(queue, environment), "the end of all jobs", seconds=20)


@contextlib.contextmanager
def _munge(directory: Path) -> Iterator[None]:
    """munge, which vouches for who sends a message, with a key and a socket of its own."""
    key, end = directory / "munge.key", directory / "munge.socket"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    places = {"key-file": key, "socket": end}
    places |= {f"{name}-file": directory / f"munge.{name}" for name in ("pid", "seed", "log")}
    options = [f"--{name}={path}" for name, path in places.items()]
    with daemon([program("munged"), "--foreground", "--force", *options], directory / "munged.out"):
        wait_until(end.exists, f"munge; see {directory}/munged.out")
        yield


@contextlib.contextmanager
def _accounting(directory: Path, found: Mapping[str, str]) -> Iterator[str]:
    """Accounting by slurmdbd on a MariaDB; yields the lines of slurm.conf that use it."""
    port, storage_port = free_ports(2)
    password = secrets.token_hex(16)
    file = directory / "slurmdbd.conf"
    file.touch(mode=0o600)
    file.write_text(
        DATABASE.format(
            directory=directory,
            user=getpass.getuser(),
            port=port,
            storage_port=storage_port,
            password=password,
        ),
        encoding="utf-8",
    )
    lines = [
        "AccountingStorageType=accounting_storage/slurmdbd",
        "AccountingStorageHost=localhost",
        f"AccountingStoragePort={port}",
        f"AccountingStoragePass={directory}/munge.socket",
    ]
    # sacctmgr asks slurm.conf where the database is, before there is a whole one.
    (directory / "slurm.conf").write_text(
        _configuration(directory, "\n".join(lines)), encoding="utf-8"
    )
    with (
        _mariadb(directory, storage_port, password),
        daemon([program("slurmdbd"), "-D"], directory / "slurmdbd.log", found),
    ):
        added = ["sacctmgr", "--immediate", "add", "cluster", "study"]
        wait_until(lambda: succeeds(added, found), f"slurmdbd; see {directory}/slurmdbd.log")
        yield "\n".join(lines)


@contextlib.contextmanager
def _mariadb(directory: Path, port: int, password: str) -> Iterator[None]:
    data, user = directory / "mariadb", getpass.getuser()
    install = program("mariadb-install-db")
    output_of([install, "--no-defaults", f"--datadir={data}", f"--user={user}"])
    first = directory / "first.sql"
    first.touch(mode=0o600)
    first.write_text(
        f"CREATE USER slurm@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON slurm.* TO slurm@'127.0.0.1';\n",
        encoding="utf-8",
    )
    options = [f"--datadir={data}", f"--user={user}", f"--port={port}", f"--init-file={first}"]
    options += ["--bind-address=127.0.0.1", f"--socket={directory}/mariadb.socket"]
    options += [f"--pid-file={directory}/mariadb.pid", "--skip-name-resolve"]
    with daemon([program("mariadbd"), "--no-defaults", *options], directory / "mariadb.log"):
        wait_until((directory / "mariadb.socket").exists, f"MariaDB; see {directory}/mariadb.log")
        yield

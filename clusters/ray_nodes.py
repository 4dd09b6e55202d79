"""A Ray of two nodes on this machine, with one core each."""

import contextlib
import secrets
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from clusters.daemons import daemon, free_ports, succeeds, wait_until

NUM_NODES = 2
COUNT = """
import ray
ray.init(address="auto", log_to_driver=False, logging_level="error")
assert sum(node["Alive"] for node in ray.nodes()) == {number}
"""


@contextlib.contextmanager
def ray_nodes(directory: Path) -> Iterator[Mapping[str, str]]:
    """A block beside which the nodes run in a new `directory`; yields the environment to find them.

    Raises `ClusterError` if they do not start.
    """
    directory.mkdir(parents=True)
    (port,) = free_ports(1)
    found = {
        "RAY_ADDRESS": f"127.0.0.1:{port}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    # Ray's sockets lie below its directory, and a socket's path is short.
    head = ["--head", f"--port={port}", f"--temp-dir={directory}", "--include-dashboard=false"]
    other = [f"--address={found['RAY_ADDRESS']}"]
    with contextlib.ExitStack() as stack:
        for number, role in enumerate([head, *[other] * (NUM_NODES - 1)], start=1):
            log = directory / f"node{number}.log"
            stack.enter_context(daemon([*_start(), *role], log, found))
            count = [sys.executable, "-c", COUNT.format(number=number)]
            wait_until(lambda count=count: succeeds(count, found), f"Ray; see {log}")  # type: ignore[misc]
        yield found


def _start() -> list[object]:
    ray = Path(sys.executable).with_name("ray")
    common = ["--block", "--num-cpus=1", "--node-ip-address=127.0.0.1"]
    return [ray, "start", *common, f"--object-store-memory={100 * 2**20}"]

"""`study tensorboard`: TensorBoard on a study, on this machine alone."""

import contextlib
import io
import socket
import time
from collections.abc import Sequence

from study.console import Parser, as_path, run_as_command
from study.errors import InputError
from study.outputs.records import Ledger, read_ledger

PORT = 6006
EVENTS = "events.out.tfevents.*"
SAMPLES = "scalars=10000,images=100,histograms=100,text=100"
"""How many points of a curve, and how many images, are kept: all of them."""


def main(arguments: Sequence[str]) -> int:
    """Runs TensorBoard until it is interrupted."""
    parser = Parser("study tensorboard", "Opens a study in TensorBoard, on this machine alone.")
    parser.add_argument(
        "directory", type=as_path, help="a study's directory, as outputs/quickstart"
    )
    parser.add_argument("--port", type=int, help=f"default: {PORT}, or the next that is free")
    options = parser.parse_args(list(arguments))
    if options.port is not None and not 0 <= options.port < 2**16:
        raise InputError(f"--port {options.port} is none: choose from 1 to 65535, or 0 for any")
    ledger = read_ledger(options.directory)
    num_runs = len({path.parent for path in options.directory.glob(f"*/{EVENTS}")})
    url = launch(ledger, options.port)
    with contextlib.suppress(KeyboardInterrupt):
        print(f"{url}  (Ctrl-C ends it)", flush=True)
        if num_runs == 0:
            print("no cell has written for TensorBoard yet; those that do appear there", flush=True)
        while True:
            time.sleep(3600)
    return 0


def launch(ledger: Ledger, port: int | None) -> str:
    """Starts TensorBoard in this process, on localhost alone; returns its address.

    Without a port, on the first free one from 6006; raises `InputError` where it cannot be had.
    """
    if port:
        # Taken if somebody answers there.
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("localhost", port), timeout=1),
        ):
            raise InputError(
                f"port {port} is taken; leave --port out for the next one that is free"
            )
    from tensorboard.program import TensorBoard, TensorBoardServerException

    flags = {
        "--logdir": str(ledger.directory),
        "--host": "localhost",
        "--port": "default" if port is None else str(port),
        "--window_title": ledger.study,
        "--samples_per_plugin": SAMPLES,
    }
    board = TensorBoard()
    board.configure(argv=["", *(text for flag in flags.items() for text in flag)])
    try:
        # On every start it says how it reads.
        with contextlib.redirect_stderr(io.StringIO()):
            url = board.launch()
    except TensorBoardServerException as error:
        raise InputError(f"TensorBoard does not start: {error.msg}") from None
    return f"{url}?smoothing=0"


if __name__ == "__main__":
    run_as_command("tensorboard")

"""`study tensorboard`: TensorBoard on a study, on this machine alone."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from study.arguments import Parser
from study.errors import InputError


def main(arguments: Sequence[str]) -> int:
    """Runs TensorBoard in the foreground until it is interrupted."""
    parser = Parser("study tensorboard", "Opens a study in TensorBoard, on this machine alone.")
    parser.add_argument("directory", type=Path, help="such as outputs/quickstart")
    parser.add_argument("--port", type=int, default=6006)
    options = parser.parse_args(list(arguments))
    if not options.directory.is_dir():
        raise InputError(f"{options.directory} is no directory; give a study, such as outputs/NAME")
    print(f"http://localhost:{options.port}/  (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "tensorboard.main", "--host", "localhost"]
    command += ["--port", str(options.port), "--logdir", str(options.directory)]
    return subprocess.run(command, check=False).returncode

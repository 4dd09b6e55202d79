"""The table of metrics is light: commands that only read import it."""

import subprocess
import sys


def test_the_names_are_read_without_torch() -> None:
    code = "import sys, study.outputs.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""The names of the probes: in the documents, and light."""

import subprocess
import sys
from pathlib import Path

from study.analysis.formats import escape_markdown
from study.outputs.metrics import PROBES

DOCUMENT = Path(__file__).parents[2] / "docs" / "probes.md"


def test_the_document_says_what_every_probe_is() -> None:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if line.startswith("| `") and line.split("`")[1] in PROBES]
    assert listed == [
        f"| `{probe.name}` | {escape_markdown(probe.help)} |" for probe in PROBES.values()
    ]


def test_the_names_are_read_without_torch() -> None:
    code = "import sys, study.outputs.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

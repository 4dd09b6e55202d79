"""`python -m requirements.audit`: do the locks name a release with a known vulnerability?

pip-audit asks PyPI about every pin of requirements/versions.txt, which holds those of all locks,
for every system. It is installed from its own lock into an environment that is removed again.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def main() -> int:
    """Prints what is known of the pins; 1 for a vulnerability, 0 also where nobody could be asked.

    No network must not keep a lock from being made, so that is said, and nothing else.
    """
    pins = PIN.findall((REQUIREMENTS / "versions.txt").read_text("utf-8"))
    try:
        with tempfile.TemporaryDirectory(prefix="audit-") as directory:
            dependencies = asked(pins, Path(directory))
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        print(f"audit: none of {len(pins)} packages could be audited: {said[-1]}", file=sys.stderr)
        return 0
    lines, vulnerable = report(dependencies, locks())
    print(*(f"audit: {line}" for line in lines), sep="\n", file=sys.stderr)
    return int(vulnerable)


def asked(pins: list[tuple[str, str]], directory: Path) -> list[dict[str, Any]]:
    """pip-audit's answer for each (name, version), made in an empty directory."""
    environment, listed = directory / "environment", directory / "pins.txt"
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    listed.write_text("".join(f"{name}=={version}\n" for name, version in pins), "utf-8")
    lock = str(REQUIREMENTS / "audit.lock")
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [str(programs / "pip"), "install", "--quiet", "--require-hashes", "-r", lock],
    ):
        subprocess.run(command, check=True, capture_output=True, text=True)
    command = [str(programs / "pip-audit"), "--format", "json", "--progress-spinner"]
    command += ["off", "--no-deps", "--disable-pip", "--requirement", str(listed)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise ValueError(done.stderr or "pip-audit said nothing") from None
    return found


def locks() -> dict[str, set[tuple[str, str]]]:
    """The pins of each lock, by its name."""
    paths = sorted(REQUIREMENTS.glob("*.lock"))
    return {path.stem: set(PIN.findall(path.read_text("utf-8"))) for path in paths}


def report(
    dependencies: list[dict[str, Any]], pinned: dict[str, set[tuple[str, str]]]
) -> tuple[list[str], bool]:
    """Lines on what was found, and whether a vulnerability is among it."""
    lines = []
    for each in dependencies:
        for flaw in each.get("vulns", []):
            pin = (each["name"], each["version"])
            where = ", ".join(name for name, pins in pinned.items() if pin in pins)
            names = "/".join([flaw["id"], *flaw.get("aliases", [])])
            mended = ", ".join(flaw["fix_versions"]) or "no release"
            lines.append(f"{' '.join(pin)} ({where}) has {names}, mended in {mended}")
    skipped = Counter(
        each["skip_reason"].partition(":")[0] for each in dependencies if "skip_reason" in each
    )
    number = len(lines)
    audited = f"{len(dependencies) - skipped.total()} of {len(dependencies)} packages audited"
    lines.append(f"{audited}, {number} known vulnerabilities")
    lines += [f"{count} could not be: {reason}" for reason, count in skipped.items()]
    return lines, bool(number)


if __name__ == "__main__":
    sys.exit(main())

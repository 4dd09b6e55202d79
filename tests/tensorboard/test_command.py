"""`study tensorboard`: TensorBoard on a small study, asked over HTTP and seen in a browser."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from study.__main__ import main
from study.config.configuration import factors
from study.outputs.ledger import record_launch
from study.outputs.records import LedgerCell
from tests import chromium, tiny

NAMES = ("relu", "tanh")
Started = tuple[subprocess.Popen[str], str]


@pytest.fixture(scope="module")
def study_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained cells."""
    root = tiny.folder(tmp_path_factory.mktemp("images"))
    directory = tmp_path_factory.mktemp("outputs") / "two"
    directory.mkdir()
    cells = []
    for name in NAMES:
        overrides = (f"activation={name}", "seeds=2", "optimizer.lr=[0.01,0.05]", "norm=batch")
        config = tiny.config(*overrides)
        cells.append(
            LedgerCell(f"cell-{name}", name, factors(config.mapping, _choices(config.mapping)))
        )
    record_launch(directory, study="two", threads=1, cells=cells, experiment=None, claims=[])
    for name in NAMES:
        overrides = (f"activation={name}", "seeds=2", "optimizer.lr=[0.01,0.05]", "norm=batch")
        tiny.train_to(directory / f"cell-{name}", root, *overrides, "probes=default")
    return directory


def _choices(config: Mapping[str, Any]) -> dict[str, str]:
    return {group: level["name"] for group, level in config.items() if _is_level(level)}


def _is_level(value: Any) -> bool:
    return isinstance(value, dict) and "name" in value


def start(directory: Path, *arguments: str) -> Started:
    """TensorBoard in a process of its own, and the first line that it prints."""
    command = [sys.executable, "-m", "study", "tensorboard", str(directory), *arguments]
    # Tests that a script runs in the background are deaf to Ctrl-C, and so would this process be.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"NO_PROXY": "localhost", "no_proxy": "localhost"},
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    assert process.stdout is not None
    return process, process.stdout.readline()


def stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The status and the rest of what it says, after Ctrl-C."""
    process.send_signal(signal.SIGINT)
    said = "".join(process.communicate(timeout=30))
    return process.returncode, said


@pytest.fixture(scope="module")
def address(study_dir: Path) -> Iterator[str]:
    process, line = start(study_dir, "--port", "0")
    try:
        found = re.match(r"(http://localhost:\d+/)\S*  \(Ctrl-C ends it\)\n", line)
        assert found, (line, process.poll())
        yield found[1]
    finally:
        stop(process)


def get(address: str, route: str, **query: str) -> Any:
    """TensorBoard's answer, as soon as it has read all runs."""
    url = f"{address}data/{route}?{urllib.parse.urlencode(query)}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        return json.load(answer)


def until(ask: Callable[[], Any], ready: Callable[[Any], bool]) -> Any:
    """The answer once it is ready, or the last one after 20 s: runs are read in the background."""
    end = time.monotonic() + 20
    while not ready(answer := ask()) and time.monotonic() < end:
        time.sleep(0.2)
    return answer


def by_run(address: str, plugin: str) -> dict[str, Any]:
    """What a plugin has of each run."""
    found = until(
        lambda: get(address, f"plugin/{plugin}/tags"),
        lambda answer: len(answer) == 2 and len({len(tags) for tags in answer.values()}) == 1,
    )
    assert set(found) == {f"cell-{name}" for name in NAMES}
    return dict(found)


def test_its_data_are_served(address: str) -> None:
    assert sorted(until(lambda: get(address, "runs"), lambda runs: len(runs) == 2)) == [
        "cell-relu",
        "cell-tanh",
    ]
    expected = {
        "scalars": {"error/val", "loss/train", "layer 2/dead_fraction", "results/test_error"},
        "images": {"predictions/confusion matrix", "weights/first-layer filters"},
        "histograms": {"samples of activations/layer 1", "samples of gradients/layer 2"},
    }
    for plugin, tags in expected.items():
        for found in by_run(address, plugin).values():
            assert tags <= set(found), plugin
    texts = until(lambda: get(address, "plugin/text/tags"), lambda found: len(found) == 2)
    assert set(texts["cell-relu"]) == {"configuration/factors", "configuration/yaml"}


def test_a_chart_says_what_it_shows_and_an_image_is_one(address: str) -> None:
    scalars = by_run(address, "scalars")["cell-relu"]
    assert "f'" in scalars["layer 1/dead_fraction"]["description"]
    tag = "predictions/confusion matrix"
    (sample,) = get(address, "plugin/images/images", run="cell-relu", tag=tag, sample="0")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"{address}data/plugin/images/individualImage?{sample['query']}"
    with opener.open(url, timeout=30) as answer:
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.read(8) == b"\x89PNG\r\n\x1a\n"


def test_the_layouts_of_the_cells_are_one(address: str) -> None:
    page = until(
        lambda: get(address, "plugin/custom_scalars/layout"), lambda found: "category" in found
    )
    titles = [category["title"] for category in page["category"]]
    assert titles == ["error and loss, with their range over seeds", "learning rates", "signals",
                      "gradients", "units", "weights", "BatchNorm"]  # fmt: skip
    for category in page["category"]:
        charts = [chart["title"] for chart in category["chart"]]
        assert len(charts) == len(set(charts))


def test_each_cell_is_one_session(address: str) -> None:
    by_run(address, "scalars")
    experiment = _post(address, "experiment", {"hparamsLimit": 0})
    differing = [info["name"] for info in experiment["hparamInfos"] if info.get("differs")]
    assert differing == ["activation", "learning rate"]
    request = {
        "colParams": [{"hparam": "activation", "includeInResult": True}],
        "allowedStatuses": ["STATUS_SUCCESS"],
        "startIndex": 0,
        "sliceSize": 10,
    }
    groups = until(
        lambda: _post(address, "session_groups", request)["sessionGroups"],
        lambda found: len(found) == 2,
    )
    assert sorted(group["hparams"]["activation"] for group in groups) == sorted(NAMES)
    assert [len(group["sessions"]) for group in groups] == [1, 1]


def _post(address: str, route: str, content: dict[str, Any]) -> Any:
    url = f"{address}data/plugin/hparams/{route}"
    body = json.dumps(content).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return json.load(answer)


PAGES: dict[str, Sequence[str]] = {
    "timeseries": ("error", "/train", "/val", "layer 1", "learning rates", "predictions"),
    "scalars": ("error/val", "layer 1/dead_fraction", "loss", "range over seeds", "results"),
    "custom_scalars": ("validation error", "training loss", "signals", "gradients", "BatchNorm"),
    "images": ("predictions/confusion matrix", "weights/first-layer filters", "cell-tanh"),
    "histograms": ("samples of activations/layer 1", "samples of gradients/layer 1"),
    "text": ("configuration/factors", "learning rate"),
    "hparams": ("activation", "relu", "tanh", "test error", "dead fraction"),
}


@pytest.mark.skipif(
    chromium.browser() is None,
    reason="no Chromium or Chrome is installed to load the page in: apt-get install chromium",
)
def test_the_pages_show_their_tags(address: str, tmp_path: Path) -> None:
    by_run(address, "scalars")
    with chromium.page(tmp_path / "profile") as page:
        for name, texts in PAGES.items():
            page.open(f"{address}?smoothing=0#{name}")
            assert page.lacks(*texts) == [], name


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal to send")
def test_ctrl_c_ends_it_quietly(study_dir: Path) -> None:
    process, line = start(study_dir, "--port", "0")
    assert line.startswith("http://localhost:")
    assert stop(process) == (0, "")


def test_a_port_that_is_taken_is_said_in_one_line(
    study_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["tensorboard", str(study_dir), "--port", str(port)]) == 2
    said = capsys.readouterr()
    assert (
        said.err == f"study: port {port} is taken; leave --port out for the next one that is free\n"
    )
    assert said.out == ""


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(
    study_dir: Path, capsys: pytest.CaptureFixture[str], port: str
) -> None:
    assert main(["tensorboard", str(study_dir), f"--port={port}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_directory_that_is_no_study_is_refused(
    study_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for directory, hint in (
        (tmp_path / "none", "does not exist"),
        (tmp_path, "no study.json"),
        (study_dir.parent, "choose from: two"),
        (study_dir / "cell-relu", f"give {study_dir}"),
    ):
        assert main(["tensorboard", str(directory)]) == 2
        said = capsys.readouterr().err
        assert hint in said
        assert said.count("\n") == 1

"""Jobs of one machine take a GPU each; no GPU is needed to see it."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import study.launch.job
from study.data.device import device_of
from study.launch.job import own_gpu


class FakeGpus:
    """What CUDA says of a machine with so many GPUs, and which one the process is at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int, folder: Path) -> None:
        self.current = 0
        monkeypatch.setattr(study.launch.job, "POLL_SECONDS", 0.01)
        monkeypatch.setattr("tempfile.gettempdir", lambda: str(folder))
        for name, value in {
            "is_available": lambda: count > 0,
            "device_count": lambda: count,
            "current_device": lambda: self.current,
            "set_device": self.take,
            "get_device_properties": lambda number: SimpleNamespace(uuid=f"gpu-{number}"),
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)

    def take(self, number: int) -> None:
        self.current = number


def silent(line: str) -> None:
    raise AssertionError(f"nothing was to be said: {line}")


def test_jobs_at_the_same_time_train_on_different_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeGpus(monkeypatch, 3, tmp_path)
    with own_gpu("cuda", silent):
        assert device_of("cuda") == torch.device("cuda", 0)
        with own_gpu("auto", silent):
            assert device_of("auto") == torch.device("cuda", 1)
            with own_gpu("cuda", silent):
                assert device_of("cuda") == torch.device("cuda", 2)
        with own_gpu("cuda", silent):
            assert device_of("cuda") == torch.device("cuda", 2), "where its process was last"


def test_a_gpu_is_free_again_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeGpus(monkeypatch, 2, tmp_path)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="no"), own_gpu("cuda", silent):
            raise RuntimeError("no")
        assert device_of("cuda").index == 0


HOLDER = """
import sys
from pathlib import Path
from study.locks import KernelLock
for path in sys.argv[1:]:
    assert KernelLock(Path(path)).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_job_waits_while_others_have_every_gpu_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeGpus(monkeypatch, 2, tmp_path)
    paths = [str(study.launch.job._lock_path(number)) for number in range(2)]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            holder.kill()

        with own_gpu("cuda", say):
            assert device_of("cuda").index == 0
    assert said == ["waiting for a GPU: other jobs have all 2"]


@pytest.mark.parametrize(("accelerator", "count"), [("cpu", 4), ("cuda", 1), ("auto", 0)])
def test_where_there_is_no_choice_nothing_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accelerator: str, count: int
) -> None:
    FakeGpus(monkeypatch, count, tmp_path)
    with own_gpu(accelerator, silent), own_gpu(accelerator, silent):
        assert device_of(accelerator).type == ("cuda" if accelerator == "cuda" else "cpu")
    assert not list(tmp_path.iterdir())

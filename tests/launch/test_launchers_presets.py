"""The presets of hydra/launcher: each composes onto its engine's plugin, and is documented."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

import study.launch.launchers
from study.config.compose import hydra_ready
from study.config.configuration import CONF
from study.errors import InputError
from study.launch.launchers import _launcher
from tests.launch.test_cells import cells

FOLDER = CONF / "hydra" / "launcher"
PRESETS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
PLUGINS = {
    "machine": "hydra_joblib_launcher",
    "ray_cluster": "hydra_ray_launcher",
    "ray_gpu": "hydra_ray_launcher",
    "slurm": "hydra_submitit_launcher",
    "slurm_gpu": "hydra_submitit_launcher",
    "slurm_preemptible": "hydra_submitit_launcher",
}


def preset(name: str, study_dir: Path, *overrides: str, threads: int = 3) -> Any:
    """What the launcher of a preset is made from."""
    cell = cells("optimizer=sgd")[0]
    with hydra_ready():
        _, config = _launcher(study_dir, [f"hydra/launcher={name}", *overrides], threads, cell)
    return OmegaConf.to_container(config.hydra.launcher, resolve=False), config


def is_there(plugin: str) -> bool:
    return importlib.util.find_spec(f"hydra_plugins.{plugin}") is not None


def test_every_preset_is_known_here_and_explained_on_the_page() -> None:
    assert sorted(PLUGINS) == PRESETS
    page = (CONF.parent / "docs" / "clusters.md").read_text(encoding="utf-8")
    for name in PRESETS:
        assert f"`hydra/launcher={name}`" in page
    for name in re.findall(r"hydra/launcher=(\w+)", page):
        assert name in (*PRESETS, "joblib", "ray", "submitit_slurm", "submitit_local", "basic")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_plugins_launcher(name: str, tmp_path: Path) -> None:
    plugin = PLUGINS[name]
    if not is_there(plugin):
        with pytest.raises(InputError, match=r"not installed: `make setup EXTRAS=joblib` \(or"):
            preset(name, tmp_path)
        pytest.skip(f"{plugin} is not installed: only its absence was tested")
    launcher, config = preset(name, tmp_path)
    assert plugin in launcher["_target_"]
    assert config.hydra.sweep.dir == str(tmp_path / ".hydra")
    if plugin == "hydra_submitit_launcher":
        assert config.hydra.launcher.cpus_per_task == 3, "the study's threads"
        assert config.hydra.launcher.max_num_timeout > 0, "a job that ran out of time goes on"
        assert config.hydra.launcher.name == tmp_path.name
    if plugin == "hydra_ray_launcher":
        assert config.hydra.launcher.ray.remote.num_cpus == 3
        assert config.hydra.launcher.ray.remote.max_retries > 0


@pytest.mark.parametrize(
    ("cores", "threads", "gpus", "jobs"),
    [(8, 1, 0, 8), (8, 3, 0, 2), (2, 4, 0, 1), (8, 1, 4, 4), (2, 2, 1, 1)],
)
def test_joblib_fills_the_machine_and_no_more(
    cores: int, threads: int, gpus: int, jobs: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra joblib is absent")
    monkeypatch.setattr(study.launch.launchers, "available_threads", lambda: cores)
    kind = "cuda" if gpus else "cpu"
    monkeypatch.setattr(
        study.launch.launchers, "device_of", lambda _: study.launch.launchers.torch.device(kind)
    )
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    for name in ("joblib", "machine"):
        assert preset(name, tmp_path, threads=threads)[0]["n_jobs"] == jobs
        share = "a GPU each" if gpus else "each (trainer.threads)"
        assert share in capsys.readouterr().out
        given = preset(name, tmp_path, "hydra.launcher.n_jobs=5", threads=threads)[0]
        assert given["n_jobs"] == 5


def test_a_directory_with_odd_characters_is_one_value(tmp_path: Path) -> None:
    odd = tmp_path / "it's a, b=c [d] {e}"
    odd.mkdir()
    _, config = preset("basic", odd)
    assert config.hydra.sweep.dir == str(odd / ".hydra")

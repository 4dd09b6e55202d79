"""One faulty file of a level is named with what is wrong with it, and stops no other level."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.config import compose, configuration
from study.config import listing as catalogue
from study.config.compose import compose_cell, hydra_ready
from study.config.configuration import level_defaults, levels, sound_levels
from study.config.sweep import plan
from study.errors import InputError
from study.launch.cells import identify
from study.theory.activations.command import chosen_levels

FAULTY = {
    "beta": (b"# with a key of its own\nname: beta\nbeta: 1.0\n", "unknown key 'activation.beta'"),
    "empty": (b"", "it has no line such as `name: relu`"),
    "nameless": (b"# nameless\nalpha: 1.0\n", "it has no line such as `name: relu`"),
    "negative": (b"# out of range\nname: elu\nalpha: -1\n", "activation.alpha=-1 is out of range"),
    "open": (b"# not closed\nname: [elu\n", "while parsing a flow sequence"),
    "bytes": (b"# \xff\nname: elu\n", "'utf-8' codec can't decode"),
}


@pytest.fixture(autouse=True)
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the configuration with faulty files among the activations."""
    conf = tmp_path / "conf"
    shutil.copytree(configuration.CONF, conf)
    for name, (content, _) in FAULTY.items():
        (conf / f"activation/{name}.yaml").write_bytes(content)
    for module in (configuration, compose):
        monkeypatch.setattr(module, "CONF", conf)
    cached = (levels, level_defaults, configuration.warn_once)
    for function in cached:
        function.cache_clear()
    yield conf
    for function in cached:
        function.cache_clear()


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_file_is_named_with_what_is_wrong(name: str) -> None:
    reason = re.escape(f"conf/activation/{name}.yaml: {FAULTY[name][1]}")
    with pytest.raises(InputError, match=reason) as caught:
        level_defaults("activation", name)
    assert "\n" not in str(caught.value)


def test_a_new_key_is_told_where_it_belongs() -> None:
    with (
        hydra_ready(),
        pytest.raises(InputError, match="; a new one gets a line in study/config/keys"),
    ):
        compose_cell(["activation=beta"])


def test_the_other_levels_go_on(caplog: pytest.LogCaptureFixture) -> None:
    with hydra_ready():
        assert compose_cell(["activation=elu"]).config.activation.level["alpha"] == 1.0
        with pytest.raises(InputError, match="levels of activation that have it: elu$"):
            compose_cell(["activation=relu", "activation.alpha=2"])
    assert FAULTY.keys().isdisjoint(chosen_levels([]))
    assert "relu" in sound_levels("activation")
    assert sorted(caplog.text.count(f"conf/activation/{name}.yaml: ") for name in FAULTY) == [1] * 6


def test_a_file_without_an_entry_is_told_which_registry_lacks_it(
    conf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (conf / "activation/absent.yaml").write_text("# in no registry\nname: absent\n")
    assert "absent" not in chosen_levels([])
    assert "conf/activation/absent.yaml: ACTIVATIONS has no entry 'absent'" in caplog.text
    place = r"activation=absent: ACTIVATIONS in study/networks/activations\.py has no entry"
    with hydra_ready():
        planned = plan(["activation=absent"], multirun=False)
    with pytest.raises(InputError, match=place):
        identify(planned.cells)


def test_the_catalogue_lists_a_level_without_a_headline() -> None:
    lines = catalogue.catalogue()
    assert any(
        "  empty" in line and "first line of conf/activation/empty.yaml" in line for line in lines
    )

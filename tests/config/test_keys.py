"""Keys: each decided once, canonical, and out of range in one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from study.config.configuration import CONF, flatten, levels
from study.config.keys import GROUPS, KEYS, is_open, parse, parse_one, unknown_key
from study.config.kinds import MAX_SEEDS, shown_widths
from study.errors import InputError, shown

LEVELS = [(group, level) for group in (*GROUPS, "trainer") for level in levels(group)]
NOT_KEYS = ("defaults", "hydra")

OUT_OF_RANGE: dict[str, list[Any]] = {
    "study": [
        "",
        "../x",
        "a/b",
        "..",
        ".hidden",
        "-x",
        3,
        None,
        "a\nb",
        "x" * 101,
        "CON",
        "con",
        "nul.txt",
        "LPT1 .x",
        "com³",
        "日" * 100,
    ],
    "outputs_dir": ["", 3, None, "CON", "x/aux", "x/aux.d/y", "prn.txt", "x" * 256, 400 * "/xy"],
    "levels": ["", 3, "CON"],
    "seeds": [0, -1, [], None, "two", 2.0, True, [0, 0], [True], [-1], MAX_SEEDS + 1, [2**63]],
    "batch_size": [0, -1, 1.5, "many", None, True, [8]],
    "loss": ["mse", None, 1],
    "input_noise": [-0.1, "loud", float("nan"), float("inf"), None, True],
    "streams.order": [-1, "abc", 1.0, 2**63],
    "data.val_size": [0, 0.0, 1.0, 1.5, -1, None],
    "data.root": ["", 3, "a/NUL", "x" * 256],
    "data.train_size": [0, 0.5, "all"],
    "data.normalize": ["batch", None],
    "data.zca_epsilon": [0, -1],
    "data.flip": ["maybe", 1, 0, None],
    "data.crop": [-1, 1.0],
    "model.widths": [
        3,
        [0],
        [3.5],
        [3, "a"],
        None,
        [True],
        [2**21],
        "0x4",
        "4x",
        "2x0",
        ["2x4"],
    ],
    "model.code": [0, -1, 1.5, None, [30], 2**21],
    "model.channels": [[], [[]], [4], [[4], []], 4],
    "model.dropout": [1, -0.1, 1.5],
    "model.pool": ["median"],
    "activation.slope": ["steep", 10**400],
    "activation.pieces": [0],
    "init.std": [-1, "wide"],
    "init.gain": [0, -1, "automatic", True],
    "norm.momentum": [0, 1.1],
    "norm.eps": [0],
    "norm.affine": ["yes"],
    "optimizer.lr": [0, -0.1, "fast", [], None, [0.1, 0.1], [0.1, "fast"], float("nan"), True],
    "optimizer.momentum": [1, -0.1],
    "schedule.factor": [0, 1.5],
    "schedule.final_factor": [-0.1, 1.1],
    "trainer.max_epochs": [0, 1e3, True],
    "trainer.precision": [32, "16-true"],
    "trainer.accelerator": ["tpu"],
    "trainer.threads": [0, True, 1_000_000],
    "outputs.weights": ["some", True],
    "optimizer.clip_norm": [0, -1, "auto"],
    "logger": ["print", ["csv", 3], {"csv": 1}],
    "trainer.profiler": ["pytorch", True],
    "sweep.exclude": [3, [3], [{}], {"activation": "relu"}],
    "claims": [3, "relu wins"],
}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["auto", "max", "before", "cpu", "chosen", "standard"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner)
)


def refusal(name: str, value: Any) -> str:
    with pytest.raises(InputError) as caught:
        parse_one(name, value)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


@pytest.mark.parametrize("name", KEYS)
def test_each_key_is_decided_and_explained(name: str) -> None:
    key = KEYS[name]
    assert key.effect in ("result", "rounding", "none")
    assert key.help
    assert key.kind.expects


def leaves(path: str) -> dict[str, Any]:
    content = yaml.safe_load((CONF / path).read_text(encoding="utf-8"))
    return {name: value for name, value in content.items() if name not in NOT_KEYS}


def test_every_key_of_every_file_is_in_the_table_and_the_other_way_round() -> None:
    found = {name for name, _ in flatten(leaves("config.yaml")) if not is_open(name)}
    for group, level in LEVELS:
        found |= {f"{group}.{name}" for name in leaves(f"{group}/{level}.yaml")}
    assert found == set(KEYS)


@pytest.mark.parametrize(("group", "level"), LEVELS)
def test_every_level_is_in_range_as_its_file_gives_it(group: str, level: str) -> None:
    flat = {f"{group}.{name}": value for name, value in leaves(f"{group}/{level}.yaml").items()}
    assert parse(parse(flat)) == parse(flat)


@given(st.sampled_from(sorted(KEYS)), values)
def test_parsing_is_idempotent_or_refuses_in_one_line(name: str, value: Any) -> None:
    try:
        canonical = parse_one(name, value)
    except InputError:
        refusal(name, value)
    else:
        assert repr(parse_one(name, canonical)) == repr(canonical)


@given(st.sampled_from(sorted(KEYS)), st.integers(-(2**53), 2**53))
def test_equal_numbers_have_one_form(name: str, value: int) -> None:
    forms = set()
    for same in (value, float(value), -0.0 if value == 0 else value):
        try:
            forms.add(repr(parse_one(name, same)))
        except InputError:
            continue
    assert len(forms) <= 1


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, wrong in OUT_OF_RANGE.items() for value in wrong]
)
def test_what_is_out_of_range_is_refused_in_one_line(name: str, value: Any) -> None:
    message = refusal(name, value)
    assert message.startswith(f"{name}={shown(value)} is out of range")
    assert message.endswith(KEYS[name].kind.expects)


@pytest.mark.parametrize("name", ["outputs_dir", "data.root"])
@pytest.mark.parametrize(
    "mark", ["\x00", "\x07", "\x1b", "\n", "\u2028", "\udcff", "\u202e", "\u200f"]
)
def test_a_path_is_what_it_looks_like(name: str, mark: str) -> None:
    message = refusal(name, f"a{mark}b/c")
    assert message.isprintable()
    assert ascii(mark)[1:-1] in message or mark.isspace()


def test_a_path_of_any_language_and_of_what_is_there_already_is_taken(tmp_path: Path) -> None:
    there = tmp_path / "aux"
    assert parse_one("outputs_dir", str(tmp_path)) == str(tmp_path)
    assert "out of range" in refusal("outputs_dir", str(there))
    there.mkdir()
    for path in (
        str(there),
        str(there / "x"),
        ".",
        "..",
        "/",
        "~",
        "日本語/é",
        "کتاب\u200cها",
        "console",
    ):
        assert parse_one("outputs_dir", path) == path


@given(st.integers(1, 50))
def test_a_count_of_seeds_is_the_first_of_them(count: int) -> None:
    assert parse_one("seeds", count) == parse_one("seeds", list(range(count)))


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, unique=True), st.randoms())
def test_seeds_and_learning_rates_have_no_order(numbers: list[int], random: Any) -> None:
    shuffled = random.sample(numbers, len(numbers))
    assert parse_one("seeds", shuffled) == sorted(numbers)
    rates = [1e-3 * (place + 1) for place in range(len(numbers))]
    assert parse_one("optimizer.lr", random.sample(rates, len(rates))) == rates


@given(st.integers(1, 60), st.integers(1, 2**20))
def test_depth_times_width_is_a_list(depth: int, width: int) -> None:
    for name in ("model.widths", "model.head"):
        assert parse_one(name, f"{depth}x{width}") == [width] * depth
    assert shown_widths([width] * depth) == f"{depth}x{width}"


def test_the_word_for_a_gpu_is_lightnings_or_torchs() -> None:
    assert parse_one("trainer.accelerator", "gpu") == "cuda"
    assert "gpu" not in KEYS["trainer.accelerator"].kind.names


def test_an_unknown_key_is_told_its_neighbours() -> None:
    assert "did you mean batch_size?" in str(unknown_key("batchsize"))
    assert "streams.dropout" in str(unknown_key("streams.drop"))
    assert "activation.slope" in str(unknown_key("slope"))
    assert "did you mean optimizer?" in str(unknown_key("optimiser", GROUPS))
    assert "study list" in str(unknown_key("z" * 500))


@given(values)
def test_a_value_is_shown_on_one_bounded_line(value: Any) -> None:
    assert len(shown(value).splitlines()) <= 1
    assert len(shown(value)) <= 80

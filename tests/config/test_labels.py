"""A cell in a few words."""

import pytest

from study.config.labels import cell_words, counted, level_words, measured, span

USUAL = {"data": "mnist", "model": "mlp", "activation": "relu", "init": "zeros", "norm": "none"}


def test_counts_agree_with_their_noun() -> None:
    assert [counted(number, "cell") for number in (0, 1, 2)] == ["0 cells", "1 cell", "2 cells"]


def test_units_agree_with_their_number() -> None:
    assert [measured(number, "decades a layer") for number in (1.0, 0.99999999, -2.0)] == [
        "1 decade a layer",
        "1 decade a layer",
        "-2 decades a layer",
    ]
    assert [measured(1.0, unit) for unit in ("points", "s", "%", "")] == [
        "1 point",
        "1 s",
        "1 %",
        "1",
    ]


def test_a_cell_is_what_sets_it_apart() -> None:
    cells = [USUAL | {"optimizer": o, "seed": 1, "size": 2**i} for i, o in enumerate(("a", "b"))]
    assert cell_words(cells) == ["optimizer=a, size=1", "optimizer=b, size=2"]
    assert cell_words([USUAL, USUAL | {"model.widths": "[8]"}]) == [
        "model.widths=(default)",
        "model.widths=1x8",
    ]


@pytest.mark.parametrize(
    ("factor", "level", "words"),
    [
        ("model.widths", "[256,256]", "2x256"),
        ("model.widths", "[ 256, 256 ]", "2x256"),
        ("model.widths", "2x256", "2x256"),
        ("model.widths", "[784,256]", "[784,256]"),
        ("model.widths", "[]", "[]"),
        ("model.widths", "(default)", "(default)"),
        ("model.head", "[8]", "1x8"),
        ("model", "mlp widths=[64,64,64] dropout=0.5", "mlp widths=3x64 dropout=0.5"),
        ("model", "cnn channels=[[4],[4]] head=[9,9]", "cnn channels=[[4],[4]] head=2x9"),
        ("model", "mlp", "mlp"),
        ("pretraining.epochs", "[2,2]", "[2,2]"),
        ("pretraining", "rbm epochs=[2,2]", "rbm epochs=[2,2]"),
        ("batch_size", 64, 64),
    ],
)
def test_equal_widths_are_depth_times_width(factor: str, level: object, words: object) -> None:
    assert level_words(factor, level) == words
    assert level_words(factor, words) == words


def test_one_cell_is_its_main_levels() -> None:
    assert cell_words([USUAL]) == ["mnist, mlp, relu, zeros, none"]


def test_spans_are_read_at_a_glance() -> None:
    assert [span(seconds) for seconds in (0.4, 89, 600, 7200)] == [
        "0 s",
        "89 s",
        "10 min",
        "2.0 h",
    ]

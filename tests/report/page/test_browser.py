"""The page of a report in a browser: clicked through, by mouse and by keys alone."""

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from study.analysis.frames import Frames
from study.report.page import write_page
from tests import chromium
from tests.page_reports import LEVEL, make_report
from tests.synthetic import change_result, diverge, fail, make_study, set_metric
from tests.whole_cells import make_whole_study

pytestmark = pytest.mark.skipif(
    chromium.browser() is None,
    reason="no Chromium or Chrome is installed to load the page in: apt-get install chromium",
)
FACTORS = {
    "activation": ["relu", "tanh", LEVEL],
    "init": ["he_normal", "zeros"],
    "norm": ["none", "batch"],
}
A4 = 688
"""Pixels of a sheet's width between its margins."""
OPENED = "document.getElementById('cell').open"
DRAWN = "document.querySelectorAll('#cell .main-svg').length"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a study with every kind of cell, as a file."""
    directory = tmp_path_factory.mktemp("outputs") / "<b>mine"
    paths = make_whole_study(directory, FACTORS)
    change_result(paths[0], diverge(1))
    fail(paths[3])
    page = tmp_path_factory.mktemp("page") / "index.html"
    page.write_text(write_page(make_report(Frames.read(directory))), encoding="utf-8")
    return page.as_uri()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    """One browser for all tests."""
    with chromium.page(tmp_path_factory.mktemp("profile")) as page:
        page.watch()
        yield page


@pytest.fixture
def page(started: chromium.Page, address: str) -> Iterator[chromium.Page]:
    """The page, open; afterwards it has neither failed nor asked for anything."""
    started.events.clear()
    started.show_as(width=1280)
    started.open(address)
    wait(started, "document.documentElement.dataset.ready === 'true'")
    yield started
    assert complaints(started) == []
    assert address in requests(started)
    assert set(requests(started)) <= {"about:blank", address}


def complaints(page: chromium.Page) -> list[Any]:
    """What the console and the browser's log said, and what was thrown."""
    kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    return [event["params"] for event in page.events if event["method"] in kinds]


def requests(page: chromium.Page) -> list[str]:
    """What the page asked for outside itself."""
    sent = [
        e["params"]["request"] for e in page.events if e["method"] == "Network.requestWillBeSent"
    ]
    urls = [str(request["url"]) for request in sent]
    return [url.partition("#")[0] for url in urls if not url.startswith(("data:", "blob:"))]


def wait(page: chromium.Page, expression: str, seconds: float = 30) -> Any:
    """The expression's value once it is true."""
    end = time.monotonic() + seconds
    while not (value := page.evaluate(expression)):
        assert time.monotonic() < end, expression
        time.sleep(0.05)
    return value


def select(page: chromium.Page, name: str, value: str) -> None:
    """Chooses a value of one of the explorer's controls."""
    page.evaluate(
        f"(() => {{ const s = document.getElementById('choose-{name}'); "
        f"s.value = [...s.options].find((o) => o.text === {json.dumps(value)}).value; "
        "s.dispatchEvent(new Event('change', { bubbles: true })); })()"
    )


def headers(page: chromium.Page) -> list[list[str]]:
    """The names of the heat map's columns and of its rows."""
    texts = "[...document.querySelectorAll('#heat {}')].map((e) => e.textContent)"
    return [page.evaluate(texts.format(at)) for at in ("thead th", "tbody th")]


def test_factors_and_metric_are_chosen(page: chromium.Page) -> None:
    columns, rows = headers(page)
    assert columns == ["init / activation", "relu", "tanh", LEVEL]
    assert rows == ["he_normal", "zeros"]
    select(page, "rows", "norm")
    assert headers(page) == [["norm / activation", "relu", "tanh", LEVEL], ["none", "batch"]]
    select(page, "columns", "norm")
    assert headers(page) == [["activation / norm", "none", "batch"], ["relu", "tanh", LEVEL]]
    select(page, "columns", "none")
    assert headers(page)[0] == ["activation", "Test error"]
    before = page.evaluate("document.getElementById('heat').textContent")
    select(page, "metric", "Validation loss")
    assert page.evaluate("document.getElementById('heat').textContent") != before
    assert "Validation loss" in page.evaluate("document.getElementById('metric-help').textContent")


def test_fixing_another_level_shows_other_cells(page: chromium.Page) -> None:
    names = "[...document.querySelectorAll('#heat button')].map((b) => b.ariaLabel).join('|')"
    before = page.evaluate(names)
    select(page, "fixed-2", "batch")
    after = page.evaluate(names)
    assert "· none" in before
    assert "· batch" not in before
    assert "· batch" in after
    assert "· none" not in after


def test_the_explorer_has_the_numbers_of_the_tables(page: chromium.Page) -> None:
    shown = page.evaluate(
        "[...document.querySelectorAll('#heat tbody td')].map((e) => e.textContent.trim())"
    )
    table = page.evaluate(
        "[...document.querySelector('.pivot').querySelectorAll('tbody td')]"
        ".map((e) => e.textContent.replace(/\\s+/g, ' ').replace(' ≈', '').trim())"
    )
    assert shown == table
    assert any("diverged" in text for text in shown)


def test_a_cell_opens_with_everything_and_closes(page: chromium.Page) -> None:
    page.evaluate("document.querySelectorAll('#heat button')[1].click()")
    wait(page, OPENED)
    wait(page, f"{DRAWN} >= 3")
    missing = page.lacks("Learning curves", "Learning rates", "By layer", "First-layer filters")
    assert missing == []
    assert page.lacks("study reproduce", "widths:", "after 390 updates", "Replicas (12)") == []
    assert wait(page, "document.querySelector('#cell img').naturalWidth") > 28
    assert "/secret/place" not in page.evaluate("document.getElementById('cell').textContent")
    page.evaluate("document.getElementById('cell-close').click()")
    assert page.evaluate(OPENED) is False


def test_the_keyboard_alone_reaches_and_opens_a_cell(page: chromium.Page) -> None:
    page.evaluate("document.getElementById('choose-fixed-2').focus()")
    page.press("Tab")
    focused = "document.activeElement.ariaLabel ?? ''"
    assert page.evaluate(focused).startswith("relu · he_normal")
    page.press("ArrowRight")
    page.press("ArrowDown")
    assert page.evaluate(focused).startswith("tanh · zeros")
    page.press("Home")
    assert page.evaluate(focused).startswith("relu · zeros")
    page.press("ArrowDown")
    assert page.evaluate(focused).startswith("relu · zeros")
    page.press("ArrowUp")
    page.press("End")
    assert page.evaluate(focused).startswith(LEVEL)
    page.press("Enter")
    wait(page, OPENED)
    assert page.evaluate("document.getElementById('cell').contains(document.activeElement)")
    page.press("Escape")
    wait(page, f"!{OPENED}")
    assert page.evaluate(focused).startswith(LEVEL)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_cells_are_sorted_and_filtered(page: chromium.Page) -> None:
    column = (
        "(() => { const k = [...document.querySelectorAll('#list-head th')]"
        ".findIndex((h) => h.dataset.key === 'test_error');"
        "return [...document.querySelectorAll('#list-body tr')]"
        ".map((r) => parseFloat(r.cells[k].textContent)); })()"
    )
    click = "document.querySelector('#list-head th[data-key=test_error] button').click()"
    page.evaluate(click)
    up = [value for value in page.evaluate(column) if value is not None]
    assert up == sorted(up)
    page.evaluate(click)
    down = [value for value in page.evaluate(column) if value is not None]
    assert down == sorted(up, reverse=True)
    assert page.evaluate(column)[-1] is None, "the failed cell stands last either way"
    page.evaluate(
        "(() => { const f = document.getElementById('list-filter'); f.value = 'TANH batch';"
        "f.dispatchEvent(new Event('input')); })()"
    )
    assert page.evaluate("document.getElementById('list-count').textContent") == "2 of 12 cells"
    assert page.evaluate("document.querySelectorAll('#list-body tr').length") == 2


def test_names_are_text_whatever_they_hold(page: chromium.Page) -> None:
    assert page.evaluate("document.querySelectorAll('main b script, main td script').length") == 0
    assert page.evaluate("document.querySelector('h1').textContent") == "<b>mine"
    assert page.lacks(LEVEL) == []
    page.evaluate("document.querySelectorAll('#heat button')[2].click()")
    wait(page, OPENED)
    title = page.evaluate("document.getElementById('cell-title').textContent")
    assert title == f"{LEVEL} · he_normal · none"


def test_a_verdict_opens_the_cells_that_decide_it(page: chromium.Page) -> None:
    page.evaluate("document.querySelector('.card [data-open]').click()")
    wait(page, OPENED)
    named = page.evaluate("document.getElementById('cell-name').textContent")
    assert named == page.evaluate("document.querySelector('.card [data-open]').dataset.open")


def test_an_address_opens_its_cell(page: chromium.Page, address: str) -> None:
    name = page.evaluate("document.querySelector('#list-body [data-open]').dataset.open")
    page.open(f"{address}#cell={name}")
    wait(page, "document.documentElement.dataset.ready === 'true'")
    wait(page, OPENED)
    assert page.evaluate("document.getElementById('cell-name').textContent") == name


def test_print_is_light_and_no_wider_than_the_paper(page: chromium.Page) -> None:
    page.show_as(width=A4, theme="dark", media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.querySelectorAll('main details:not([open])').length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= A4
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_figures_are_shown(page: chromium.Page) -> None:
    sizes = "[...document.querySelectorAll('.drawn img')].map((i) => i.complete && i.naturalWidth)"
    assert page.evaluate(sizes) == [672, 672]


def test_colours_compare_only_cells_of_the_same_images(
    started: chromium.Page, tmp_path: Path
) -> None:
    """The worst of a bad data set is not the scale of a good one's cells."""
    for number, path in enumerate(make_study(tmp_path / "s", {"data.seed": [0, 1, 2, 3]})):
        change_result(path, set_metric([0.01, 0.02, 0.8, 0.9][number : number + 1] * 5))
        origin = f"data{number // 2}"
        change_result(path, partial(_set_origin, origin))
    (tmp_path / "index.html").write_text(write_page(make_report(Frames.read(tmp_path / "s"))))
    started.open((tmp_path / "index.html").as_uri())
    wait(started, "document.documentElement.dataset.ready === 'true'")
    strengths = "[...document.querySelectorAll('#heat button')].map((b) => b.style.cssText)"
    assert started.evaluate(strengths) == ["--t: 1.000;", "--t: 0.000;"] * 2
    assert started.evaluate("document.getElementById('legend').hidden")
    assert started.lacks("colours compare only within one") == []


def _set_origin(name: str, result: dict[str, Any]) -> None:
    result["provenance"]["data_fingerprint"] = name


def test_the_theme_is_the_systems_until_one_is_chosen(page: chromium.Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.show_as(width=1280, theme="dark")
    dark = page.evaluate(ground)
    assert dark != light
    page.evaluate("document.getElementById('theme').click()")
    assert page.evaluate(ground) == light
    page.evaluate("document.getElementById('theme').click()")
    assert page.evaluate(ground) == dark
    page.evaluate("document.getElementById('theme').click()")
    page.show_as(width=1280, theme="light")
    assert page.evaluate(ground) == light


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(page: chromium.Page, width: int) -> None:
    page.show_as(width=width)
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= width
    page.evaluate("document.querySelectorAll('#heat button')[1].click()")
    wait(page, f"{DRAWN} >= 3")
    assert page.evaluate("document.getElementById('cell-scroll').scrollWidth") <= width

"""A report as one HTML page."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from study.page import provenance, tables, verdicts
from study.page.details import detail_words, details, probe_labels
from study.page.explorer import explorer
from study.page.packing import (
    LARGEST,
    asset,
    charting_library,
    packed,
    png_uri,
    script,
    script_hash,
    share_of_width,
    style,
    svg_uri,
)
from study.report.parts import Drawn, Report

TEMPLATES = Path(__file__).parent / "templates"


def write_page(report: Report) -> str:
    """The page as text: the same report gives the same bytes.

    It asks for nothing: scripts, styles, pictures and data are in it, and its policy forbids
    browsers to fetch or to run anything else. All texts are escaped, whatever a level is called.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("page.html").render(_content(report)) + "\n"


def _content(report: Report) -> dict[str, Any]:
    return {
        **_carried(report),
        "report": report,
        "question": provenance.question(report.frames),
        "extent": provenance.extent(report.frames),
        "facts": provenance.facts(report.frames),
        "opened": detail_words(len(report.frames.finished)),
        "experiment": provenance.experiment_text(report.frames),
        "cards": verdicts.cards(report.verdicts),
        "counts": verdicts.counts(report.verdicts),
        "figures": [_figure(figure) for figure in report.figures],
        "pivots": tables.shown_pivots(report),
        "sheets": [tables.shown_sheet(s) for s in report.sheets if not tables.is_glossary(s)],
        "published": [tables.shown_sheet(sheet) for sheet in report.published],
        "glossary": tables.glossary_of(report.sheets),
    }


def _carried(report: Report) -> dict[str, Any]:
    """Scripts, styles and data, none of which a browser reads as markup."""
    library, library_hash = charting_library()
    theme, own = asset("theme.js"), script()
    shown = {
        **explorer(report.frames),
        "study": report.title,
        "probes": probe_labels(report.frames.cells),
    }
    return {
        "style": Markup(style()),
        "theme": Markup(theme),
        "script": Markup(own),
        "hashes": Markup(" ".join([script_hash(theme), script_hash(own), library_hash])),
        "library": library,
        "explorer": packed(shown),
        "details": packed(details(report)),
    }


def _figure(figure: Drawn) -> dict[str, Any]:
    svg = svg_uri(figure.svg)
    fits = len(svg) <= LARGEST
    return {
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "uri": Markup(svg if fits else png_uri(figure.png)),
        "share": share_of_width(figure.svg),
        "lines": fits and b"<image" not in figure.svg,
    }

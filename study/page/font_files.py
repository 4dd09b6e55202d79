"""Makes the page's font files from the fonts that matplotlib carries.

python -m study.page.font_files
"""

from pathlib import Path

from study.outputs.files import replacing
from study.page.fonts import FACES, FONTS

LICENCE = "LICENSE_DEJAVU"
CHARACTERS = (
    *range(0x20, 0x7F),
    *range(0xA0, 0x180),
    *range(0x370, 0x400),
    *range(0x2010, 0x2040),
    *range(0x2070, 0x20A0),
    *range(0x2190, 0x219A),
    *map(ord, "ℓℝ∂∆∇∈∏∑−∓√∝∞∫≈≠≡≤≥≪≫⋅✓✕"),
)
"""Latin, Greek, punctuation, sub- and superscripts, arrows, and mathematics as a report has it."""
_NAMES = (0, 1, 2, 4, 6, 13, 14)
"""Of a font's names: copyright, family, style, full and PostScript name, licence and its place."""


def make_font(source: Path, path: Path) -> None:
    """Writes the part of a TrueType font that CHARACTERS need, as WOFF."""
    from fontTools import subset

    options = subset.Options(
        flavor="woff",
        hinting=False,
        layout_features=["kern"],
        name_IDs=list(_NAMES),
        drop_tables=["FFTM"],
        recalc_timestamp=False,
    )
    with subset.load_font(str(source), options) as font:
        part = subset.Subsetter(options)
        part.populate(unicodes=CHARACTERS)
        part.subset(font)
        with replacing(path) as file:
            subset.save_font(font, file, options)


def sources() -> Path:
    """Where matplotlib keeps its fonts."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def main() -> None:
    """Makes every font, and copies the licence."""
    FONTS.mkdir(exist_ok=True)
    for name in FACES:
        make_font(sources() / f"{name}.ttf", FONTS / f"{name}.woff")
    with replacing(FONTS / LICENCE) as file:
        file.write((sources() / LICENCE).read_bytes())


if __name__ == "__main__":
    main()

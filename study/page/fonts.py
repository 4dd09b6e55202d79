"""The page's fonts: parts of DejaVu, so that it looks the same everywhere and digits line up.

`python -m study.page.font_files` makes the files in assets/fonts. They are kept with the code since
their bytes depend on the version of zlib, those of a page on nothing but its report. DejaVu's
licence, which lies beside them and in each of them, lets them be embedded, changed and passed on.
"""

import base64
from functools import lru_cache
from pathlib import Path

FONTS = Path(__file__).parent / "assets" / "fonts"
FACES = {
    "DejaVuSans": ("DejaVu Sans", "100 500"),
    "DejaVuSans-Bold": ("DejaVu Sans", "600 900"),
    "DejaVuSerif": ("DejaVu Serif", "100 500"),
    "DejaVuSerif-Bold": ("DejaVu Serif", "600 900"),
    "DejaVuSansMono": ("DejaVu Sans Mono", "100 900"),
}
"""By file the family and the weights that a style sheet asks for it by."""
SIZE = "92%"
"""DejaVu's letters are larger than those of the fonts that browsers have: sizes mean the same."""


@lru_cache
def font_faces() -> str:
    """The fonts as rules of a style sheet that hold them."""
    return "\n".join(
        f'@font-face {{ font-family: "{family}"; font-weight: {weights}; size-adjust: {SIZE}; '
        f"src: url(data:font/woff;base64,{_encoded(name)}) format('woff'); }}"
        for name, (family, weights) in FACES.items()
    )


def _encoded(name: str) -> str:
    return base64.b64encode((FONTS / f"{name}.woff").read_bytes()).decode("ascii")

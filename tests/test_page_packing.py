import base64
import gzip
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.page.packing import charting_library, packed, rounded, script_hash

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


@given(VALUES)
def test_what_is_packed_comes_back_and_is_no_markup(value: Any) -> None:
    text = packed(value)
    assert unpacked(text) == value
    assert re.fullmatch(r"[A-Za-z0-9+/=]*", text)
    assert packed(value) == text


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        packed([math.nan])


@given(st.floats(allow_nan=True))
def test_rounding_is_near_and_json(number: float) -> None:
    short = rounded(number, 5)
    if short is None:
        assert not math.isfinite(number) or abs(number) > 1.797e308
    else:
        assert short == pytest.approx(number, rel=1e-4, abs=1e-320)
        assert json.loads(json.dumps(short, allow_nan=False)) == short


def test_the_library_is_the_packages_and_has_the_hash_that_the_page_allows() -> None:
    text, digest = charting_library()
    library = gzip.decompress(base64.b64decode(text)).decode("utf-8")
    assert "plotly.js" in library[:200]
    assert script_hash(library) == digest
    assert len(text) < 2_200_000

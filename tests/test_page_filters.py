import base64
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from whole_cells import make_whole_study

from study.page.filters import MOST, TOTAL, Budget, filters
from study.report.frames import Frames


@given(st.integers(1, 1000), st.integers(1, 200), st.floats(1, 5000))
def test_what_is_shown_fits(num_cells: int, num: int, size: float) -> None:
    rows, columns = Budget(num_cells).grid(num, size)
    assert 1 <= rows <= columns
    assert rows * columns <= min(num, MOST)
    assert rows * columns == 1 or rows * columns * size * num_cells <= TOTAL


@pytest.mark.parametrize("shape", [(64, 1, 28, 28), (10, 3, 5, 5), (1, 1, 4, 3)])
def test_every_filter_is_where_it_belongs(tmp_path: Path, shape: tuple[int, int, int, int]) -> None:
    make_whole_study(tmp_path / "s", {"activation": ["relu"]}, filters=shape)
    frames = Frames.read(tmp_path / "s")
    found = filters(frames, frames.finished[0], Budget(1))
    assert found is not None
    content = base64.b64decode(found["png"].partition(",")[2])
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert list(picture.shape[1::-1]) == found["size"]
    images = np.load(frames.finished[0].path / "filters.npz")["filters"]
    height, width = shape[2:]
    columns = picture.shape[1] // (width + 1)
    for place in range(found["shown"]):
        top, left = place // columns * (height + 1) + 1, place % columns * (width + 1) + 1
        tile = picture[top : top + height, left : left + width]
        assert np.abs(tile - images[place].transpose(1, 2, 0)).max() <= 16


def test_filters_that_are_no_pictures_have_none(tmp_path: Path) -> None:
    make_whole_study(tmp_path / "s", {"activation": ["relu"]}, filters=(8, 2, 5, 5))
    frames = Frames.read(tmp_path / "s")
    assert filters(frames, frames.finished[0], Budget(1)) is None

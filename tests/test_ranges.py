"""Checks of one value: what passes comes back, what does not is named with what is right."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.errors import InputError
from study.networks.ranges import choice, count, counts, flag, keywords, number, only_keys


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9))
def test_number_is_itself_exactly_where_its_bounds_allow(value):
    inside = 0 < value <= 5
    if inside:
        assert number("key", value, above=0, at_most=5) == value
    else:
        with pytest.raises(InputError, match=re.escape("it must be a number above 0 and at most")):
            number("key", value, above=0, at_most=5)


@pytest.mark.parametrize("value", ["1", None, True, [1], float("nan"), float("inf"), -float("inf")])
def test_number_refuses_what_is_not_a_finite_number(value):
    with pytest.raises(InputError, match=re.escape(f"key is {value!r}; it must be a finite numb")):
        number("key", value)


def test_bounds_are_open_or_closed_as_named():
    assert number("key", 0, at_least=0) == 0
    assert number("key", 1, at_most=1) == 1
    for bounds in ({"above": 0}, {"below": 0}):
        with pytest.raises(InputError, match="key is 0"):
            number("key", 0, **bounds)


@given(st.lists(st.integers(1, 10**6)))
def test_counts_are_themselves(values):
    assert counts("key", values) == values
    assert counts("key", tuple(values)) == values


def test_wrong_items_are_named_by_their_place():
    with pytest.raises(
        InputError, match=re.escape("key[1] is -3; it must be a whole number, at l")
    ):
        counts("key", [1, -3])
    with pytest.raises(InputError, match="whole number, at least 0"):
        count("key", -1, at_least=0)
    with pytest.raises(InputError, match="true or false"):
        flag("key", "yes")
    with pytest.raises(InputError, match="unknown key 'c'; choose from: a, b"):
        choice("key", "c", ["a", "b"])


def test_keywords_are_the_keyword_only_parameters():
    def function(tensor, *, gain=1.0, std=2.0):
        pass

    assert keywords(function) == ["gain", "std"]
    only_keys("init x", {"name": "x", "gain": 1.0}, keywords(function))
    with pytest.raises(InputError, match="did you mean 'gain'"):
        only_keys("init x", {"gian": 1.0}, keywords(function))

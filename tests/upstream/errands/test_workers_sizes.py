from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.errands.workers_sizes import counted, fitted, parse_size, steps
from penstock.upstream.providers.workers_models import Bounds

SD = Bounds(256, 2048)


@pytest.mark.parametrize(("given_size", "size"), [("1024x768", (1024, 768)), (" 8 X 9 ", (8, 9)), ("8×9", (8, 9)), ("8*9", (8, 9))])
def test_sizes(given_size, size):
    assert parse_size(given_size) == size


@pytest.mark.parametrize("size", ["", "big", "0x5", "-1x5", "5", "123456x1", 7, None, ["1x1"]])
def test_what_is_no_size(size):
    with pytest.raises(PenstockError) as error:
        parse_size(size)
    assert error.value.param == "size"


@pytest.mark.parametrize(
    ("size", "made"),
    [
        ((1024, 1024), (1024, 1024)),
        ((4096, 4096), (2048, 2048)),
        ((4096, 1024), (2048, 512)),
        ((128, 128), (256, 256)),
        ((999, 1001), (999, 1001)),
        ((100, 3000), (256, 2048)),
        ((3000, 2000), (2048, 1368)),
    ],
)
def test_sizes_are_fitted(size, made):
    assert fitted(size, SD, SD) == made


def test_no_bounds_no_change():
    assert fitted((3, 5), Bounds(), Bounds(0, 0)) == (3, 5)


@given(st.tuples(st.integers(1, 99999), st.integers(1, 99999)), st.integers(1, 512), st.integers(512, 4096))
def test_what_is_fitted_fits(size, least, most):
    bounds = Bounds(least, most)
    assert all(least <= side <= most for side in fitted(size, bounds, bounds))


@pytest.mark.parametrize(
    ("value", "bounds", "name", "count"),
    [
        (5, Bounds(1, 20), "steps", 5),
        (50, Bounds(1, 20), "steps", 20),
        ("3", Bounds(4, None), "steps", 4),
        (30, Bounds(), "num_steps", 30),
        ("low", Bounds(1, 20), "quality", 5),
        ("HIGH", Bounds(1, 20), "quality", 20),
        ("hd", Bounds(), "quality", None),
        ("medium", Bounds(1, 20), "quality", None),
        (7, Bounds(1, 20), "quality", None),
    ],
)
def test_steps(value, bounds, name, count):
    assert steps(value, bounds, name) == count


def test_counts():
    assert [counted(value, "n") for value in (None, "", 3, "4", 2.0)] == [1, 1, 3, 4, 2]
    for value in (0, -1, "x", 1.5, True, [], "9" * 12):
        with pytest.raises(PenstockError):
            counted(value, "n")

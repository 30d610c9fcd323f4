from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.rules.paths import read_changeable, read_path, show_path


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a", ("a",)), ("a.b.0.c", ("a", "b", 0, "c")), ("messages.-1.content", ("messages", -1, "content")), (r"a\.b", ("a.b",)),
        (r"a\\", ("a\\",)), (r"a\\.b", ("a\\", "b")), ("007", ("007",)), ("-0", ("-0",)), ("1234567890123", ("1234567890123",)),
        ("logit_bias.50256", ("logit_bias", 50256)), ("a b.ключ", ("a b", "ключ")), ("-", ("-",)),
    ],
)  # fmt: skip
def test_paths_are_read(text, steps):
    assert read_path(text, "x") == steps


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "\\", "a\\", r"a\b", "x" * 201, ".".join("a" * 17), r"a.\n"])
def test_what_is_no_path_is_refused(text):
    with pytest.raises(PenstockError) as refused:
        read_path(text, "then.0.path")
    assert refused.value.param == "then.0.path"


@given(st.lists(st.integers(-999_999_999, 999_999_999) | st.text(min_size=1, max_size=9), min_size=1, max_size=16).map(tuple))
def test_what_is_shown_is_read_again(steps):
    text = show_path(steps)
    if len(text) <= 200:
        # What looks like a number is one, however it was meant: in an object it is a name all the same.
        assert tuple(str(step) for step in read_path(text, "x")) == tuple(str(step) for step in steps)


@pytest.mark.parametrize("text", ["model", "stream", "stream_options", "stream_options.include_usage", "model.0", r"stream.a"])
def test_what_the_gateway_goes_by_is_not_changed(text):
    with pytest.raises(PenstockError):
        read_changeable(text, "x")


@pytest.mark.parametrize("text", ["models", "a.model", "metadata.stream", "0", "Model"])
def test_the_same_names_elsewhere_are_no_matter(text):
    assert read_changeable(text, "x") == read_path(text, "x")

"""Parameters are read from JSON and from forms, and what is wrong with one is said."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.errands.readers import SEED, flag, number, one_of, picture, text, whole


@pytest.mark.parametrize(
    ("reader", "value", "sent"),
    [
        (whole(1, 4), 2, 2),
        (whole(1, 4), "2", 2),
        (whole(1, 4), " 4 ", 4),
        (whole(1, 4), 3.0, 3),
        (whole(256, 1440, 32), "1024", 1024),
        (number(0, 1), "0.8", 0.8),
        (number(0, 1), 1, 1),
        (number(2, 5), "3", 3.0),
        (one_of("1:1", "16:9"), " 16:9 ", "16:9"),
        (flag, True, True),
        (flag, "true", True),
        (flag, "False", False),
        (flag, "1", True),
        (flag, "0", False),
        (text, "a cat", "a cat"),
        (picture, "https://example.com/a.png", "https://example.com/a.png"),
        (picture, "data:image/png;base64,AAAA", "data:image/png;base64,AAAA"),
        (SEED, 2**32 - 1, 2**32 - 1),
    ],
)
def test_what_is_right(reader, value, sent):
    assert reader("name", value) == sent
    assert type(reader("name", value)) is type(sent)


@pytest.mark.parametrize(
    ("reader", "value", "words"),
    [
        (whole(1, 4), 5, "whole number of 1 to 4"),
        (whole(1, 4), "0", "1 to 4"),
        (whole(1, 4), True, "1 to 4"),
        (whole(1, 4), "1.5", "1 to 4"),
        (whole(1, 4), "٣", "1 to 4"),
        (whole(1, 4), "1e3", "1 to 4"),
        (whole(1, 4), float("nan"), "1 to 4"),
        (whole(1, 4), [], "1 to 4"),
        (whole(256, 1440, 32), 1000, "that 32 divides"),
        (SEED, -1, "0 to"),
        (SEED, "9" * 400, "0 to"),
        (number(0, 1), "nan", "number of 0 to 1"),
        (number(0, 1), float("inf"), "0 to 1"),
        (number(0, 1), True, "0 to 1"),
        (number(0, 1), {}, "0 to 1"),
        (one_of("1:1"), "2:1", "one of 1:1"),
        (one_of("1:1"), None, "one of 1:1"),
        (flag, "yes", "true or false"),
        (flag, 1, "true or false"),
        (text, "  ", "text"),
        (text, 5, "text"),
        (text, "x" * 20_001, "20000 characters"),
        (picture, "file:///etc/passwd", "URL"),
        (picture, "data:text/html;base64,AAAA", "URL"),
        (picture, "https://a b", "URL"),
        (picture, 5, "URL"),
    ],
)
def test_what_is_wrong(reader, value, words):
    with pytest.raises(PenstockError) as caught:
        reader("some_name", value)
    assert (caught.value.code, caught.value.param) == ("invalid_request", "some_name")
    assert caught.value.message.startswith("some_name ")
    assert words in caught.value.message


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(value=VALUES, reader=st.sampled_from([whole(1, 4), number(0, 1), one_of("a"), flag, text, picture, SEED]))
def test_nothing_but_the_error_escapes(value, reader):
    with suppress(PenstockError):
        reader("name", value)

from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.chat.fields import Fields


def test_what_is_taken_is_gone():
    fields = Fields({"a": 1, "b": None, "c": [2]}, "x")
    assert (fields.any("a"), fields.any("a"), fields.text("b"), fields.list("c"), fields.list("d")) == (1, None, None, [2], [])
    assert fields.left == {}


def test_what_was_given_is_left_alone():
    given = {"a": 1}
    Fields(given).any("a")
    assert given == {"a": 1}


def test_numbers():
    assert Fields({"a": 1.0}).whole("a") == 1
    assert Fields({"a": 10**30}).whole("a") == 10**30
    assert Fields({}).number("a") is None


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (1, Fields.text),
        ("", Fields.needed),
        (None, Fields.needed),
        (1, Fields.flag),
        ("1", Fields.number),
        (True, Fields.number),
        (1.5, Fields.whole),
        ([], Fields.object),
        ([], Fields.inner),
        ({}, Fields.list),
    ],
)
def test_errors_say_where(value, read):
    with pytest.raises(PenstockError) as caught:
        read(Fields({"a": value}, "x[0]"), "a")
    assert (caught.value.code, caught.value.param) == ("invalid_request", "x[0].a")


def test_inner_objects_know_their_place():
    inner = Fields({"a": {"b": 1}}, "x").inner("a")
    assert inner is not None and inner.at("b") == "x.a.b"
    with pytest.raises(PenstockError):
        Fields([], "x")

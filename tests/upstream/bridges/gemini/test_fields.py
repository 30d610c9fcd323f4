from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.gemini.fields import Fields

VALUES = {
    "topK": 2.0,
    "max_output_tokens": 5,
    "name": "n",
    "on": True,
    "inner": {"a": 1},
    "list": [{"b": 2}, {}],
    "words": ["x"],
    "nothing": None,
}


def test_both_spellings_and_null():
    fields = Fields(VALUES)
    assert (fields.whole("topK"), fields.whole("maxOutputTokens"), fields.text("name"), fields.flag("on")) == (2, 5, "n", True)
    assert (fields.text("nothing"), fields.object("absent"), fields.objects("nothing"), fields.texts("absent")) == (None, None, [], [])
    assert [one.values for one in fields.objects("list")] == [{"b": 2}, {}]
    assert [one.values for one in fields.objects("inner")] == [{"a": 1}]
    assert fields.texts("words") == ["x"]


@pytest.mark.parametrize(
    ("values", "read", "param"),
    [
        ({"x": 1}, lambda fields: fields.text("x"), "p.x"),
        ({"x": True}, lambda fields: fields.number("x"), "p.x"),
        ({"x": 1.5}, lambda fields: fields.whole("x"), "p.x"),
        ({"x": "yes"}, lambda fields: fields.flag("x"), "p.x"),
        ({"x": []}, lambda fields: fields.object("x"), "p.x"),
        ({"x": [{}, 1]}, lambda fields: fields.objects("x"), "p.x[1]"),
        ({"x": ["a", 1]}, lambda fields: fields.texts("x"), "p.x"),
        ({"x": {"y": 1}}, lambda fields: fields.object("x").text("y"), "p.x.y"),
    ],
)
def test_a_wrong_type_is_named_by_its_place(values, read, param):
    with pytest.raises(PenstockError) as caught:
        read(Fields(values, "p"))
    assert (caught.value.code, caught.value.param) == ("invalid_request", param)


@given(st.floats() | st.integers() | st.text() | st.none())
def test_whole_is_an_integer_or_refused(value):
    try:
        found = Fields({"x": value}).whole("x")
    except PenstockError:
        return
    assert found is None or type(found) is int

from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.responses import fields


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (lambda value: fields.text(value, "p"), [("a", "a"), (None, "")], [1, [], {}]),
        (lambda value: fields.given(value, "p"), [("a", "a")], ["", None, 1]),
        (lambda value: fields.number(value, "p"), [(1, 1.0), (0.5, 0.5), (None, None)], [True, "1", float("inf")]),
        (lambda value: fields.count(value, "p", 1), [(3, 3), (3.0, 3), (None, None), (10**12, 10**9)], [0, True, "3", 1.5]),
        (lambda value: fields.flag(value, "p"), [(True, True), (None, None)], [1, "true"]),
        (lambda value: fields.table(value, "p"), [({}, {}), (None, {})], [[], "x"]),
        (lambda value: fields.rows(value, "p"), [([1], [1]), (None, [])], [{}, "x"]),
    ],
)
def test_what_a_field_must_be(read, good, bad):
    for value, expected in good:
        assert read(value) == expected
    for value in bad:
        with pytest.raises(PenstockError) as caught:
            read(value)
        assert (caught.value.code, caught.value.param) == ("invalid_request", "p")


def test_data_urls():
    assert fields.data_url("data:image/png;base64,aGk=") == ("image/png", "aGk=")
    assert fields.data_url("data:text/plain;charset=utf-8,h%69") == ("text/plain", "aGk=")
    assert fields.data_url("data:") == ("", "")


def test_types_of_files():
    assert fields.type_of_file("a.csv") == "text/csv" and fields.type_of_file("") == "application/pdf"

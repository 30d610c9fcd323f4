from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.messages import reading


@pytest.mark.parametrize(
    ("read", "bad"),
    [
        (reading.text, 5),
        (reading.truth, "true"),
        (reading.number, "1"),
        (reading.number, 1e300),
        (reading.number, True),
        (reading.count, -1),
        (reading.count, 1.5),
        (reading.fields, []),
        (reading.objects, {}),
        (reading.objects, [1]),
    ],
)
def test_a_wrong_type_names_the_field(read, bad):
    with pytest.raises(PenstockError) as caught:
        read(bad, "messages[0].content")
    assert caught.value.code == "invalid_request"
    assert caught.value.param is not None and caught.value.param.startswith("messages[0].content")


def test_what_is_not_there_is_empty():
    assert reading.text(None, "x") == ""
    assert reading.fields(None, "x") == {}
    assert reading.objects(None, "x") == []
    assert (reading.truth(None, "x"), reading.number(None, "x"), reading.count(None, "x")) == (None, None, None)


def test_a_whole_number_may_be_written_with_a_point():
    assert reading.count(4096.0, "max_tokens") == 4096

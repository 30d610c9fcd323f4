from __future__ import annotations

import pytest

from penstock.upstream.usage import Usage
from penstock.upstream.wires.streams import Counting, named


@pytest.mark.parametrize(
    ("event", "data", "name"),
    [
        (b"event: response.completed\ndata: {", b"{", "response.completed"),
        (b'data: {"type":"response.failed","x', b'{"type":"response.failed","x', "response.failed"),
        (b'data: {"x":1, "type" : "a.b_c", "type":"d"', b'{"x":1, "type" : "a.b_c", "type":"d"', "a.b_c"),
        (b"data: {", b"{", ""),
        (b"", b"", ""),
        (b"event: \xff\ndata: {", b"{", "\ufffd"),
    ],
)
def test_the_name_of_what_cannot_be_decoded(event, data, name):
    assert named(event, data) == name


def test_a_name_is_looked_for_at_the_beginning_only():
    assert named(b"data: {" + b"x" * 2000 + b'"type":"a"', b"x" * 2000 + b'"type":"a"') == ""


def test_usage_is_the_providers_once_it_is_final(ask):
    counting = Counting(ask())
    assert counting.usage() == (Usage(input_tokens=100), True)
    counting.skip(3000, 10)
    counting._usage = Usage(input_tokens=7, output_tokens=3)
    usage, estimated = counting.usage()
    assert (usage.input_tokens, usage.output_tokens, estimated) == (7, 750, True)
    counting._final = True
    assert counting.usage() == (Usage(input_tokens=7, output_tokens=3), False)


def test_a_failure_before_any_output_is_free(ask):
    counting = Counting(ask())
    counting._failed = True
    assert counting.usage() == (Usage(calls=0), False)
    counting.skip(10, 1)
    assert counting.usage()[1]

from __future__ import annotations

import pytest

from penstock.upstream.usage import Usage
from penstock.upstream.wires.typed import QuantityMeter, TypedMeter
from penstock.upstream.wires.wire import Verdict


class Meter(TypedMeter):
    """Ends with one type."""

    ends = frozenset(("it.done",))


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"type":"it.done"}',
        b'event: it.done\ndata: {"x":1}',
        b"event: it.done\ndata: {bad",
        b'data: {"type":"it.done", bad',
        b"data: [DONE]",
    ],
)
def test_the_end_is_recognised(ask, event):
    assert Meter(ask()).event(event) is Verdict.LAST


@pytest.mark.parametrize("event", [b"", b"data: {", b'data: {"type":5}', b'data: {"type":"it.done.not"}', b": it.done", b"data: null"])
def test_everything_else_passes(ask, event):
    assert Meter(ask()).event(event) is Verdict.PASS


def test_usage_at_the_top_or_in_a_response(ask):
    for data in (
        b'{"usage":{"input_tokens":3,"output_tokens":4}}',
        b'{"type":"x","response":{"usage":{"input_tokens":3,"output_tokens":4}}}',
    ):
        meter = Meter(ask())
        meter.event(b"data: " + data)
        assert meter.usage() == (Usage(input_tokens=3, output_tokens=4), False)


def test_text_and_failures_are_noticed(ask):
    meter = Meter(ask())
    meter.event(b'data: {"type":"it.delta","delta":"text"}')
    assert meter.usage() == (Usage(input_tokens=100, output_tokens=1), True)
    failed = Meter(ask())
    failed.event(b'event: error\ndata: {"message":"no"}')
    assert failed.usage() == (Usage(calls=0), False)


def test_quantities_known_beforehand_are_the_guess(ask):
    assert QuantityMeter(ask(quantity=Usage(images=2))).usage() == (Usage(images=2), True)
    assert QuantityMeter(ask()).usage() == (Usage(), True)

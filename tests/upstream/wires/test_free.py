from __future__ import annotations

from penstock.upstream.usage import Usage
from penstock.upstream.wires.free import FreeMeter, FreeWire
from penstock.upstream.wires.wire import Verdict


def test_whatever_passes_counts_for_nothing():
    meter = FreeMeter()
    assert meter.event(b'data: {"usage":{"input_tokens":5}}') is Verdict.PASS
    meter.skip(1000, 5)
    assert meter.usage() == (Usage(calls=0), False)


def test_nothing_is_held_for_a_free_request():
    ask = FreeWire().peek(b'{"model":"m","input":"' + b"x" * 1000 + b'"}')
    assert (ask.input_size, ask.output_cap, ask.model) == (0, 0, "m")

from __future__ import annotations

import json

from penstock.upstream.usage import Usage
from penstock.upstream.wires.gemini_count import WIRE
from penstock.upstream.wires.wire import Ask, Verdict


def test_counting_costs_nothing():
    ask = WIRE.peek_at("/v1beta/models/m:countTokens", b"", b'{"contents":[]}')
    assert ask == Ask("m", output_cap=0)
    assert WIRE.read(b'{"totalTokens":31}', ask) == (Usage(calls=0), False)
    meter = WIRE.meter(ask)
    assert meter.event(b"data: {}") is Verdict.PASS
    assert meter.usage() == (Usage(calls=0), False)


def test_the_request_inside_is_renamed():
    body = json.dumps({"generateContentRequest": {"model": "models/m", "contents": []}}).encode()
    renamed = WIRE.prepare(body, Ask("m"), "n")
    assert json.loads(renamed) == {"generateContentRequest": {"model": "models/n", "contents": []}}
    assert WIRE.prepare(body, Ask("m"), None) is body
    outside = b'{"model":"models/m","contents":[]}'
    assert WIRE.prepare(outside, Ask("m"), "n") == b'{"model":"models/n","contents":[]}'

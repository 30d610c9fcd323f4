from __future__ import annotations

from penstock.upstream.usage import Usage
from penstock.upstream.wires.moderations import WIRE
from penstock.upstream.wires.wire import Ask


def test_moderations_are_free_and_need_no_model(ask):
    assert WIRE.peek(b'{"input":"x"}') == Ask(output_cap=0)
    assert WIRE.peek(b'{"input":"x","model":"omni-moderation-latest"}').model == "omni-moderation-latest"
    assert WIRE.read(b'{"id":"modr-1","results":[],"usage":{"prompt_tokens":5}}', ask()) == (Usage(calls=0), False)

from __future__ import annotations

import json

from penstock.upstream.usage import Usage
from penstock.upstream.wires.gemini_embed import WIRE
from penstock.upstream.wires.wire import Ask


def test_the_input_is_estimated_unless_it_is_stated():
    ask = WIRE.peek_at("/v1beta/models/m:embedContent", b"", b'{"content":{"parts":[{"text":"hello hello"}]}}')
    assert (ask.model, ask.output_cap, ask.stream) == ("m", 0, False)
    assert WIRE.read(b'{"embedding":{"values":[0.5]}}', ask) == (Usage(input_tokens=12), True)
    assert WIRE.read(b'{"embedding":{},"usageMetadata":{"promptTokenCount":3}}', ask) == (Usage(input_tokens=3), False)
    assert WIRE.read(b'{"error":{"code":400}}', ask) == (Usage(calls=0), False)
    assert WIRE.meter(ask).usage()[0].output_tokens == 0


def test_each_request_of_a_batch_is_renamed():
    body = json.dumps({"requests": [{"model": "models/m", "content": {"a": 1}}, {"content": {}}]}).encode()
    assert json.loads(WIRE.prepare(body, Ask("m"), "n")) == {"requests": [{"model": "models/n", "content": {"a": 1}}, {"content": {}}]}
    assert WIRE.prepare(body, Ask("m"), "m") is body
    assert WIRE.prepare(b'{"model":"models/m"}', Ask("m"), "n") == b'{"model":"models/n"}'

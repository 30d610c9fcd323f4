from __future__ import annotations

from penstock.upstream.usage import Usage
from penstock.upstream.wires.embeddings import WIRE
from penstock.upstream.wires.wire import Ask

ANSWER = b'{"object":"list","data":[{"index":0,"embedding":"AACAPw=="}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}'


def test_the_facts_of_a_request():
    body = b'{"model":"text-embedding-3-small","input":["a","b"],"encoding_format":"base64"}'
    assert WIRE.peek(body) == Ask(model="text-embedding-3-small", output_cap=0, input_size=len(body))


def test_usage_is_input_only(ask):
    assert WIRE.read(ANSWER, ask()) == (Usage(input_tokens=8), False)
    assert WIRE.read(ANSWER[-100:], ask()) == (Usage(input_tokens=8), False)
    assert WIRE.read(ANSWER.partition(b',"usage"')[0] + b"}", ask()) == (Usage(input_tokens=100), True)
    assert WIRE.read(b'{"error":{"message":"no"}}', ask()) == (Usage(calls=0), False)


def test_a_stream_of_a_vendor(stream, sse, ask):
    result = stream(WIRE.meter(ask()), sse({"data": []}, {"usage": {"prompt_tokens": 8}}, "[DONE]"))
    assert (result.usage, result.estimated) == (Usage(input_tokens=8), False)

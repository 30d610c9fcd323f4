from __future__ import annotations

import json

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage
from penstock.upstream.wires.transcriptions import WIRE

TOKENS = {
    "type": "tokens",
    "input_tokens": 140,
    "input_token_details": {"text_tokens": 10, "audio_tokens": 130},
    "output_tokens": 45,
    "total_tokens": 185,
}
SEEN = Usage(input_tokens=10, input_audio_tokens=130, output_tokens=45)


def test_the_facts_of_a_form():
    ask = WIRE.peek_form({"model": "whisper-1", "stream": "true", "language": "de"}, 640_000)
    assert (ask.model, ask.stream) == ("whisper-1", True)
    assert 10_000 < ask.input_size < 10_100
    with pytest.raises(PenstockError) as caught:
        WIRE.peek_form({"language": "de"}, 10)
    assert caught.value.code == "missing_model"
    assert WIRE.peek(b'{"model":"whisper-1","url":"x"}').model == "whisper-1"


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({"text": "hi", "usage": TOKENS}, SEEN),
        ({"text": "hi", "usage": {"type": "duration", "seconds": 9}}, Usage(audio_seconds=9)),
        ({"text": "hi", "usage": {"type": "duration", "seconds": 8.2}}, Usage(audio_seconds=9)),
        ({"task": "transcribe", "language": "english", "duration": 8.470000267, "text": "hi", "segments": []}, Usage(audio_seconds=9)),
        ({"duration": 20.5, "text": "hi", "usage": {"type": "duration", "seconds": 21}}, Usage(audio_seconds=21)),
    ],
)
def test_answers_that_state_something(ask, answer, usage):
    assert WIRE.read(json.dumps(answer).encode(), ask()) == (usage, False)


@pytest.mark.parametrize(
    "answer", [b"Just text.\n", b"1\n00:00:00,000 --> 00:00:02,000\nHello\n", b'{"text":"hi"}', b"", b'{"duration":1e999}']
)
def test_answers_that_state_nothing_are_estimated_by_the_upload(ask, answer):
    usage, estimated = WIRE.read(answer, ask(input_size=25_000))
    assert estimated
    assert (usage.audio_seconds, usage.input_audio_tokens) == (100, 1000)


def test_errors(ask):
    assert WIRE.read(b'{"error":{"message":"no"}}', ask()) == (Usage(calls=0), False)


def test_a_stream(stream, sse, ask):
    deltas = [{"type": "transcript.text.delta", "delta": " word", "logprobs": []}] * 10
    done = {"type": "transcript.text.done", "text": " word" * 10, "usage": TOKENS}
    result = stream(WIRE.meter(ask()), sse(*deltas, done, "[DONE]"))
    assert (result.usage, result.estimated) == (SEEN, False)
    assert (result.shown, result.held) == (sse(*deltas), sse(done, "[DONE]"))
    broken = stream(WIRE.meter(ask(input_size=25_000)), sse(*deltas))
    assert broken.estimated
    assert (broken.usage.audio_seconds, broken.usage.output_tokens) == (100, 10)

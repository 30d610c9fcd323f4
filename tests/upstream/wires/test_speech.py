from __future__ import annotations

import json

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage
from penstock.upstream.wires.speech import WIRE


def test_characters_are_counted_as_people_count_them():
    ask = WIRE.peek('{"model":"tts-1","input":"Grüße 你好 😀","voice":"alloy"}'.encode())
    assert (ask.model, ask.stream, ask.quantity) == ("tts-1", False, Usage(characters=10))
    escaped = WIRE.peek(b'{"model":"tts-1","input":"\\u4f60\\ud83d\\ude00","voice":"alloy"}')
    assert escaped.quantity == Usage(characters=2)
    form = WIRE.peek_form({"model": "tts-1", "input": "hello"}, 40)
    assert (form.model, form.quantity) == ("tts-1", Usage(characters=5))


def test_a_form_is_json_in_another_spelling():
    fields = {"model": "tts-1", "input": "Grüße", "voice": "alloy"}
    assert WIRE.forms_as_json
    assert json.loads(WIRE.from_form(fields)) == fields
    assert json.loads(WIRE.from_form(fields | {"speed": " 1.5"})) == fields | {"speed": 1.5}
    for speed in ("fast", "", "nan", "inf"):
        assert json.loads(WIRE.from_form(fields | {"speed": speed})) == fields | {"speed": speed}


def test_voices_charged_by_the_token_are_estimated_beforehand():
    ask = WIRE.peek(b'{"model":"gpt-4o-mini-tts","input":"' + b"x" * 100 + b'","stream_format":"sse"}')
    assert ask.stream
    assert ask.quantity == Usage(characters=100, input_tokens=25, output_audio_tokens=140)


@pytest.mark.parametrize("body", [b'{"input":"x"}', b'{"model":"","input":"x"}'])
def test_a_model_is_needed(body):
    with pytest.raises(PenstockError) as caught:
        WIRE.peek(body)
    assert caught.value.code == "missing_model"


def test_whatever_the_input_is_it_does_not_break():
    for value in (b"null", b"5", b'""', b"true"):
        assert WIRE.peek(b'{"model":"tts-1","input":' + value + b"}").quantity == Usage()


def test_plain_answers_are_sound(ask):
    exact = ask(quantity=Usage(characters=10))
    assert WIRE.read(b"\xff\xf3sound", exact) == (Usage(characters=10), False)
    assert WIRE.read(b'{"error":{"message":"no"}}', exact) == (Usage(calls=0), False)
    assert WIRE.read(b"{not json", exact) == (Usage(characters=10), False)
    by_token = ask(quantity=Usage(characters=10, output_audio_tokens=14))
    assert WIRE.read(b"RIFF", by_token) == (Usage(characters=10, output_audio_tokens=14), True)
    stated = b'{"audio":"AAAA","usage":{"input_tokens":3,"output_tokens":20,"total_tokens":23}}'
    assert WIRE.read(stated, by_token) == (Usage(characters=10, input_tokens=3, output_audio_tokens=20), False)


def test_a_stream(stream, sse, ask):
    sound = [{"type": "speech.audio.delta", "audio": "AAAA" * 50}] * 5
    done = {"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}}
    quantity = Usage(characters=40, input_tokens=10, output_audio_tokens=56)
    result = stream(WIRE.meter(ask(quantity=quantity)), sse(*sound, done))
    assert (result.usage, result.estimated) == (Usage(characters=40, input_tokens=14, output_audio_tokens=101), False)
    assert (result.shown, result.held) == (sse(*sound), sse(done))
    broken = stream(WIRE.meter(ask(quantity=quantity)), sse(*sound))
    assert (broken.usage, broken.estimated) == (quantity, True)

"""Speech and voices, of Azure on loopback."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_vendors import SOUND, VOICES, FakeAzureSpeech
from penstock.kit.errors import PenstockError
from penstock.upstream.bridges import BRIDGES
from penstock.upstream.bridges.bridge import Spot
from penstock.upstream.bridges.voices import OPENAI_VOICES
from penstock.upstream.providers import PROVIDERS
from penstock.upstream.usage import Usage
from vendor_server import SECRET, Caller, Reply

AZURE, SPEECH, LIST = BRIDGES["azure_speech", "ssml"], BRIDGES["speech", "ssml"], BRIDGES["azure_voices", "voice_list"]
SPOT = Spot("tts-1", "tts-1", "/", b"", b"application/json", "req_1", 0)


def cross(bridge, **fields):
    return bridge.cross(json.dumps(fields).encode(), SPOT)


async def ask(vendor, crossing, secret=SECRET):
    provider = PROVIDERS["azure-speech"]
    lines = provider.credential(secret) + b"".join(b"%b: %b\r\n" % pair for pair in provider.extra_headers)
    return await Caller(vendor.url, lines).fetch(crossing.method.decode(), crossing.path, headers=crossing.headers, body=crossing.body)


async def test_azures_own():
    async with FakeAzureSpeech() as vendor:
        crossing = cross(AZURE, text="A <b>", voice="zh-CN-YunxiNeural", rate="+10%", style="cheerful", output_format="opus")
        answer = await ask(vendor, crossing)
        assert (answer.status, answer.content_type, answer.body) == (200, "audio/mpeg", SOUND)
        assert crossing.passes
        assert crossing.wire.read(answer.body, crossing.ask) == (Usage(characters=5), False)
        [request] = vendor.requests
        assert (request.method, request.target) == ("POST", "/cognitiveservices/v1")
        assert request.header("x-microsoft-outputformat") == b"ogg-24khz-16bit-mono-opus"
        assert b'<voice name="zh-CN-YunxiNeural"><mstts:express-as style="cheerful"><prosody rate="+10%">A &lt;b&gt;<' in request.body


async def test_ssml_of_ones_own():
    own = "<speak version='1.0' xml:lang='en-US'><voice name='en-US-JennyNeural'>Hello</voice></speak>"
    async with FakeAzureSpeech() as vendor:
        crossing = cross(AZURE, ssml=own, text="ignored")
        assert (await ask(vendor, crossing)).status == 200
        assert vendor.requests[0].body == own.encode()
        assert crossing.ask.quantity == Usage(characters=5)


@pytest.mark.parametrize("name", ["alloy", "echo", "fable", "onyx", "nova", "shimmer", "coral", "Alloy"])
def test_openais_voices(name):
    crossing = cross(SPEECH, model="tts-1", input="Hello", voice=name)
    assert f'name="{OPENAI_VOICES[name.lower()]}"'.encode() in crossing.body
    assert (crossing.ask.model, crossing.ask.quantity) == ("tts-1", Usage(characters=5))
    assert crossing.passes


@pytest.mark.parametrize(
    ("speed", "rate", "dropped"),
    [
        (None, b"<voice", b""),
        (1, b"<voice", b""),
        (1.25, b'rate="+25%"', b""),
        ("0.5", b'rate="-50%"', b""),
        (4, b'rate="+100%"', b"speed"),
    ],
)
def test_speed(speed, rate, dropped):
    crossing = cross(SPEECH, model="tts-1", input="Hello", voice="en-GB-RyanNeural", speed=speed, response_format="wav")
    assert rate in crossing.body
    assert (b"prosody" in crossing.body) is (rate != b"<voice")
    assert crossing.dropped == (b"x-penstock-dropped: %b\r\n" % dropped if dropped else b"")
    assert b"riff-24khz-16bit-mono-pcm" in crossing.headers


def test_instructions_are_noted():
    assert cross(SPEECH, model="m", input="Hello", instructions="be kind").dropped == b"x-penstock-dropped: instructions\r\n"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({}, "invalid_request", "input"),
        ({"input": "a", "voice": "nobody"}, "invalid_request", "voice"),
        ({"input": "a", "voice": {"id": "voice_1"}}, "invalid_request", "voice"),
        ({"input": "a", "speed": 5}, "invalid_request", "speed"),
        ({"input": "a", "speed": "fast"}, "invalid_request", "speed"),
        ({"input": "a", "speed": True}, "invalid_request", "speed"),
        ({"input": "a", "response_format": "flac"}, "cannot_translate", "response_format"),
        ({"input": "a", "stream_format": "sse"}, "cannot_translate", "stream_format"),
    ],
)
def test_what_openais_cannot_say(fields, code, param):
    with pytest.raises(PenstockError) as caught:
        cross(SPEECH, model="tts-1", **fields)
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "text"),
        ({"text": "a", "voice": "alloy"}, "voice"),
        ({"text": "a", "rate": '"/><x'}, "rate"),
        ({"text": "a", "output_format": "flac"}, "output_format"),
        ({"ssml": "<speak>"}, "ssml"),
    ],
)
def test_what_azures_cannot_say(fields, param):
    with pytest.raises(PenstockError) as caught:
        cross(AZURE, **fields)
    assert (caught.value.code, caught.value.param) == ("invalid_request", param)


async def test_the_list():
    async with FakeAzureSpeech() as vendor:
        crossing = LIST.cross(b"", SPOT)
        answer = await ask(vendor, crossing)
        status, kind, body = crossing.whole(answer.status, answer.content_type.encode(), answer.body)
        assert (status, kind, json.loads(body)) == (200, b"application/json", VOICES)
        assert not crossing.passes
        assert vendor.requests[0].method == "GET"
        assert vendor.requests[0].body == b""


@pytest.mark.parametrize(
    ("fault", "shown"), [(Reply(400, b"bad ssml", "text/plain"), 400), (Reply(429, b""), 429), (Reply(502, b"<html>", "text/html"), 502)]
)
async def test_errors_are_the_clients(fault, shown):
    async with FakeAzureSpeech() as vendor:
        vendor.fault = fault
        for crossing, path in ((cross(AZURE, text="a"), ("statusCode",)), (cross(SPEECH, input="a", model="m"), ("error", "message"))):
            answer = await ask(vendor, crossing)
            status, _, body = crossing.whole(answer.status, answer.content_type.encode(), answer.body)
            told = json.loads(body)
            for name in path:
                told = told[name]
            assert status == shown


async def test_a_wrong_key_is_the_operators():
    async with FakeAzureSpeech() as vendor:
        crossing = cross(AZURE, text="a")
        answer = await ask(vendor, crossing, "sk-wrong")
        status, _, body = crossing.whole(answer.status, b"", answer.body)
        assert (status, b"operator" in body) == (502, True)


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists)
NAMES = [
    "text",
    "ssml",
    "voice",
    "rate",
    "pitch",
    "style",
    "output_format",
    "input",
    "speed",
    "response_format",
    "stream_format",
    "instructions",
]


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_nothing_but_the_error_escapes(fields):
    for bridge in (AZURE, SPEECH, LIST):
        try:
            crossing = cross(bridge, **fields)
        except PenstockError as error:
            assert error.status == 400  # noqa: PT017
        else:
            assert crossing.headers.count(b"\r\n") in {0, 2}

"""Speech and transcriptions, as the official SDK and a WAV reader see them."""

from __future__ import annotations

import io
import json
import wave
from base64 import b64decode

import openai
import pytest
from openai.types.audio import Transcription, TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent, TranscriptionVerbose

from penstock.upstream.demo.audio import RATE, seconds_of, wav
from penstock.upstream.demo.forms import Upload

SECOND = wav(RATE)


def seconds_in(sound: bytes) -> float:
    with wave.open(io.BytesIO(sound)) as opened:
        assert (opened.getnchannels(), opened.getsampwidth(), opened.getframerate()) == (1, 2, RATE)
        return len(opened.readframes(10**9)) / 2 / RATE


def test_speech_is_a_real_sound(client):
    sound = client.audio.speech.create(model="demo", input="x" * 20, voice="alloy").read()
    assert seconds_in(sound) == 1.0


@pytest.mark.parametrize(("wanted", "kind"), [("wav", "audio/wav"), ("mp3", "audio/wav"), ("pcm", "audio/pcm")])
def test_the_format_is_labelled_honestly(client, wanted, kind):
    answer = client.audio.speech.create(model="demo", input="hi", voice="alloy", response_format=wanted)
    assert answer.response.headers["content-type"] == kind


async def test_speech_is_streamed(async_client):
    asked = async_client.audio.speech.with_streaming_response.create(model="demo", input="hello", voice="alloy")
    async with asked as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        assert seconds_in(b"".join([piece async for piece in answer.iter_bytes()])) == 0.25


def test_speech_as_events(events):
    asked = {"model": "demo-n3", "input": "hello", "voice": "alloy", "stream_format": "sse"}
    found = [json.loads(data) for _, data in events("/v1/audio/speech", asked)]
    assert [value["type"] for value in found] == ["speech.audio.delta"] * 3 + ["speech.audio.done"]
    assert seconds_in(b"".join(b64decode(value["audio"]) for value in found[:-1])) == 0.25
    assert found[-1]["usage"] == {"input_tokens": 2, "output_tokens": 2, "total_tokens": 4}
    asked["model"] = "demo-nousage"
    assert "usage" not in json.loads(events("/v1/audio/speech", asked)[-1][1])


@pytest.mark.parametrize("text", ["", "x" * 4097])
def test_speech_has_limits(client, text):
    with pytest.raises(openai.BadRequestError):
        client.audio.speech.create(model="demo", input=text, voice="alloy")


def test_a_transcription_says_what_was_received(client):
    answer = client.audio.transcriptions.create(model="demo", file=("a.wav", SECOND))
    assert answer.text == f"The demo provider received a.wav, {len(SECOND)} bytes of sound."
    assert (answer.usage.type, answer.usage.input_tokens, answer.usage.input_token_details.audio_tokens) == ("tokens", 10, 10)


def test_whisper_is_counted_by_time(client):
    assert client.audio.transcriptions.create(model="whisper-1", file=("a.wav", SECOND)).usage.seconds == 1


def test_no_usage(client):
    assert client.audio.transcriptions.create(model="demo-nousage", file=("a.wav", SECOND)).usage is None


def test_verbose_and_text_forms(client):
    asked = {"model": "demo", "file": ("a.wav", SECOND)}
    verbose = client.audio.transcriptions.create(**asked, response_format="verbose_json")
    assert (verbose.duration, verbose.usage.seconds, verbose.segments[0].text) == (1.0, 1, verbose.text)
    assert client.audio.transcriptions.create(**asked, response_format="text") == verbose.text + "\n"
    assert "00:00:00,000 --> 00:00:01,000" in client.audio.transcriptions.create(**asked, response_format="srt")
    assert client.audio.transcriptions.create(**asked, response_format="vtt").startswith("WEBVTT\n\n00:00:00.000 --> ")


def test_it_validates_strictly(http):
    def post(**data):
        return http.post("/v1/audio/transcriptions", files={"file": ("a.wav", SECOND)}, data={"model": "demo"} | data)

    Transcription.model_validate(post().json())
    TranscriptionVerbose.model_validate(post(response_format="verbose_json").json())
    *deltas, last, done = [block.removeprefix("data: ") for block in post(stream="true").text[:-2].split("\n\n")]
    assert done == "[DONE]"
    for delta in deltas:
        TranscriptionTextDeltaEvent.model_validate_json(delta)
    TranscriptionTextDoneEvent.model_validate_json(last)


async def test_async_streamed_transcription(async_client):
    stream = await async_client.audio.transcriptions.create(model="demo", file=("a.wav", SECOND), stream=True)
    found = [event async for event in stream]
    assert "".join(event.delta for event in found[:-1]) == found[-1].text
    assert found[-1].usage.total_tokens == found[-1].usage.input_tokens + found[-1].usage.output_tokens


def test_translations(http):
    answer = http.post("/v1/audio/translations", files={"file": ("a.mp3", b"x" * 32_000)}, data={"model": "whisper-1"})
    assert "received a.mp3" in answer.json()["text"]


@pytest.mark.parametrize(("content", "seconds"), [(SECOND, 1.0), (b"x" * 32_000, 2.0), (b"", 0.0), (SECOND[:30], 0.002), (b"RIFF", 0.0)])
def test_how_long_a_sound_lasts(content, seconds):
    assert seconds_of(Upload("file", "a", "", content)) == seconds


def test_what_is_missing_is_said(http):
    assert http.post("/v1/audio/transcriptions", files={"file": b"x"}).json()["error"]["param"] == "model"

"""Audio: speech as a real tone, and transcriptions that say what was received."""

from __future__ import annotations

import io
import math
import struct
import wave
from array import array
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.upstream.demo.answer import Answer, RefusedError, Stream, data_event, json_answer
from penstock.upstream.demo.forms import Upload
from penstock.upstream.demo.manners import Manners
from penstock.upstream.demo.prose import prose, tokens_of
from penstock.upstream.demo.request import Request

RATE = 24_000
"""Samples per second of the tone: mono, 16 bits."""

_PERIOD = array("h", [int(8000 * math.sin(2 * math.pi * at / 60)) for at in range(60)]).tobytes()
"""One wave of 400 Hz."""
_SAMPLES_PER_CHARACTER = 1200
_SAMPLES_LIMIT = 60 * RATE
_PIECE = 8 * 1024
_AUDIO_TOKENS_PER_S = 10
_BYTES_PER_S = 16_000
"""Of a file that is not WAV: 128 kbit/s."""
_INPUT_LIMIT = 4096
_KINDS = {"srt": b"text/plain; charset=utf-8", "vtt": b"text/vtt; charset=utf-8", "text": b"text/plain; charset=utf-8"}


class SpeechAsk(msgspec.Struct, gc=False):
    """What is read of a speech request."""

    model: str
    input: str
    voice: Any
    response_format: str | None = None
    stream_format: str | None = None


def tone(samples: int) -> bytes:
    """So many samples of a 400 Hz tone, 16-bit little-endian."""
    return (_PERIOD * (samples // 60 + 1))[: 2 * samples]


def wav(samples: int) -> bytes:
    """The tone as a WAV file."""
    sound = tone(samples)
    riff = struct.pack("<4sI4s", b"RIFF", 36 + len(sound), b"WAVE")
    shape = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return riff + shape + struct.pack("<4sI", b"data", len(sound)) + sound


def speech(request: Request) -> Stream:
    """POST /v1/audio/speech. Every format but `pcm` is WAV, and says so."""
    ask = request.read(SpeechAsk)
    manners = request.behave(ask.model)
    if not 0 < len(ask.input) <= _INPUT_LIMIT:
        raise RefusedError(400, f"'input' must have 1 to {_INPUT_LIMIT} characters.", param="input")
    samples = min(len(ask.input) * _SAMPLES_PER_CHARACTER, _SAMPLES_LIMIT)
    sound = tone(samples) if ask.response_format == "pcm" else wav(samples)
    step = -(-len(sound) // manners.events) if manners.events else _PIECE
    pieces = (sound[at : at + step] for at in range(0, len(sound), step))
    count = -(-len(sound) // step)
    if ask.stream_format != "sse":
        return Stream((), pieces, count, (), kind=b"audio/pcm" if ask.response_format == "pcm" else b"audio/wav")
    deltas = (data_event({"type": "speech.audio.delta", "audio": b64encode(piece).decode()}) for piece in pieces)
    spoken, words = samples * _AUDIO_TOKENS_PER_S // RATE, tokens_of(len(ask.input))
    usage = {"input_tokens": words, "output_tokens": spoken, "total_tokens": words + spoken}
    last = {"type": "speech.audio.done"} | ({"usage": usage} if manners.usage else {})
    return Stream((), deltas, count, [data_event(last)])


def seconds_of(file: Upload) -> float:
    """How long a sound lasts: exactly for WAV, by size for anything else."""
    try:
        with wave.open(io.BytesIO(file.content)) as sound:
            seconds: float = round(sound.getnframes() / sound.getframerate(), 3)
            return seconds
    except (wave.Error, EOFError, ZeroDivisionError):
        return round(len(file.content) / _BYTES_PER_S, 3)


def _usage(model: str, seconds: float, output: int, manners: Manners) -> dict[str, Any]:
    if not manners.usage:
        return {}
    if "whisper" in model:
        return {"usage": {"type": "duration", "seconds": math.ceil(seconds)}}
    heard = math.ceil(seconds * _AUDIO_TOKENS_PER_S)
    about = {"type": "tokens", "input_tokens": heard, "input_token_details": {"text_tokens": 0, "audio_tokens": heard}}
    return {"usage": about | {"output_tokens": output, "total_tokens": heard + output}}


def _stamp(seconds: float, comma: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{comma}{milliseconds:03d}"


def _written(form: str, text: str, seconds: float) -> str:
    if form == "srt":
        return f"1\n{_stamp(0, ',')} --> {_stamp(seconds, ',')}\n{text}\n\n"
    if form == "vtt":
        return f"WEBVTT\n\n{_stamp(0, '.')} --> {_stamp(seconds, '.')}\n{text}\n\n"
    return text + "\n"


def _verbose(text: str, seconds: float, manners: Manners) -> dict[str, Any]:
    scores = {"temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.01}
    segment = {"id": 0, "seek": 0, "start": 0.0, "end": seconds, "text": text, "tokens": [1]} | scores
    about = {"task": "transcribe", "language": "english", "duration": seconds, "text": text, "segments": [segment]}
    return about | _usage("whisper", seconds, 0, manners)


def _streamed(pieces: Iterator[str], count: int, last: dict[str, Any]) -> Stream:
    deltas = (data_event({"type": "transcript.text.delta", "delta": piece}) for piece in pieces)
    return Stream((), deltas, count, [data_event({"type": "transcript.text.done"} | last), b"data: [DONE]\n\n"])


def transcriptions(request: Request) -> Answer | Stream:
    """POST /v1/audio/transcriptions and /v1/audio/translations."""
    form = request.form()
    file, model = form.file("file"), form.field("model")
    manners = request.behave(model, form.fields.get("user"))
    seconds = seconds_of(file)
    told = prose(f"The demo provider received {file.name}, {len(file.content)} bytes of sound.", manners, None)
    usage = _usage(model, seconds, told.tokens, manners)
    if form.fields.get("stream") in ("true", "True", "1"):
        return _streamed(told.pieces(), told.count, {"text": told.text()} | usage)
    shape = form.fields.get("response_format", "json")
    if shape in _KINDS:
        return Answer(_written(shape, told.text(), seconds).encode(), kind=_KINDS[shape])
    if shape == "verbose_json":
        return json_answer(_verbose(told.text(), seconds, manners))
    return json_answer({"text": told.text()} | usage)


ROUTES = {
    ("POST", "/v1/audio/speech"): speech,
    ("POST", "/v1/audio/transcriptions"): transcriptions,
    ("POST", "/v1/audio/translations"): transcriptions,
}

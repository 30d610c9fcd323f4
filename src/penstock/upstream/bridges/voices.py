"""Voices: the platform's text to speech, OpenAI's, and the list of voices, all of them spoken by Azure."""

from __future__ import annotations

import math

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges import ssml
from penstock.upstream.bridges.bridge import Spot
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.bridges.single import Single, fields_of, text_of
from penstock.upstream.usage import Usage
from penstock.upstream.wires import WIRES
from penstock.upstream.wires.wire import Ask

SPEECH_PATH = "/cognitiveservices/v1"
VOICES_PATH = "/cognitiveservices/voices/list"
USUAL_VOICE = "en-US-AvaMultilingualNeural"
OPENAI_VOICES = {
    "alloy": "en-US-JennyMultilingualNeural",
    "ash": "en-US-AndrewMultilingualNeural",
    "ballad": "en-GB-OllieMultilingualNeural",
    "cedar": "en-US-SteffanMultilingualNeural",
    "coral": "en-US-AvaMultilingualNeural",
    "echo": "en-US-BrianMultilingualNeural",
    "fable": "en-GB-RyanNeural",
    "marin": "en-US-AmandaMultilingualNeural",
    "nova": "en-US-EmmaMultilingualNeural",
    "onyx": "en-US-RyanMultilingualNeural",
    "sage": "en-US-EvelynMultilingualNeural",
    "shimmer": "en-US-CoraMultilingualNeural",
    "verse": "en-US-ChristopherMultilingualNeural",
}
"""The voice of Azure's that comes near one of OpenAI's."""
SLOWEST, FASTEST = 0.5, 2.0
"""Azure speaks at half to twice its usual rate."""


class AzureSpeech:
    """From the platform's text to speech to Azure's."""

    source = "azure_speech"
    target = "ssml"

    def cross(self, body: bytes, spot: Spot) -> Single:
        """The text, or the caller's own SSML. Raises PenstockError `invalid_json` and `invalid_request`."""
        fields = fields_of(body)
        output_format = ssml.check_format(text_of(fields, "output_format", "outputFormat", "response_format") or "mp3")
        own = text_of(fields, "ssml")
        if own:
            said = ssml.check_ssml(own)
        else:
            text = ssml.check_text(text_of(fields, "text"), "text")
            voice = ssml.check_voice(text_of(fields, "voice") or USUAL_VOICE)
            manner = ssml.Manner(*(text_of(fields, name) for name in ("rate", "pitch", "volume", "style")))
            said = ssml.written(text, voice, ssml.check_manner(manner))
        wire = WIRES[self.source]
        lines = ssml.lines(output_format)
        return Single(wire, wire.peek(body), wire.dialect, spot.request_id, SPEECH_PATH, body=said, headers=lines, passes=True)


class OpenAISpeech:
    """From OpenAI's /v1/audio/speech to Azure's: its voices by a table, or any of Azure's by its own name."""

    source = "speech"
    target = "ssml"

    def cross(self, body: bytes, spot: Spot) -> Single:
        """The same text in a voice that comes near. Raises PenstockError 400."""
        fields, dropped = fields_of(body), Dropped()
        text = ssml.check_text(text_of(fields, "input"), "input")
        if fields.get("stream_format") == "sse":
            raise refuse("A stream of events (stream_format)", self.target, "stream_format")
        named = text_of(fields, "response_format") or "mp3"
        if named not in ssml.FORMATS:
            raise refuse(f"The format {named[:40]!r}", self.target, "response_format")
        named_voice = text_of(fields, "voice") or "alloy"
        voice = ssml.check_voice(OPENAI_VOICES.get(named_voice.lower(), named_voice))
        manner = ssml.Manner(rate=_rate(fields.get("speed"), dropped))
        if text_of(fields, "instructions"):
            dropped.note("instructions")
        ask = Ask(model=spot.public, output_cap=0, quantity=Usage(characters=len(text)))
        return Single(
            WIRES["azure_speech"], ask, WIRES[self.source].dialect, spot.request_id, SPEECH_PATH,
            body=ssml.written(text, voice, manner), headers=ssml.lines(ssml.FORMATS[named]), dropped=dropped.header(), passes=True,
        )  # fmt: skip


class AzureVoices:
    """From the platform's list of voices to Azure's."""

    source = "azure_voices"
    target = "voice_list"

    def cross(self, body: bytes, spot: Spot) -> Single:
        """The same for every request."""
        wire = WIRES[self.source]
        return Single(wire, wire.peek(b""), wire.dialect, spot.request_id, VOICES_PATH, b"GET", headers=b"")


def _rate(speed: object, dropped: Dropped) -> str:
    """OpenAI's speed, a factor of 0.25 to 4, as Azure's rate, as far as that goes."""
    if speed is None or speed == "":
        return ""
    try:
        factor = float(speed) if isinstance(speed, (int, float, str)) and not isinstance(speed, bool) else math.nan
    except (ValueError, OverflowError):
        factor = math.nan
    if not 0.25 <= factor <= 4:
        raise PenstockError("invalid_request", "speed must be a number of 0.25 to 4.", param="speed")
    if not SLOWEST <= factor <= FASTEST:
        dropped.note("speed")
    percent = round((min(max(factor, SLOWEST), FASTEST) - 1) * 100)
    return f"{percent:+d}%" if percent else ""


BRIDGES = (AzureSpeech(), OpenAISpeech(), AzureVoices())

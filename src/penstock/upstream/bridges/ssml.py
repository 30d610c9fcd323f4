"""SSML: what Azure's text to speech is told. Written so that no text can be taken for markup; checked where a caller has written it.

Source: Microsoft's documentation of the Speech service, "Text to speech REST API" and "SSML document structure".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from penstock.kit.errors import PenstockError

TEXT_LIMIT = 20_000
"""Characters: more than Azure speaks in the ten minutes it gives one answer."""
SSML_LIMIT = 64 * 1024

FORMATS = {
    "mp3": "audio-24khz-96kbitrate-mono-mp3",
    "opus": "ogg-24khz-16bit-mono-opus",
    "wav": "riff-24khz-16bit-mono-pcm",
    "pcm": "raw-24khz-16bit-mono-pcm",
}
"""Azure's format for what a file is called. Of AAC and FLAC it has none."""

_VOICE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,16}){1,3}-[A-Za-z0-9]{2,64}(?::[A-Za-z0-9]{1,64})?", re.ASCII)
_FORMAT = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)+", re.ASCII)
_STYLE = re.compile(r"[A-Za-z][A-Za-z-]{0,63}", re.ASCII)
_RATE = re.compile(r"x-slow|slow|medium|fast|x-fast|default|[+-]?\d{1,3}(?:\.\d{1,4})?%|\d(?:\.\d{1,4})?", re.ASCII)
_PITCH = re.compile(r"x-low|low|medium|high|x-high|default|[+-]?\d{1,3}(?:\.\d{1,4})?%|[+-]?\d{1,4}(?:\.\d{1,4})?(?:Hz|st)", re.ASCII)
_VOLUME = re.compile(r"silent|x-soft|soft|medium|loud|x-loud|default|[+-]?\d{1,3}(?:\.\d{1,4})?%?", re.ASCII)
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML has no way to write."""
_ROOT = re.compile(r"(?:<\?xml[^<>]*\?>\s*)?<speak[\s>]")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a text is to be spoken; empty: as the voice does by itself."""

    rate: str = ""
    pitch: str = ""
    volume: str = ""
    style: str = ""


_MANNERS = (("rate", _RATE), ("pitch", _PITCH), ("volume", _VOLUME), ("style", _STYLE))


def check_voice(voice: str) -> str:
    """A voice by Azure's short name. Raises PenstockError `invalid_request`."""
    if not _VOICE.fullmatch(voice):
        raise PenstockError(
            "invalid_request", "voice must be the ShortName of one of Azure's voices, such as en-US-AvaMultilingualNeural.", param="voice"
        )
    return voice


def check_format(name: str) -> str:
    """Azure's name of a format, also by what files are called. Raises PenstockError `invalid_request`."""
    name = FORMATS.get(name.lower(), name)
    if not _FORMAT.fullmatch(name) or len(name) > 64:
        words = f"output_format must be {', '.join(FORMATS)}, or one of Azure's own, such as audio-48khz-192kbitrate-mono-mp3."
        raise PenstockError("invalid_request", words, param="output_format")
    return name


def check_text(text: str, param: str) -> str:
    """A text that can be spoken. Raises PenstockError `invalid_request`."""
    text = _NO_XML.sub(" ", text)
    if not text.strip():
        raise PenstockError("invalid_request", f"There is nothing to be spoken: give the field {param}.", param=param)
    if len(text) > TEXT_LIMIT:
        raise PenstockError(
            "invalid_request", f"{param} must have {TEXT_LIMIT} characters at most; send longer texts in parts.", param=param
        )
    return text


def check_manner(manner: Manner) -> Manner:
    """Raises PenstockError `invalid_request` for what Azure does not know, so that nothing else is ever written into an attribute."""
    for name, pattern in _MANNERS:
        value = getattr(manner, name)
        if value and not pattern.fullmatch(value):
            raise PenstockError(
                "invalid_request", f"{name} cannot be {value[:40]!r}: see docs/platform-media.md for its values.", param=name
            )
    return manner


def check_ssml(ssml: str) -> bytes:
    """SSML of a caller's own: one bounded `speak` element without declarations of any kind. Raises PenstockError `invalid_request`."""
    ssml = _NO_XML.sub(" ", ssml.strip())
    body = ssml.encode()
    if len(body) > SSML_LIMIT:
        raise PenstockError("invalid_request", f"ssml must have {SSML_LIMIT} bytes at most.", param="ssml")
    inside = ssml.replace("<![CDATA[", "")
    if not _ROOT.match(ssml) or not ssml.endswith("</speak>") or "<!DOCTYPE" in inside.upper() or "<!ENTITY" in inside.upper():
        raise PenstockError("invalid_request", "ssml must be one <speak> element, without a document type or entities.", param="ssml")
    return body


def written(text: str, voice: str, manner: Manner) -> bytes:
    """The SSML that has a checked text spoken by a checked voice in a checked manner."""
    said = escape(text, quote=False)
    prosody = "".join(f' {name}="{escape(value)}"' for name in ("rate", "pitch", "volume") if (value := getattr(manner, name)))
    if prosody:
        said = f"<prosody{prosody}>{said}</prosody>"
    if manner.style:
        said = f'<mstts:express-as style="{escape(manner.style)}">{said}</mstts:express-as>'
    language = "-".join(voice.split("-")[:2])
    return (
        '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" xmlns:mstts="https://www.w3.org/2001/mstts" '
        f'xml:lang="{language}"><voice name="{escape(voice)}">{said}</voice></speak>'
    ).encode()


def lines(output_format: str) -> bytes:
    """The header lines of such a request."""
    return b"content-type: application/ssml+xml\r\nx-microsoft-outputformat: %b\r\n" % output_format.encode("ascii")

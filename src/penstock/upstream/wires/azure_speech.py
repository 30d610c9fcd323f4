"""Azure's text to speech as the platform offers it: text with a voice, or SSML. Charged by the character."""

from __future__ import annotations

import re
from html import unescape
from typing import ClassVar

import msgspec

from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks
from penstock.upstream.wires.asks import Scalar
from penstock.upstream.wires.platform import PlatformWire
from penstock.upstream.wires.wire import Ask, Wire

MODEL = "azure-tts"
_MARKUP = re.compile(r"<!--.*?-->|<!\[CDATA\[(.*?)\]\]>|<[^<>]*>", re.DOTALL)
"""Comments, tags, and text that may look like either."""
_ALIAS = re.compile(r"""\balias\s*=\s*(?:"([^"]*)"|'([^']*)')""")


class SpeechFields(msgspec.Struct, gc=False):
    """What we read of a request."""

    text: Scalar = None
    ssml: Scalar = None


_FIELDS = msgspec.json.Decoder(SpeechFields)


def spoken(ssml: str) -> int:
    """The characters of SSML that are text: no tags, but what is said in the place of something else."""
    aliases = sum(len(unescape(double or single)) for double, single in _ALIAS.findall(ssml))
    literal = sum(len(match[1]) for match in _MARKUP.finditer(ssml) if match[1])
    return len(unescape(_MARKUP.sub("", ssml)).strip()) + literal + aliases


class AzureSpeechWire(PlatformWire):
    """POST /api/v1/openapi/azure/tts/v1. The answer is sound."""

    name: ClassVar[str] = "azure_speech"
    paths: ClassVar[tuple[str, ...]] = ("/api/v1/openapi/azure/tts/v1",)

    def peek(self, body: bytes) -> Ask:
        """The characters that are to be spoken."""
        fields = asks.read_fields(_FIELDS, body)
        if isinstance(fields.ssml, str) and fields.ssml.strip():
            characters = spoken(fields.ssml)
        else:
            characters = len(fields.text) if isinstance(fields.text, str) else 0
        return Ask(model=MODEL, output_cap=0, quantity=Usage(characters=characters))


WIRE: Wire = AzureSpeechWire()

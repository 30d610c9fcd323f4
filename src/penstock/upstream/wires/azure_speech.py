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
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_ALIAS = re.compile(r"""\balias\s*=\s*(?:"([^"]*)"|'([^']*)')""")


class SpeechFields(msgspec.Struct, gc=False):
    """What we read of a request."""

    text: Scalar = None
    ssml: Scalar = None


_FIELDS = msgspec.json.Decoder(SpeechFields)


def spoken(ssml: str) -> int:
    """The characters of SSML that are text: no tags, but what is said in the place of something else."""
    aliases = sum(len(unescape(double or single)) for double, single in _ALIAS.findall(ssml))
    # What stands in CDATA is text although it may look like tags.
    plain = _CDATA.split(_COMMENT.sub("", ssml))
    text = "".join(unescape(_TAG.sub("", part)) if not index % 2 else part for index, part in enumerate(plain))
    return len(text.strip()) + aliases


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

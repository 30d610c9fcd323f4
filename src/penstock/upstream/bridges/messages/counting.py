"""Counting: how many tokens a request has, as near as its characters tell.

Tokenisers differ, and none is at hand for most models. Measured against what providers count, prose has a token for 4 characters
of English, code and JSON for 3, Chinese, Japanese and Korean about one for each character, other scripts one for 2.5. Pictures
count by their size as Anthropic says: a token for 750 pixels, after they have been made to fit into 1568 by 1568 pixels. PDFs
count by the page.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode

import msgspec

from penstock.upstream.bridges.conversation import Asked, Audio, Document, Image, Part, Refusal, Text, Thought, Tool, ToolCall, ToolResult
from penstock.upstream.bridges.messages.pictures import size_of

PROSE, CODE, OTHER_SCRIPTS = 4.0, 3.0, 2.5
"""Characters to a token."""
PER_TURN, PER_TOOL = 3, 8
"""Tokens that stand around each turn and each tool."""
PIXELS_PER_TOKEN = 750
LONGEST_SIDE = 1568
PICTURE_LIMIT = 1600
"""Tokens of the largest picture, and of one whose size is not known."""
PAGE = 2000
"""Tokens of a page of a PDF: its text and its picture."""
PAGE_BYTES = 60_000
"""A page of a PDF that does not say how many it has."""
AUDIO_BYTES_PER_TOKEN = 1000

_WIDE = re.compile(
    "[\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U0001f000-\U0001faff\U00020000-\U0003ffff]+"
)
_NOT_ASCII = re.compile("[^\x00-\x7f]+")
_BLANKS = re.compile(rb"[ \t]{2,}")
_SIGNS = b'{}[]()<>"=;:_/\\|&*+#@$%^`~0123456789'
_CODE_SHARE = 0.12
"""Prose has fewer such signs."""
_PAGES = re.compile(rb"/Type\s*/Page[^s]")
_PDF_LIMIT = 32 * 1024 * 1024


def count(asked: Asked) -> int:
    """The tokens of all that the model is to read."""
    total = 0.0
    for turn in asked.turns:
        total += PER_TURN + sum(map(_part, turn.parts))
    total += sum(map(_tool, asked.tools))
    if asked.format is not None and asked.format.schema:
        total += len(msgspec.json.encode(asked.format.schema)) / CODE
    return max(1, round(total))


def of_text(text: str) -> float:
    """The tokens of a text."""
    found = 0.0
    if not text.isascii():
        rest = _WIDE.sub("", text)
        found += len(text) - len(rest)
        text = _NOT_ASCII.sub("", rest)
        found += (len(rest) - len(text)) / OTHER_SCRIPTS
    # Blanks at the beginning of a line are one token, however many they are.
    data = _BLANKS.sub(b" ", text.encode())
    signs = len(data) - len(data.translate(None, _SIGNS))
    return found + len(data) / (CODE if signs > len(data) * _CODE_SHARE else PROSE)


def _tool(tool: Tool) -> float:
    schema = tool.raw if tool.kind != "function" else tool.schema
    written = len(msgspec.json.encode(schema)) / CODE if schema else 0
    return PER_TOOL + of_text(tool.name) + of_text(tool.description) + written


def _part(part: Part) -> float:
    match part:
        case Text() | Refusal():
            return of_text(part.text)
        case Image():
            return of_picture(part)
        case Document():
            return _document(part)
        case Thought():
            return of_text(part.text)
        case ToolCall():
            return PER_TURN + of_text(part.name) + len(part.arguments) / CODE
        case ToolResult():
            return PER_TURN + sum(map(_part, part.parts))
        case Audio():
            return len(part.data) * 3 / 4 / AUDIO_BYTES_PER_TOKEN


def of_picture(image: Image) -> float:
    """The tokens of a picture."""
    size = size_of(image.data) if image.data else None
    if size is None:
        return PICTURE_LIMIT
    width, height = size
    shrink = min(1.0, LONGEST_SIDE / max(width, height, 1))
    return min(PICTURE_LIMIT, width * height * shrink * shrink / PIXELS_PER_TOKEN)


def _document(document: Document) -> float:
    if document.text:
        return of_text(document.text)
    if not document.data:
        return PAGE
    if document.media_type.startswith("text/"):
        return len(document.data) * 3 / 4 / PROSE
    return PAGE * _pages(document.data)


def _pages(data: str) -> int:
    by_size = max(1, len(data) * 3 // 4 // PAGE_BYTES)
    if len(data) > _PDF_LIMIT:
        return by_size
    try:
        found = len(_PAGES.findall(b64decode(data)))
    except (binascii.Error, ValueError):
        found = 0
    return found or by_size

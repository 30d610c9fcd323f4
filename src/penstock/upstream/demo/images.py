"""Images: real PNG files (bands in colours that depend on the prompt), generated or edited, plain or streamed."""

from __future__ import annotations

import re
import struct
import zlib
from base64 import b64encode
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from penstock.upstream.demo.answer import Answer, RefusedError, Stream, json_answer, named_event
from penstock.upstream.demo.prose import CREATED, tokens_of
from penstock.upstream.demo.request import Request

_SIZE = re.compile(r"(\d{1,4})x(\d{1,4})")
_SIDE_LIMIT = 2048
_BAND = 16
_COUNT_LIMIT = 10
_PARTIALS_LIMIT = 3
_TILE_TOKENS = 16
"""Output tokens of a square of 64 by 64 pixels."""
_INPUT_IMAGE_TOKENS = 256


class ImageAsk(msgspec.Struct, gc=False):
    """What is read of an images request; a form of strings is converted to it."""

    prompt: str = ""
    model: str = "demo"
    n: int | None = None
    size: str | None = None
    response_format: str | None = None
    stream: bool | None = None
    partial_images: int | None = None
    user: str | None = None


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@lru_cache(maxsize=16)
def _bands(width: int, height: int) -> bytes:
    """Diagonal bands of the colours 0 to 3, two bits a pixel, compressed; they repeat every 64 pixels."""
    period = bytes((x // _BAND) % 4 for x in range(4 * _BAND))
    line = period * (width // len(period) + 2)
    padded = width + -width % 4
    rows = []
    for y in range(min(height, len(period))):
        row = line[y : y + padded]
        rows.append(b"\0" + bytes(row[x] << 6 | row[x + 1] << 4 | row[x + 2] << 2 | row[x + 3] for x in range(0, padded, 4)))
    picture = b"".join(rows) * (height // len(rows) + 1)
    return zlib.compress(picture[: height * len(rows[0])], 1)


def png(width: int, height: int, seed: bytes) -> bytes:
    """A PNG (ISO/IEC 15948) of bands in four colours, which are the 12 bytes of `seed`."""
    header = struct.pack(">IIBBBBB", width, height, 2, 3, 0, 0, 0)
    parts = _chunk(b"IHDR", header) + _chunk(b"PLTE", seed) + _chunk(b"IDAT", _bands(width, height)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _size(asked: str | None) -> tuple[int, int]:
    if asked in (None, "auto"):
        return 1024, 1024
    found = _SIZE.fullmatch(asked or "")
    if not found or not (0 < int(found[1]) <= _SIDE_LIMIT and 0 < int(found[2]) <= _SIDE_LIMIT):
        raise RefusedError(400, f"Invalid value: '{asked}'. Sides must be 1 to {_SIDE_LIMIT}.", param="size")
    return int(found[1]), int(found[2])


def _usage(prompt: str, sources: int, size: tuple[int, int], count: int) -> dict[str, Any]:
    words, seen = tokens_of(len(prompt)), sources * _INPUT_IMAGE_TOKENS
    drawn = count * _TILE_TOKENS * -(-size[0] // 64) * -(-size[1] // 64)
    return {
        "input_tokens": words + seen,
        "input_tokens_details": {"text_tokens": words, "image_tokens": seen},
        "output_tokens": drawn,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": drawn},
        "total_tokens": words + seen + drawn,
    }


def _about(size: tuple[int, int]) -> dict[str, Any]:
    return {"size": f"{size[0]}x{size[1]}", "quality": "low", "background": "opaque", "output_format": "png"}


def _drawn(ask: ImageAsk, size: tuple[int, int], index: int) -> str:
    seed = blake2b(f"{ask.prompt}/{index}".encode(), digest_size=12).digest()
    return b64encode(png(*size, seed)).decode()


def _events(ask: ImageAsk, size: tuple[int, int], usage: dict[str, Any] | None, name: str) -> Stream:
    about = _about(size) | {"created_at": CREATED}
    partials = min(_PARTIALS_LIMIT, max(0, ask.partial_images or 0))
    deltas = (
        named_event({"type": f"{name}.partial_image", "partial_image_index": index, "b64_json": _drawn(ask, size, index)} | about)
        for index in range(partials)
    )
    last = {"type": f"{name}.completed", "b64_json": _drawn(ask, size, 0)} | about | ({"usage": usage} if usage else {})
    return Stream((), deltas, partials, [named_event(last)])


def _answer(request: Request, ask: ImageAsk, sources: int, name: str) -> Answer | Stream:
    manners = request.behave(ask.model, ask.user)
    if not ask.prompt and not sources:
        raise RefusedError(400, "Missing required parameter: 'prompt'.", code="missing_required_parameter", param="prompt")
    size = _size(ask.size)
    count = 1 if ask.n is None else ask.n
    if not 1 <= count <= _COUNT_LIMIT:
        raise RefusedError(400, f"'n' must be between 1 and {_COUNT_LIMIT}.", param="n")
    usage = _usage(ask.prompt, sources, size, count) if manners.usage else None
    if ask.stream:
        return _events(ask, size, usage, name)
    pictures = [_drawn(ask, size, index) for index in range(count)]
    as_url = ask.response_format == "url" or (ask.response_format is None and ask.model.startswith("dall-e"))
    data = [{"url": f"data:image/png;base64,{one}"} if as_url else {"b64_json": one} for one in pictures]
    return json_answer({"created": CREATED, "data": data} | _about(size) | ({"usage": usage} if usage else {}))


def generations(request: Request) -> Answer | Stream:
    """POST /v1/images/generations."""
    return _answer(request, request.read(ImageAsk), 0, "image_generation")


def edits(request: Request) -> Answer | Stream:
    """POST /v1/images/edits and /v1/images/variations, multipart: one or several images, perhaps a mask."""
    form = request.form()
    form.file("image")
    try:
        ask = msgspec.convert(form.fields, ImageAsk, strict=False)
    except msgspec.ValidationError as exc:
        raise RefusedError(400, f"Invalid request: {exc}") from None
    return _answer(request, ask, len(form.files), "image_edit")


ROUTES = {
    ("POST", "/v1/images/generations"): generations,
    ("POST", "/v1/images/edits"): edits,
    ("POST", "/v1/images/variations"): edits,
}

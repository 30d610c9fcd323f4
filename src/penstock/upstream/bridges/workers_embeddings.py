"""Workers AI's embeddings for whoever speaks OpenAI's: base64 is made here, which Cloudflare does not."""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.bridge import Spot, StreamCrossing
from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.bridges.workers.answers import read
from penstock.upstream.bridges.workers.failures import error_body, read_failure, unreadable
from penstock.upstream.wires import WIRES, asks
from penstock.upstream.wires.wire import Ask, Wire

TARGET = "workers_embeddings"
PATH = "/v1/embeddings"
TEXTS_LIMIT = 100
"""So many texts Cloudflare takes at once: `maxItems` in the models' schemas."""
_JSON = b"application/json"
_BODY = msgspec.json.Decoder(dict[str, Any])


class Embeddings:
    """From OpenAI's embeddings."""

    source = "embeddings"
    target = TARGET

    def cross(self, body: bytes, spot: Spot) -> EmbeddingsCrossing:
        """The request as Workers AI takes it: a model and texts. `dimensions` are the model's own and cannot be chosen."""
        asked = asks.read_fields(_BODY, body)
        texts = _texts(asked.get("input"))
        encoding = asked.get("encoding_format")
        if encoding not in (None, "float", "base64"):
            raise PenstockError("invalid_request", 'The field "encoding_format" must be "float" or "base64".', param="encoding_format")
        dropped = Dropped()
        if asked.get("dimensions") is not None:
            dropped.note("dimensions")
        sent = msgspec.json.encode({"model": spot.model, "input": texts})
        return EmbeddingsCrossing(sent, len(texts), spot, packed=encoding == "base64", dropped=dropped)


class EmbeddingsCrossing:
    """One exchange."""

    method = b"POST"
    path, query = PATH, b""
    headers = b"content-type: application/json\r\n"
    passes = False

    def __init__(self, sent: bytes, count: int, spot: Spot, *, packed: bool, dropped: Dropped) -> None:
        self.wire: Wire = WIRES[TARGET]
        self.ask: Ask = self.wire.peek(sent)
        self.body = sent
        self.dropped = dropped.header()
        self._count, self._model, self._packed = count, spot.public, packed

    def whole(self, status: int, content_type: bytes, body: bytes) -> tuple[int, bytes, bytes]:
        """The answer as OpenAI writes it, or an error."""
        found = read_failure(status, body) if status >= 400 else _vectors(body, self._count, packs=self._packed)
        if isinstance(found, Failure):
            return found.status, _JSON, error_body(found)
        tokens = self.wire.read(body, self.ask)[0].input_tokens
        answer = {
            "object": "list",
            "data": [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(found)],
            "model": self._model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return status, _JSON, msgspec.json.encode(answer)

    def stream(self) -> StreamCrossing:
        """Embeddings are not streamed."""
        return _Unstreamed()

    def replay(self, body: bytes) -> bytes | None:
        """As `stream`."""
        return None


class _Unstreamed:
    """Says that there is no such stream."""

    ended = False

    def event(self, event: bytes) -> bytes:
        return b""

    def over(self) -> bytes:
        self.ended = True
        return b"data: %b\n\n" % error_body(unreadable("a stream of embeddings"))


def _texts(given: Any) -> list[str]:
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not given:
        raise PenstockError("invalid_request", 'The field "input" must be a text or a list of texts.', param="input")
    if len(given) > TEXTS_LIMIT and isinstance(given[0], str):
        raise PenstockError("invalid_request", f"Workers AI takes at most {TEXTS_LIMIT} texts at once, not {len(given)}.", param="input")
    for index, one in enumerate(given):
        if isinstance(one, int | list):
            raise refuse("Tokens instead of text", TARGET, "input" if isinstance(one, int) else f"input[{index}]")
        if not isinstance(one, str) or not one:
            raise PenstockError("invalid_request", f"input[{index}] must be a text that is not empty.", param=f"input[{index}]")
    return given


def _vectors(body: bytes, count: int, *, packs: bool) -> list[list[float]] | list[str] | Failure:
    """The vectors in the order of the texts, from OpenAI's shape or Cloudflare's `result.data`; `packs`: as base64 of 32-bit floats."""
    answer = read(body)
    if isinstance(answer, Failure):
        return answer
    inner = answer.get("result", answer) if isinstance(answer, dict) else None
    data = inner.get("data") if isinstance(inner, dict) else None
    if not isinstance(data, list) or not data:
        return unreadable("an empty result")
    try:
        vectors = msgspec.convert([_vector(one) for _, one in sorted(enumerate(data), key=_place)], list[list[float]])
        packed = [b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii") for vector in vectors] if packs else []
    except (msgspec.ValidationError, OverflowError, struct.error):
        return unreadable("something else than vectors")
    if len(vectors) != count:
        return unreadable(f"{len(vectors)} vectors for {count} texts")
    return packed if packs else vectors


def _place(item: tuple[int, Any]) -> int:
    at, one = item
    index = one.get("index") if isinstance(one, dict) else None
    return index if type(index) is int else at


def _vector(one: Any) -> Any:
    return one.get("embedding") if isinstance(one, dict) else one


BRIDGES = (Embeddings(),)

"""Embeddings: unit vectors made of a hash of the input, as floats or as base64."""

from __future__ import annotations

import math
from array import array
from base64 import b64encode
from hashlib import shake_128

import msgspec

from penstock.upstream.demo.answer import Answer, RefusedError, json_answer
from penstock.upstream.demo.prose import tokens_of
from penstock.upstream.demo.request import Request

_INPUTS_LIMIT = 2048
_DIMENSIONS_LIMIT = 8192


class EmbeddingAsk(msgspec.Struct, gc=False):
    """What is read of an embeddings request."""

    model: str
    input: str | list[str | int | list[int]]
    dimensions: int | None = None
    encoding_format: str | None = None
    user: str | None = None

    def inputs(self) -> list[bytes]:
        """Each input as bytes; tokens take four each, so that they are counted as what they are."""
        if isinstance(self.input, str):
            return [self.input.encode()]
        if self.input and isinstance(self.input[0], int):
            return [_packed([one for one in self.input if isinstance(one, int)])]
        return [one.encode() if isinstance(one, str) else _packed(one) for one in self.input if not isinstance(one, int)]


def _packed(ids: list[int]) -> bytes:
    return b"".join((one & 0xFFFFFFFF).to_bytes(4, "little") for one in ids)


def _vector(text: bytes, dimensions: int) -> array[float]:
    raw = array("h", shake_128(text).digest(dimensions * 2))
    length = math.sqrt(sum(one * one for one in raw)) or 1.0
    return array("f", [one / length for one in raw])


def embeddings(request: Request) -> Answer:
    """POST /v1/embeddings."""
    ask = request.read(EmbeddingAsk)
    manners = request.behave(ask.model, ask.user)
    inputs = ask.inputs()
    if not 1 <= len(inputs) <= _INPUTS_LIMIT:
        raise RefusedError(400, f"'input' must have 1 to {_INPUTS_LIMIT} items.", param="input")
    dimensions = ask.dimensions or (3072 if ask.model.endswith("3-large") else 1536)
    if not 1 <= dimensions <= _DIMENSIONS_LIMIT:
        raise RefusedError(400, f"'dimensions' must be 1 to {_DIMENSIONS_LIMIT}.", param="dimensions")
    vectors = (_vector(text, dimensions) for text in inputs)
    if ask.encoding_format == "base64":
        values: list[object] = [b64encode(vector.tobytes()).decode() for vector in vectors]
    else:
        values = [vector.tolist() for vector in vectors]
    data = [{"object": "embedding", "index": index, "embedding": value} for index, value in enumerate(values)]
    count = sum(tokens_of(len(text)) for text in inputs)
    usage = {"usage": {"prompt_tokens": count, "total_tokens": count}} if manners.usage else {}
    return json_answer({"object": "list", "data": data, "model": ask.model} | usage)


ROUTES = {("POST", "/v1/embeddings"): embeddings}

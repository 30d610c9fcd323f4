"""Old text completions of OpenAI: /v1/completions."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.wires import asks, endings
from penstock.upstream.wires.asks import Scalar
from penstock.upstream.wires.chat import ChatWire, hides_usage
from penstock.upstream.wires.chat_fields import StreamOptions
from penstock.upstream.wires.wire import Ask, Cut, Wire


class CompletionsFields(msgspec.Struct, gc=False):
    """What we read of a request."""

    model: Scalar = None
    stream: Scalar = None
    max_tokens: Scalar = None
    n: Scalar = None
    best_of: Scalar = None
    stream_options: StreamOptions | msgspec.UnsetType | None = msgspec.UNSET


_FIELDS = msgspec.json.Decoder(CompletionsFields)


class CompletionsWire(ChatWire):
    """POST /v1/completions: streams and answers are read like a chat's."""

    name: ClassVar[str] = "completions"
    paths: ClassVar[tuple[str, ...]] = ("/v1/completions",)

    def peek(self, body: bytes) -> Ask:
        """Learn the facts. All of `best_of` candidates are generated and paid for."""
        fields = asks.read_fields(_FIELDS, body)
        stream = asks.flag(fields.stream, "stream")
        cap = asks.cap(fields.max_tokens)
        return Ask(
            model=asks.model_of(fields.model),
            stream=stream,
            output_cap=None if cap is None else cap * max(asks.choices(fields.n), asks.choices(fields.best_of)),
            input_size=asks.text_size(body),
            hides_usage=hides_usage(stream, fields.stream_options),
            stream_options=fields.stream_options is not msgspec.UNSET,
        )

    def cut_short(self, error: PenstockError, cut: Cut) -> bytes:
        """A last chunk, as if a bound on the output had been reached."""
        return endings.of_chat(error, cut, {"text": "", "logprobs": None})


WIRE: Wire = CompletionsWire()

"""Anthropic's counting of tokens: /v1/messages/count_tokens. It costs nothing."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.dialects import anthropic
from penstock.upstream.wires import asks
from penstock.upstream.wires.free import FreeWire
from penstock.upstream.wires.wire import Ask, Dialect, Wire


class CountTokensWire(FreeWire):
    """POST /v1/messages/count_tokens."""

    name: ClassVar[str] = "count_tokens"
    dialect: Dialect = anthropic.DIALECT
    paths: ClassVar[tuple[str, ...]] = ("/v1/messages/count_tokens",)

    def peek(self, body: bytes) -> Ask:
        """Learn the model, which must be named."""
        return Ask(model=asks.model_of(asks.read_fields(self.fields, body).model), output_cap=0)


WIRE: Wire = CountTokensWire()

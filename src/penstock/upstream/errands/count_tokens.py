"""Tokens counted where the provider does not count them: an estimate, with no call to it. It costs nothing."""

from __future__ import annotations

import msgspec

from penstock.upstream.bridges.gemini.asks_in import read_ask
from penstock.upstream.bridges.messages import counting
from penstock.upstream.bridges.messages.asks_in import asked_of
from penstock.upstream.errands.errand import Errand, Order, Result
from penstock.upstream.usage import Usage


class CountTokens:
    """From `/v1/messages/count_tokens` to a provider of another wire."""

    source = "count_tokens"

    def __init__(self, target: str) -> None:
        self.target = target

    async def run(self, order: Order) -> Result:
        """The count of the whole request: system, tools, what tools have given, pictures and documents."""
        tokens = counting.count(asked_of(order.fields, counting=True))
        return Result(200, b"application/json", msgspec.json.encode({"input_tokens": tokens}), Usage(calls=0))


class GeminiCount:
    """From Gemini's `:countTokens` to a provider of another wire."""

    source = "gemini_count"

    def __init__(self, target: str) -> None:
        self.target = target

    async def run(self, order: Order) -> Result:
        """The count of the contents, or of the whole request where the client has given that."""
        inner = order.fields.get("generateContentRequest") or order.fields.get("generate_content_request")
        asked = read_ask(msgspec.json.encode(inner if isinstance(inner, dict) else order.fields))
        return Result(200, b"application/json", msgspec.json.encode({"totalTokens": counting.count(asked)}), Usage(calls=0))


ERRANDS: tuple[Errand, ...] = (
    *(CountTokens(target) for target in ("chat", "responses", "gemini")),
    *(GeminiCount(target) for target in ("chat", "responses", "messages")),
)

"""A program that talks by the Anthropic SDK."""

from __future__ import annotations

from typing import Any, ClassVar

import anthropic
from anthropic import Anthropic, DefaultHttpxClient
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from heard import PDF, PICTURE_URL, PNG, WEATHER, Got, Heard, Wants
from live_gateway import LiveGateway

_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


class ClaudeTalker:
    """Messages."""

    wire = "messages"
    errors = anthropic.APIStatusError
    statuses: ClassVar[dict[int, type[Exception]]] = {
        400: anthropic.BadRequestError, 401: anthropic.AuthenticationError, 404: anthropic.NotFoundError, 429: anthropic.RateLimitError,
        500: anthropic.InternalServerError, 502: anthropic.InternalServerError, 503: anthropic.ServiceUnavailableError,
        529: anthropic.OverloadedError,
    }  # fmt: skip

    def __init__(self, gateway: LiveGateway, model: str) -> None:
        self.client = Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0, http_client=DefaultHttpxClient(verify=False))
        self.model = model
        self.turns: list[Any] = []

    def close(self) -> None:
        self.client.close()

    def say(self, text: str) -> None:
        self.turns.append({"role": "user", "content": text})

    def show(self, text: str, kind: str) -> None:
        source: Any = {"type": "base64", "media_type": "image/png", "data": PNG}
        if kind == "url":
            source = {"type": "url", "url": PICTURE_URL}
        shown: Any = {"type": "image", "source": source}
        if kind == "pdf":
            source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
            shown = {"type": "document", "source": source, "title": "paper.pdf"}
        self.turns.append({"role": "user", "content": [{"type": "text", "text": text}, shown]})

    def results(self, given: list[tuple[Got, str]]) -> None:
        self.turns.append(
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": text} for call, text in given]}
        )

    def options(self, wants: Wants) -> dict[str, Any]:
        options: dict[str, Any] = {"model": self.model, "messages": self.turns, "max_tokens": wants.cap or 4096}
        if wants.system:
            options["system"] = wants.system
        if wants.stop is not None:
            options["stop_sequences"] = wants.stop
        if wants.thinks:
            options["thinking"] = {"type": "enabled", "budget_tokens": 2048}
        if wants.tools:
            options["tools"] = [{"name": "weather", "description": "The weather", "input_schema": WEATHER}]
        if wants.forced:
            options["tool_choice"] = {"type": "tool", "name": "weather"}
        return options | wants.more

    def plain(self, wants: Wants) -> Heard:
        if wants.form is None:
            return self._keep(self.client.messages.create(**self.options(wants)))
        return self._keep(self.client.messages.parse(**self.options(wants), output_format=wants.form))

    def streamed(self, wants: Wants) -> Heard:
        form = {} if wants.form is None else {"output_format": wants.form}
        with self.client.messages.stream(**self.options(wants), **form) as stream:
            for _ in stream:
                pass
            return self._keep(stream.get_final_message())

    def raw(self, wants: Wants) -> Heard:
        heard = Heard()
        kinds = []
        for event in self.client.messages.create(**self.options(wants), stream=True):
            _EVENT.validate_python(event.model_dump(exclude_unset=True, warnings=False), strict=True)
            kinds.append(event.type)
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                heard.text += event.delta.text
            elif event.type == "content_block_start" and event.content_block.type == "tool_use":
                heard.calls.append(Got(event.content_block.id, event.content_block.name, {}))
            elif event.type == "message_start":
                _count(heard, event.message.usage)
            elif event.type == "message_delta":
                _count(heard, event.usage)
                heard.stop, heard.sequence = event.delta.stop_reason, event.delta.stop_sequence
        assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
        return heard

    def headers(self) -> dict[str, str]:
        return dict(self.client.messages.with_raw_response.create(**self.options(Wants())).headers)

    def counted(self) -> int:
        return self.client.messages.count_tokens(model=self.model, messages=self.turns).input_tokens

    def _keep(self, message: Any) -> Heard:
        self.turns.append({"role": "assistant", "content": [_block(block) for block in message.content]})
        heard = Heard(stop=message.stop_reason, sequence=message.stop_sequence, model=message.model)
        for block in message.content:
            if block.type == "text":
                heard.text += block.text
            elif block.type == "thinking":
                heard.thought += block.thinking
            elif block.type == "tool_use":
                heard.calls.append(Got(block.id, block.name, block.input))
        heard.parsed = getattr(message, "parsed_output", None)
        _count(heard, message.usage)
        return heard


def _block(block: Any) -> dict[str, Any]:
    kept: dict[str, Any] = block.model_dump(exclude_none=True, warnings=False)
    kept.pop("parsed_output", None)
    return kept


def _count(heard: Heard, usage: Any) -> None:
    heard.cached, heard.written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    heard.read = usage.input_tokens + heard.cached + heard.written
    heard.output = usage.output_tokens

"""Programs that talk by the OpenAI SDK: over chat completions, over responses, and over chat completions with asyncio."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from heard import PDF, PICTURE_URL, PNG, WEATHER, Got, Heard, Wants
from live_gateway import LiveGateway

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


class ChatTalker:
    """Chat completions."""

    wire = "chat"
    errors = openai.APIStatusError
    statuses: ClassVar[dict[int, type[Exception]]] = {
        400: openai.BadRequestError, 401: openai.AuthenticationError, 404: openai.NotFoundError, 429: openai.RateLimitError,
        500: openai.InternalServerError, 503: openai.InternalServerError, 529: openai.InternalServerError, 502: openai.InternalServerError,
    }  # fmt: skip

    def __init__(self, gateway: LiveGateway, model: str) -> None:
        self.client = OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, http_client=DefaultHttpxClient(verify=False))
        self.model = model
        self.turns: list[Any] = []

    def close(self) -> None:
        self.client.close()

    def say(self, text: str) -> None:
        self.turns.append({"role": "user", "content": text})

    def show(self, text: str, kind: str) -> None:
        shown: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}" if kind == "png" else PICTURE_URL}}
        if kind == "pdf":
            shown = {"type": "file", "file": {"filename": "paper.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}}
        self.turns.append({"role": "user", "content": [{"type": "text", "text": text}, shown]})

    def results(self, given: list[tuple[Got, str]]) -> None:
        self.turns += [{"role": "tool", "tool_call_id": call.id, "content": text} for call, text in given]

    def options(self, wants: Wants) -> dict[str, Any]:
        turns = [{"role": "system", "content": wants.system}, *self.turns] if wants.system else self.turns
        options: dict[str, Any] = {"model": self.model, "messages": turns}
        if wants.cap is not None:
            options["max_completion_tokens"] = wants.cap
        if wants.stop is not None:
            options["stop"] = wants.stop
        if wants.thinks:
            options["reasoning_effort"] = "medium"
        if wants.tools:
            function = {"name": "weather", "description": "The weather", "parameters": WEATHER}
            options["tools"] = [{"type": "function", "function": function}]
            options["parallel_tool_calls"] = True
        if wants.forced:
            options["tool_choice"] = {"type": "function", "function": {"name": "weather"}}
        return options | wants.more

    def plain(self, wants: Wants) -> Heard:
        if wants.form is None:
            return self._keep(self.client.chat.completions.create(**self.options(wants)))
        return self._keep(self.client.chat.completions.parse(**self.options(wants), response_format=wants.form))

    def streamed(self, wants: Wants) -> Heard:
        form = {} if wants.form is None else {"response_format": wants.form}
        with self.client.chat.completions.stream(**self.options(wants), stream_options={"include_usage": True}, **form) as stream:
            for _ in stream:
                pass
            return self._keep(stream.get_final_completion())

    def raw(self, wants: Wants) -> Heard:
        heard = Heard()
        for chunk in self.client.chat.completions.create(**self.options(wants), stream=True, stream_options={"include_usage": True}):
            ChatCompletionChunk.model_validate(chunk.model_dump(exclude_unset=True, warnings=False), strict=True)
            for choice in chunk.choices:
                heard.text += choice.delta.content or ""
                heard.refusal += choice.delta.refusal or ""
                heard.stop = choice.finish_reason or heard.stop
                heard.calls += [Got(call.id, call.function.name, {}) for call in choice.delta.tool_calls or () if call.id]
            if chunk.usage:
                _count(heard, chunk.usage)
        return heard

    def headers(self) -> dict[str, str]:
        return dict(self.client.chat.completions.with_raw_response.create(**self.options(Wants())).headers)

    def counted(self) -> int:
        raise NotImplementedError

    def _keep(self, answer: Any) -> Heard:
        (choice,) = answer.choices
        message = choice.message
        self.turns.append(message.model_dump(exclude_none=True, exclude={"parsed"}, warnings=False))
        for call in self.turns[-1].get("tool_calls", ()):
            call["function"].pop("parsed_arguments", None)
            call.pop("index", None)
        calls = [Got(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]
        thought = (message.model_extra or {}).get("reasoning_content") or ""
        heard = Heard(message.content or "", thought, message.refusal or "", calls, choice.finish_reason, model=answer.model)
        heard.parsed = getattr(message, "parsed", None)
        _count(heard, answer.usage)
        return heard


def _count(heard: Heard, usage: Any) -> None:
    heard.read, heard.output = usage.prompt_tokens, usage.completion_tokens
    heard.cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
    heard.reasoning = usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else 0
    assert usage.total_tokens == heard.read + heard.output


class AsyncChatTalker(ChatTalker):
    """Chat completions by asyncio's client."""

    def _run(self, ask: Any) -> Any:
        async def run() -> Any:
            http = DefaultAsyncHttpxClient(verify=False)
            async with AsyncOpenAI(base_url=self.client.base_url, api_key=self.client.api_key, max_retries=0, http_client=http) as client:
                return await ask(client)

        return asyncio.run(run())

    def plain(self, wants: Wants) -> Heard:
        if wants.form is None:
            return self._keep(self._run(lambda client: client.chat.completions.create(**self.options(wants))))
        return self._keep(self._run(lambda client: client.chat.completions.parse(**self.options(wants), response_format=wants.form)))

    def streamed(self, wants: Wants) -> Heard:
        form = {} if wants.form is None else {"response_format": wants.form}

        async def ask(client: AsyncOpenAI) -> Any:
            async with client.chat.completions.stream(**self.options(wants), stream_options={"include_usage": True}, **form) as stream:
                async for _ in stream:
                    pass
                return await stream.get_final_completion()

        return self._keep(self._run(ask))


class ResponsesTalker:
    """Responses; nothing is stored at the provider, so reasoning is carried along encrypted."""

    wire = "responses"
    errors = openai.APIStatusError
    statuses = ChatTalker.statuses

    def __init__(self, gateway: LiveGateway, model: str) -> None:
        self.client = OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, http_client=DefaultHttpxClient(verify=False))
        self.model = model
        self.items: list[Any] = []

    def close(self) -> None:
        self.client.close()

    def say(self, text: str) -> None:
        self.items.append({"role": "user", "content": text})

    def show(self, text: str, kind: str) -> None:
        url = f"data:image/png;base64,{PNG}" if kind == "png" else PICTURE_URL
        shown: Any = {"type": "input_image", "image_url": url, "detail": "auto"}
        if kind == "pdf":
            shown = {"type": "input_file", "filename": "paper.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
        self.items.append({"role": "user", "content": [{"type": "input_text", "text": text}, shown]})

    def results(self, given: list[tuple[Got, str]]) -> None:
        self.items += [{"type": "function_call_output", "call_id": call.id, "output": text} for call, text in given]

    def options(self, wants: Wants) -> dict[str, Any]:
        options: dict[str, Any] = {"model": self.model, "input": self.items, "store": False}
        if wants.system:
            options["instructions"] = wants.system
        if wants.cap is not None:
            options["max_output_tokens"] = wants.cap
        if wants.thinks:
            options |= {"reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
        if wants.tools:
            options["tools"] = [
                {"type": "function", "name": "weather", "description": "The weather", "parameters": WEATHER, "strict": False}
            ]
            options["parallel_tool_calls"] = True
        if wants.forced:
            options["tool_choice"] = {"type": "function", "name": "weather"}
        return options | wants.more

    def plain(self, wants: Wants) -> Heard:
        if wants.form is None:
            return self._keep(self.client.responses.create(**self.options(wants)))
        return self._keep(self.client.responses.parse(**self.options(wants), text_format=wants.form))

    def streamed(self, wants: Wants) -> Heard:
        form = {} if wants.form is None else {"text_format": wants.form}
        last: Any = None
        with self.client.responses.stream(**self.options(wants), **form) as stream:
            for last in stream:  # noqa: B007  the last one is looked at
                pass
            if last.type != "response.incomplete":
                return self._keep(stream.get_final_response())
        return self._keep(last.response)

    def raw(self, wants: Wants) -> Heard:
        heard, numbers = Heard(), []
        for event in self.client.responses.create(**self.options(wants), stream=True):
            _EVENT.validate_python(event.model_dump(exclude_unset=True, warnings=False), strict=True)
            numbers.append(event.sequence_number)
            if event.type == "response.output_text.delta":
                heard.text += event.delta
            elif event.type in ("response.completed", "response.incomplete"):
                final = _read(event.response)
                assert final.text == heard.text
                heard = final
        assert numbers == list(range(len(numbers)))
        return heard

    def headers(self) -> dict[str, str]:
        return dict(self.client.responses.with_raw_response.create(**self.options(Wants())).headers)

    def counted(self) -> int:
        raise NotImplementedError

    def _keep(self, response: Any) -> Heard:
        for item in response.output:
            kept = item.model_dump(exclude_none=True, warnings=False)
            for content in kept.get("content") or ():
                content.pop("parsed", None)
            kept.pop("parsed_arguments", None)
            self.items.append(kept)
        return _read(response)


def _read(response: Any) -> Heard:
    heard = Heard(response.output_text, model=response.model)
    for item in response.output:
        if item.type == "reasoning":
            heard.thought += "".join(part.text for part in item.summary)
        elif item.type == "function_call":
            heard.calls.append(Got(item.call_id, item.name, json.loads(item.arguments)))
        elif item.type == "message":
            heard.refusal += "".join(part.refusal for part in item.content if part.type == "refusal")
            heard.parsed = next((part.parsed for part in item.content if getattr(part, "parsed", None)), heard.parsed)
    heard.stop = response.incomplete_details.reason if response.incomplete_details else response.status
    usage = response.usage
    heard.read, heard.output = usage.input_tokens, usage.output_tokens
    heard.cached, heard.reasoning = usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens
    assert usage.total_tokens == heard.read + heard.output
    return heard

"""A program that talks by the google-genai SDK."""

from __future__ import annotations

import base64
from typing import Any, ClassVar

from google import genai
from google.genai import errors, types

from heard import PDF, PICTURE_URL, PNG, WEATHER, Got, Heard, Wants
from live_gateway import LiveGateway

_QUICK: Any = {"client_args": {"verify": False}, "async_client_args": {"verify": False}}
"""Nothing is asked over TLS here, and certificates take long to read."""


class GoogleTalker:
    """generateContent."""

    wire = "gemini"
    errors = errors.APIError
    statuses: ClassVar[dict[int, type[Exception]]] = {
        status: errors.ClientError if status < 500 else errors.ServerError for status in (400, 401, 404, 429, 500, 502, 503, 529)
    }  # fmt: skip

    def __init__(self, gateway: LiveGateway, model: str) -> None:
        self.client = genai.Client(api_key=gateway.key, http_options={"base_url": gateway.url, **_QUICK})
        self.model = model
        self.turns: list[types.Content] = []

    def close(self) -> None:
        self.client.close()

    def say(self, text: str) -> None:
        self.turns.append(types.Content(role="user", parts=[types.Part(text=text)]))

    def show(self, text: str, kind: str) -> None:
        shown = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
        if kind == "url":
            shown = types.Part.from_uri(file_uri=PICTURE_URL, mime_type="image/png")
        elif kind == "pdf":
            shown = types.Part.from_bytes(data=base64.b64decode(PDF), mime_type="application/pdf")
        self.turns.append(types.Content(role="user", parts=[types.Part(text=text), shown]))

    def results(self, given: list[tuple[Got, str]]) -> None:
        parts = [
            types.Part(function_response=types.FunctionResponse(id=call.id or None, name=call.name, response={"result": text}))
            for call, text in given
        ]
        self.turns.append(types.Content(role="user", parts=parts))

    def config(self, wants: Wants) -> types.GenerateContentConfig:
        config = types.GenerateContentConfig(automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))
        if wants.system:
            config.system_instruction = wants.system
        config.max_output_tokens, config.stop_sequences = wants.cap, wants.stop
        if wants.thinks:
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
        if wants.tools:
            declared = types.FunctionDeclaration(name="weather", description="The weather", parameters_json_schema=WEATHER)
            config.tools = [types.Tool(function_declarations=[declared])]
        if wants.forced:
            mode = types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["weather"])
            config.tool_config = types.ToolConfig(function_calling_config=mode)
        if wants.form is not None:
            config.response_mime_type, config.response_schema = "application/json", wants.form
        return config.model_copy(update=wants.more)

    def plain(self, wants: Wants) -> Heard:
        answer = self.client.models.generate_content(model=self.model, contents=list(self.turns), config=self.config(wants))
        heard = self._keep([answer])
        heard.parsed = answer.parsed
        return heard

    def streamed(self, wants: Wants) -> Heard:
        heard = self._keep(list(self._stream(wants)))
        if wants.form is not None:
            heard.parsed = wants.form.model_validate_json(heard.text)
        return heard

    def raw(self, wants: Wants) -> Heard:
        kept = list(self.turns)
        heard = self._keep(list(self._stream(wants)))
        self.turns = kept
        return heard

    def _stream(self, wants: Wants) -> Any:
        return self.client.models.generate_content_stream(model=self.model, contents=list(self.turns), config=self.config(wants))

    def headers(self) -> dict[str, str]:
        answer = self.client.models.generate_content(model=self.model, contents=list(self.turns))
        return dict(answer.sdk_http_response.headers)

    def counted(self) -> int:
        return self.client.models.count_tokens(model=self.model, contents=list(self.turns)).total_tokens

    def _keep(self, chunks: list[types.GenerateContentResponse]) -> Heard:
        heard, parts = Heard(), []
        for chunk in chunks:
            for candidate in chunk.candidates or ():
                parts += (candidate.content.parts if candidate.content else None) or []
                if candidate.finish_reason:
                    assert heard.stop is None
                    heard.stop = candidate.finish_reason.value
            if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
                heard.stop = chunk.prompt_feedback.block_reason.value
            heard.model = chunk.model_version or heard.model
        self.turns.append(types.Content(role="model", parts=parts))
        for part in parts:
            if part.function_call:
                heard.calls.append(Got(part.function_call.id or "", part.function_call.name, part.function_call.args or {}))
            elif part.text and part.thought:
                heard.thought += part.text
            elif part.text:
                heard.text += part.text
        _count(heard, chunks[-1].usage_metadata)
        return heard


def _count(heard: Heard, usage: Any) -> None:
    heard.read, heard.cached = usage.prompt_token_count, usage.cached_content_token_count or 0
    heard.reasoning = usage.thoughts_token_count or 0
    heard.output = (usage.candidates_token_count or 0) + heard.reasoning
    assert usage.total_token_count == heard.read + heard.output

"""How the official SDKs judge requests to providers: by their own types, as far as these say what a request may be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_type_hints

from anthropic.types import message_create_params
from google.genai import types as google
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params
from pydantic import TypeAdapter

_CHAT = completion_create_params.CompletionCreateParams
_MESSAGES = message_create_params.MessageCreateParams
_RESPONSES = response_create_params.ResponseCreateParams
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {params: TypeAdapter(params) for params in (_CHAT, _MESSAGES, _RESPONSES)}


def _walked(value: Any) -> None:
    """Lists are validated only when they are walked."""
    if isinstance(value, dict):
        for one in value.values():
            _walked(one)
    elif isinstance(value, list | Iterator):
        for one in value:
            _walked(one)


def _judge(params: Any, body: bytes, *others: str) -> None:
    """`params`: what the SDK's `create` takes. `others`: fields that only other vendors know."""
    found = {name: value for name, value in json.loads(body).items() if name not in others}
    known = {name for one in get_args(params) for name in get_type_hints(one)}
    assert not found.keys() - known, found.keys() - known
    _walked(_ADAPTERS[params].validate_python(found))


def judge_chat(body: bytes) -> None:
    """OpenAI's and, of `thinking`, DeepSeek's."""
    _judge(_CHAT, body, "thinking")


def judge_messages(body: bytes) -> None:
    """Anthropic's, and the sampling that only its older models take."""
    _judge(_MESSAGES, body, "temperature", "top_p", "top_k")


def judge_responses(body: bytes) -> None:
    """OpenAI's. What the model has said needs ids by the SDK's types, and none by the API."""
    found = json.loads(body)
    for item in found["input"]:
        if item.get("role") == "assistant":
            item |= {"id": "msg_1", "status": "completed"}
            item["content"] = [{"annotations": [], **part} if part["type"] == "output_text" else part for part in item["content"]]
        elif item["type"] == "reasoning":
            item.setdefault("id", "rs_1")
    _judge(_RESPONSES, json.dumps(found).encode())


def judge_gemini(body: bytes) -> None:
    """Fields that Google does not know are refused by its types."""
    found = json.loads(body)
    assert found.keys() <= {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
    contents = [google.Content.model_validate(content) for content in found["contents"]]
    assert contents and all(content.parts and content.role in ("user", "model") for content in contents)
    if "systemInstruction" in found:
        google.Content.model_validate(found["systemInstruction"])
    for tool in found.get("tools", ()):
        google.Tool.model_validate(tool)
    if "toolConfig" in found:
        google.ToolConfig.model_validate(found["toolConfig"])
    google.GenerationConfig.model_validate(found.get("generationConfig", {}))


JUDGES: dict[str, Callable[[bytes], None]] = {
    "chat": judge_chat,
    "messages": judge_messages,
    "responses": judge_responses,
    "gemini": judge_gemini,
}
"""By the wire of the provider."""

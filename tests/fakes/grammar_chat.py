"""The golden grammar of chat completions. Sources: the published reference, and the types of the official SDK."""

from __future__ import annotations

import json
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from golden import Called, Golden, events, in_data_url

FINISHES = {"stop", "length", "tool_calls", "content_filter", "function_call"}


def chat_stream(stream: bytes, *, shows_usage: bool = True) -> Golden:
    """`/v1/chat/completions`, streamed."""
    *chunks, last = events(stream, named=False)
    if "error" in last:
        _chat_chunks(chunks, shows_usage=shows_usage)
        return Golden(failure=openai_error(last), ending="failed")
    assert last == {"type": "[DONE]"}
    golden, reason = _chat_chunks(chunks, shows_usage=shows_usage)
    if shows_usage:
        assert chunks[-1]["choices"] == []
        golden.usage = _chat_usage(chunks[-1]["usage"])
    _chat_ending(golden, reason)
    return golden


def _chat_chunks(chunks: list[dict[str, Any]], *, shows_usage: bool) -> tuple[Golden, str]:
    golden, reason = Golden(), ""
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) <= 1
    for number, chunk in enumerate(chunks):
        assert chunk["id"].startswith("chatcmpl") and chunk["object"] == "chat.completion.chunk" and chunk["model"]
        strict = not any(call.get("type") == "custom" or "custom" in call for call in _chat_calls(chunk))
        if strict:  # the SDK's type of a chunk has no place for calls of custom tools
            ChatCompletionChunk.model_validate_json(json.dumps(chunk), strict=True)
        if not chunk["choices"]:
            assert shows_usage and reason and number == len(chunks) - 1
            continue
        assert chunk.get("usage", "none") == (None if shows_usage else "none")
        (choice,) = chunk["choices"]
        assert choice["index"] == 0 and not reason
        delta = choice["delta"]
        assert (delta.get("role") == "assistant") == (number == 0)
        reason = choice["finish_reason"] or ""
        _chat_delta(golden, delta)
    return golden, reason


def _chat_calls(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    return [call for choice in chunk["choices"] for call in choice["delta"].get("tool_calls") or ()]


def _chat_delta(golden: Golden, delta: dict[str, Any]) -> None:
    golden.text += delta.get("content") or ""
    golden.refusal += delta.get("refusal") or ""
    golden.thought += delta.get("reasoning_content") or ""
    golden.pictures += [in_data_url(image["image_url"]["url"]) for image in delta.get("images", ())]
    for detail in delta.get("reasoning_details", ()):
        assert detail["type"] in ("reasoning.text", "reasoning.encrypted") and type(detail["index"]) is int
    for call in delta.get("tool_calls", ()):
        inner = call.get("function") or call.get("custom")
        if call["index"] == len(golden.calls):
            assert call["id"] and call["type"] in ("function", "custom") and inner["name"]
            golden.calls.append(Called(call["id"], inner["name"], custom=call["type"] == "custom"))
        else:
            assert 0 <= call["index"] < len(golden.calls) and not {"id", "type"} & call.keys() and "name" not in inner
        known = golden.calls[call["index"]]
        known.text += inner["input" if known.custom else "arguments"]
    if "function_call" in delta:
        if "name" in delta["function_call"]:
            assert not golden.calls
            golden.calls.append(Called("", delta["function_call"]["name"]))
        golden.calls[0].text += delta["function_call"]["arguments"]


def _chat_ending(golden: Golden, reason: str) -> None:
    assert reason in FINISHES
    assert reason not in ("tool_calls", "function_call") or golden.calls
    ending = {"stop": "end", "content_filter": "refusal", "tool_calls": "tools", "function_call": "tools"}.get(reason, reason)
    golden.ending = "refusal" if golden.refusal and ending == "end" else ending


def _chat_usage(usage: dict[str, Any]) -> tuple[int, int, int, int]:
    before, after = usage["prompt_tokens_details"], usage["completion_tokens_details"]
    read, wrote = usage["prompt_tokens"], usage["completion_tokens"]
    assert usage["total_tokens"] == read + wrote and before["cached_tokens"] <= read and after["reasoning_tokens"] <= wrote
    return read, before["cached_tokens"], wrote, after["reasoning_tokens"]


def chat_whole(body: bytes) -> Golden:
    """`/v1/chat/completions`, plain."""
    ChatCompletion.model_validate_json(body, strict=True)
    found = json.loads(body)
    (choice,) = found["choices"]
    message = choice["message"]
    assert found["object"] == "chat.completion" and message["role"] == "assistant"
    golden = Golden(message["content"] or "", message["refusal"] or "", message.get("reasoning_content") or "")
    golden.pictures = [in_data_url(image["image_url"]["url"]) for image in message.get("images", ())]
    for call in message.get("tool_calls", ()):
        inner, custom = call[call["type"]], call["type"] == "custom"
        golden.calls.append(Called(call["id"], inner["name"], inner["input" if custom else "arguments"], custom))
    if "function_call" in message:
        golden.calls.append(Called("", message["function_call"]["name"], message["function_call"]["arguments"]))
    golden.usage = _chat_usage(found["usage"])
    _chat_ending(golden, choice["finish_reason"])
    return golden


def openai_error(found: dict[str, Any]) -> str:
    """The envelope of OpenAI's errors."""
    error = found["error"]
    assert set(found) == {"error"} and set(error) >= {"message", "type", "param", "code"}
    assert all(value is None or isinstance(value, str) for value in error.values()) and error["type"]
    return str(error["message"])

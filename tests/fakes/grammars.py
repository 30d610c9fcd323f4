"""The golden grammar of each wire's stream and plain answer: what the published references and the types of the official SDKs insist on.

Each grammar reads the bytes that a client gets, independently of our own listeners, and says what a client understands by them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

from anthropic.types import Message, RawMessageStreamEvent
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel

ANTHROPIC_STOPS = {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"}
ANTHROPIC_ERRORS = {
    "invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error", "request_too_large",
    "rate_limit_error", "api_error", "timeout_error", "overloaded_error",
}  # fmt: skip
CHAT_FINISHES = {"stop", "length", "tool_calls", "content_filter", "function_call"}
RESPONSES_CODES = {"server_is_overloaded", "slow_down", "context_length_exceeded", "insufficient_quota", "usage_not_included"}
"""Codes of failed responses that clients know and the SDK's type does not."""


def _by_type(union: Any) -> dict[str, type[BaseModel]]:
    """The classes of a union of events, by the `type` that they are for: a union tries them all."""
    classes = get_args(get_args(union)[0])
    return {name: one for one in classes for name in get_args(one.model_fields["type"].annotation)}


_MESSAGES_EVENTS = _by_type(RawMessageStreamEvent)
_RESPONSES_EVENTS = _by_type(ResponseStreamEvent)


@dataclass
class Called:
    """A call of a tool, as a client sees it. `text` is the JSON of its arguments, or the input of a custom tool."""

    id: str
    name: str
    text: str = ""
    custom: bool = False


@dataclass
class Golden:
    """What a client understands. `ending`: end, length, refusal, tools; failed with the `failure`'s words."""

    text: str = ""
    refusal: str = ""
    thought: str = ""
    calls: list[Called] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    """In base64."""
    ending: str = ""
    usage: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Read in all, of that from a cache; written in all, of that to think."""
    failure: str = ""


def events(stream: bytes, *, named: bool) -> list[dict[str, Any]]:
    """The events: one `data` line each, after a line with its name where the wire has names; nothing is left over."""
    text = stream.decode("utf-8")
    if not text:
        return []
    assert text.endswith("\n\n") and "\r" not in text
    found = []
    for block in text[:-2].split("\n\n"):
        *head, data = block.split("\n")
        assert data.startswith("data: "), block
        value = json.loads(data[6:]) if data != "data: [DONE]" else {"type": "[DONE]"}
        assert isinstance(value, dict)
        assert head == ([f"event: {value['type']}"] if named else []), block
        found.append(value)
    return found


# chat


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
    golden.pictures += [_picture(image["image_url"]["url"]) for image in delta.get("images", ())]
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
    assert reason in CHAT_FINISHES
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
    golden.pictures = [_picture(image["image_url"]["url"]) for image in message.get("images", ())]
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


# messages


def messages_stream(stream: bytes, *, shows_usage: bool = True) -> Golden:
    """`/v1/messages`, streamed."""
    said = [event for event in events(stream, named=True) if event["type"] != "ping"]
    golden = Golden()
    blocks = _Blocks(golden)
    if said[-1]["type"] == "error":
        for event in said[:-1]:
            blocks.take(event)
        golden.failure, golden.ending = anthropic_error(said[-1]), "failed"
        return golden
    assert [event["type"] for event in said if event["type"].startswith("message_")] == ["message_start", "message_delta", "message_stop"]
    assert said[0]["type"] == "message_start" and [event["type"] for event in said[-2:]] == ["message_delta", "message_stop"]
    message = said[0]["message"]
    assert message["content"] == [] and message["stop_reason"] is None and message["usage"]["output_tokens"] > 0
    for event in said:
        blocks.take(event)
    assert blocks.open is None
    _messages_ending(golden, said[-2]["delta"], said[-2]["usage"])
    return golden


class _Blocks:
    """Blocks open and close one at a time, with indexes that count up."""

    KINDS: ClassVar[dict[str, set[str]]] = {
        "text": {"text_delta"},
        "thinking": {"thinking_delta", "signature_delta"},
        "tool_use": {"input_json_delta"},
        "redacted_thinking": set(),
    }

    def __init__(self, golden: Golden) -> None:
        self.golden = golden
        self.open: dict[str, Any] | None = None
        self.count = 0
        self.signed = False

    def take(self, event: dict[str, Any]) -> None:
        _MESSAGES_EVENTS[event["type"]].model_validate_json(json.dumps(event), strict=True)
        match event["type"]:
            case "message_start":
                message = event["message"]
                assert message["id"].startswith("msg_") and (message["role"], message["type"]) == ("assistant", "message")
                assert message["model"]
            case "content_block_start":
                assert self.open is None and event["index"] == self.count
                self.open, self.signed = event["content_block"], False
                assert self.open["type"] in self.KINDS
                if self.open["type"] == "tool_use":
                    assert self.open["input"] == {}
                    self.golden.calls.append(Called(self.open["id"], self.open["name"]))
                elif self.open["type"] == "redacted_thinking":
                    assert self.open["data"]
                else:
                    assert self.open[self.open["type"]] == "" and not self.open.get("signature")
            case "content_block_delta":
                assert self.open is not None and event["index"] == self.count
                self._delta(event["delta"])
            case "content_block_stop":
                assert self.open is not None and event["index"] == self.count
                self.open, self.count = None, self.count + 1

    def _delta(self, delta: dict[str, Any]) -> None:
        assert self.open is not None
        assert delta["type"] in self.KINDS[self.open["type"]] and not self.signed
        match delta["type"]:
            case "text_delta":
                self.golden.text += delta["text"]
            case "thinking_delta":
                self.golden.thought += delta["thinking"]
            case "signature_delta":
                self.signed = True
                assert delta["signature"]
            case _:
                self.golden.calls[-1].text += delta["partial_json"]


def _messages_ending(golden: Golden, said: dict[str, Any], usage: dict[str, Any]) -> None:
    assert said["stop_reason"] in ANTHROPIC_STOPS
    for call in golden.calls:
        call.text = call.text or "{}"
    ending = {"max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "refusal", "tool_use": "tools"}
    golden.ending = ending.get(said["stop_reason"], "end")
    assert golden.ending != "tools" or golden.calls
    assert said["stop_sequence"] is None or said["stop_reason"] == "stop_sequence"
    cached = usage["cache_read_input_tokens"]
    read = usage["input_tokens"] + cached + usage["cache_creation_input_tokens"]
    golden.usage = (read, cached, usage["output_tokens"], usage.get("output_tokens_details", {}).get("thinking_tokens", 0))
    golden.pictures = re.findall(r"!\[image\]\(data:[\w/+.-]+;base64,([^)]*)\)", golden.text)
    golden.text = re.sub(r"!\[image\]\(data:[\w/+.-]+;base64,[^)]*\)", "", golden.text)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", call.id) for call in golden.calls)


def messages_whole(body: bytes) -> Golden:
    """`/v1/messages`, plain."""
    Message.model_validate_json(body, strict=True)
    found = json.loads(body)
    golden = Golden()
    for block in found["content"]:
        match block["type"]:
            case "text":
                assert block["text"]
                golden.text += block["text"]
            case "thinking":
                golden.thought += block["thinking"]
            case "tool_use":
                golden.calls.append(Called(block["id"], block["name"], json.dumps(block["input"])))
            case kind:
                assert kind == "redacted_thinking" and block["data"]
    _messages_ending(golden, found, found["usage"])
    return golden


def anthropic_error(found: dict[str, Any]) -> str:
    """The envelope of Anthropic's errors."""
    assert found["type"] == "error" and found["error"]["type"] in ANTHROPIC_ERRORS
    return str(found["error"]["message"])


# responses


def responses_stream(stream: bytes, *, shows_usage: bool = True) -> Golden:
    """`/v1/responses`, streamed."""
    said = events(stream, named=True)
    assert [event["sequence_number"] for event in said] == list(range(len(said)))
    assert [event["type"] for event in said[:2]] == ["response.created", "response.in_progress"]
    items = _Items()
    for event in said:
        error = event.get("response", {}).get("error") or {}
        if error.get("code") in RESPONSES_CODES:
            error["code"] = "server_error"
        _RESPONSES_EVENTS[event["type"]].model_validate_json(json.dumps(event), strict=True)
    for event in said[2:-1]:
        items.take(event)
    first, last = said[0]["response"], said[-1]["response"]
    assert first["status"] == "in_progress" and first["output"] == [] and first["id"].startswith("resp_")
    assert all(last[name] == first[name] for name in ("id", "created_at", "model", "object", "tools", "tool_choice"))
    assert last["output"] == items.done
    assert said[-1]["type"] == f"response.{last['status']}" and last["status"] in ("completed", "incomplete", "failed")
    if last["status"] == "failed":
        assert last["error"]["code"] and last["usage"] is None
        return Golden(failure=last["error"]["message"], ending="failed")
    assert items.open is None
    golden = responses_whole(json.dumps(last).encode())
    assert (golden.text, golden.refusal, golden.thought) == (items.text, items.refusal, items.thought)
    return golden


class _Items:
    """Items are added, told and done one after the other; so are their parts."""

    FIELDS: ClassVar[dict[str, str]] = {
        "response.output_text": "text",
        "response.refusal": "refusal",
        "response.reasoning_summary_text": "text",
        "response.function_call_arguments": "arguments",
        "response.custom_tool_call_input": "input",
    }

    def __init__(self) -> None:
        self.open: dict[str, Any] | None = None
        self.part: dict[str, Any] | None = None
        self.told = ""
        self.whole = False
        """What was told of the open part, or call, was said to be all."""
        self.parts: list[dict[str, Any]] = []
        self.done: list[dict[str, Any]] = []
        self.text = self.refusal = self.thought = ""

    def take(self, event: dict[str, Any]) -> None:
        assert event["output_index"] == len(self.done)
        name, _, act = event["type"].rpartition(".")
        if name == "response.output_item":
            self._item(event["item"], act)
            return
        assert self.open is not None and event["item_id"] == self.open["id"]
        place = event.get("content_index", event.get("summary_index", 0))
        if name in ("response.content_part", "response.reasoning_summary_part"):
            assert place == len(self.parts)
            self._part(event["part"], act)
        elif name == "response.image_generation_call":
            assert self.open["type"] == "image_generation_call"
        elif act == "delta":
            assert not self.whole and place == len(self.parts)
            self._delta(name, event["delta"])
        else:
            assert act == "done" and not self.whole and place == len(self.parts)
            assert event[self.FIELDS[name]] == self.told
            self.whole = True

    def _item(self, item: dict[str, Any], act: str) -> None:
        if act == "added":
            assert self.open is None
            self.open, self.parts, self.told, self.whole = item, [], "", False
            assert item.get("status", "in_progress") == "in_progress" and not item.get("content") and not item.get("summary")
            return
        assert self.open is not None and self.part is None
        assert (item["id"], item["type"]) == (self.open["id"], self.open["type"])
        assert item.get("status", "completed") in ("completed", "incomplete")
        match item["type"]:
            case "message":
                assert item["content"] == self.parts and self.parts
            case "reasoning":
                assert item["summary"] == self.parts
            case "function_call" | "custom_tool_call":
                assert self.whole and item[{"function_call": "arguments"}.get(item["type"], "input")] == self.told
                assert (item["call_id"], item["name"]) == (self.open["call_id"], self.open["name"])
            case kind:
                assert kind in ("image_generation_call", "tool_search_call")
        self.done.append(item)
        self.open = None

    def _part(self, part: dict[str, Any], act: str) -> None:
        words = part.get("text", part.get("refusal"))
        if act == "added":
            assert self.part is None and words == ""
            self.part, self.told, self.whole = part, "", False
            return
        assert self.part is not None and self.whole and part["type"] == self.part["type"] and words == self.told
        self.parts.append(part)
        self.part = None
        self.whole = False

    def _delta(self, name: str, delta: str) -> None:
        assert self.open is not None and delta
        kind = self.part["type"] if self.part is not None else self.open["type"]
        places = {"output_text": "output_text", "refusal": "refusal", "summary_text": "reasoning_summary_text"}
        assert name == "response." + places.get(kind, {"function_call": "function_call_arguments"}.get(kind, "custom_tool_call_input"))
        self.told += delta
        if kind == "output_text":
            self.text += delta
        elif kind == "refusal":
            self.refusal += delta
        elif kind == "summary_text":
            self.thought += delta


def responses_whole(body: bytes) -> Golden:
    """`/v1/responses`, plain."""
    Response.model_validate_json(body, strict=True)
    found = json.loads(body)
    golden = Golden()
    assert len({item["id"] for item in found["output"]}) == len(found["output"])
    for item in found["output"]:
        match item["type"]:
            case "message":
                for part in item["content"]:
                    golden.text += part.get("text", "")
                    golden.refusal += part.get("refusal", "")
            case "reasoning":
                golden.thought += "".join(part["text"] for part in item["summary"])
            case "image_generation_call":
                golden.pictures.append(item["result"])
            case kind:
                custom = kind == "custom_tool_call"
                golden.calls.append(Called(item["call_id"], item["name"], item["input" if custom else "arguments"], custom))
    usage = found["usage"]
    cached, thought = usage["input_tokens_details"]["cached_tokens"], usage["output_tokens_details"]["reasoning_tokens"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    golden.usage = (usage["input_tokens"], cached, usage["output_tokens"], thought)
    reason = (found["incomplete_details"] or {}).get("reason")
    assert (found["status"] == "incomplete") == (reason is not None)
    golden.ending = {"max_output_tokens": "length", "content_filter": "refusal"}.get(
        reason, "tools" if golden.calls else "refusal" if golden.refusal else "end"
    )
    return golden


# gemini


def gemini_stream(stream: bytes, *, shows_usage: bool = True) -> Golden:
    """`:streamGenerateContent?alt=sse`."""
    *chunks, last = events(stream, named=False)
    golden = Golden()
    for chunk in chunks:
        assert "finishReason" not in _candidate(chunk) and "usageMetadata" not in chunk
        _gemini_parts(golden, chunk)
    if "error" in last:
        return Golden(failure=google_error(last), ending="failed")
    assert len({(chunk["responseId"], chunk["modelVersion"]) for chunk in (*chunks, last)}) == 1
    _gemini_parts(golden, last)
    _gemini_ending(golden, last)
    return golden


def _candidate(chunk: dict[str, Any]) -> dict[str, Any]:
    (candidate,) = chunk["candidates"]
    assert candidate["index"] == 0 and candidate["content"]["role"] == "model"
    return dict(candidate)


def _gemini_parts(golden: Golden, chunk: dict[str, Any]) -> None:
    GenerateContentResponse.model_validate_json(json.dumps(chunk))
    for part in _candidate(chunk)["content"]["parts"]:
        (kind,) = part.keys() - {"thought", "thoughtSignature"}
        if kind == "functionCall":
            call = part[kind]
            assert type(call["args"]) is dict and call["name"]
            golden.calls.append(Called(call.get("id", ""), call["name"], json.dumps(call["args"])))
        elif kind == "inlineData":
            golden.pictures.append(part[kind]["data"])
        elif part.get("thought"):
            golden.thought += part["text"]
        else:
            golden.text += part["text"]


def _gemini_ending(golden: Golden, last: dict[str, Any]) -> None:
    finish, usage = _candidate(last)["finishReason"], last["usageMetadata"]
    assert finish in ("STOP", "MAX_TOKENS", "SAFETY")
    golden.ending = {"MAX_TOKENS": "length", "SAFETY": "refusal"}.get(finish, "tools" if golden.calls else "end")
    read, thought = usage["promptTokenCount"], usage.get("thoughtsTokenCount", 0)
    wrote = usage["candidatesTokenCount"] + thought
    assert usage["totalTokenCount"] == read + wrote
    golden.usage = (read, usage.get("cachedContentTokenCount", 0), wrote, thought)


def gemini_whole(body: bytes) -> Golden:
    """`:generateContent`."""
    found, golden = json.loads(body), Golden()
    assert found["responseId"] and found["modelVersion"]
    _gemini_parts(golden, found)
    _gemini_ending(golden, found)
    return golden


def google_error(found: dict[str, Any]) -> str:
    """Google's envelope of errors."""
    error = found["error"]
    assert type(error["code"]) is int and re.fullmatch(r"[A-Z_]+", error["status"])
    return str(error["message"])


def sound_calls(golden: Golden) -> None:
    """Calls that a client can run: told apart by their ids, their arguments JSON objects if the answer is whole.

    What is wrong with them as the provider has sent them may be wrong as the client gets them: that is for models to mind.
    """
    ids = [call.id for call in golden.calls]
    assert len(set(ids)) == len(ids)
    for call in golden.calls:
        if not call.custom and golden.ending == "tools":
            assert type(json.loads(call.text)) is dict


def _picture(url: str) -> str:
    return url.partition(";base64,")[2]


@dataclass(frozen=True)
class Grammar:
    """How a client of one wire reads what it gets."""

    stream: Callable[..., Golden]
    whole: Callable[[bytes], Golden]
    error: Callable[[dict[str, Any]], str]
    """An error's words."""


GRAMMARS = {
    "chat": Grammar(chat_stream, chat_whole, openai_error),
    "messages": Grammar(messages_stream, messages_whole, anthropic_error),
    "responses": Grammar(responses_stream, responses_whole, openai_error),
    "gemini": Grammar(gemini_stream, gemini_whole, google_error),
}
"""By wire. Every side must have one."""

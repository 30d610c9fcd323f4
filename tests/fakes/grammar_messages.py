"""The golden grammar of Messages. Sources: the published reference, and the types of the official SDK."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from anthropic.types import Message, RawMessageStreamEvent

from golden import Called, Golden, by_type, events

STOPS = {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"}
ERRORS = {
    "invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error", "request_too_large",
    "rate_limit_error", "api_error", "timeout_error", "overloaded_error",
}  # fmt: skip
_EVENTS = by_type(RawMessageStreamEvent)


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
        _EVENTS[event["type"]].model_validate_json(json.dumps(event), strict=True)
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
                    assert self.open["input"] == {} and self.open["name"]
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
    assert said["stop_reason"] in STOPS
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
    assert found["type"] == "error" and found["error"]["type"] in ERRORS
    return str(found["error"]["message"])

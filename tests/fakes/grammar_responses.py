"""The golden grammar of Responses. Sources: the published reference, and the types of the official SDK."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from openai.types.responses import Response, ResponseStreamEvent

from golden import Called, Golden, by_type, events

CODES = {"server_is_overloaded", "slow_down", "context_length_exceeded", "insufficient_quota", "usage_not_included"}
"""Codes of failed responses that clients know and the SDK's type does not."""
_EVENTS = by_type(ResponseStreamEvent)


def responses_stream(stream: bytes, *, shows_usage: bool = True) -> Golden:
    """`/v1/responses`, streamed."""
    said = events(stream, named=True)
    assert [event["sequence_number"] for event in said] == list(range(len(said)))
    assert [event["type"] for event in said[:2]] == ["response.created", "response.in_progress"]
    items = _Items()
    for event in said:
        error = event.get("response", {}).get("error") or {}
        if error.get("code") in CODES:
            error["code"] = "server_error"
        _EVENTS[event["type"]].model_validate_json(json.dumps(event), strict=True)
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

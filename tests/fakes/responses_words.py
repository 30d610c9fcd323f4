"""OpenAI's responses, as the API writes and checks them."""

from __future__ import annotations

import json
from typing import Any

from openai.types.responses.response_create_params import ResponseCreateParamsBase, ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from fake_answers import event
from says import Says, misfit, pieces

_BODY: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)
_NAMES = frozenset(ResponseCreateParamsBase.__annotations__) | {"stream"}


def _usage(says: Says) -> dict[str, Any]:
    read = says.fresh + says.cached
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": says.cached, "cache_write_tokens": 0},
        "output_tokens": says.output,
        "output_tokens_details": {"reasoning_tokens": says.reasoning},
        "total_tokens": read + says.output,
    }


def _response(says: Says, body: dict[str, Any], status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    over = status != "in_progress"
    why = {"length": "max_output_tokens", "refusal": "content_filter"}.get(says.stop)
    return {
        "id": "resp_vendor01",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": why} if over and why else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": _usage(says) if over else None,
        "user": None,
        "metadata": {},
    }


def _items(says: Says, body: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if says.thought or says.proof:
        shown = says.thought if (body.get("reasoning") or {}).get("summary") else ""
        thought: dict[str, Any] = {
            "id": "rs_vendor01",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": shown}] if shown else [],
        }
        if "reasoning.encrypted_content" in body.get("include", ()):
            thought["encrypted_content"] = says.proof
        items.append(thought)
    content: list[dict[str, Any]] = []
    if says.text:
        content.append({"type": "output_text", "annotations": [], "logprobs": [], "text": says.text})
    if says.refusal:
        content.append({"type": "refusal", "refusal": says.refusal})
    if content:
        items.append({"id": "msg_vendor01", "type": "message", "status": "completed", "role": "assistant", "content": content})
    for number, call in enumerate(says.calls):
        about = {"id": f"fc_vendor{number}", "type": "function_call", "status": "completed", "call_id": call.id}
        items.append(about | {"name": call.name, "arguments": json.dumps(call.arguments)})
    return items


def _status(says: Says) -> str:
    return "incomplete" if says.stop in ("length", "refusal") else "completed"


def plain(says: Says, body: dict[str, Any]) -> dict[str, Any]:
    """A whole answer."""
    return _response(says, body, _status(says), _items(says, body))


class _Stream:
    def __init__(self) -> None:
        self.events: list[bytes] = []

    def add(self, kind: str, **more: Any) -> None:
        self.events.append(event({"type": kind, "sequence_number": len(self.events), **more}, kind))

    def thought(self, item: dict[str, Any], at: dict[str, Any]) -> None:
        for number, part in enumerate(item["summary"]):
            where = at | {"summary_index": number}
            self.add("response.reasoning_summary_part.added", **where, part={"type": "summary_text", "text": ""})
            for piece in pieces(part["text"]):
                self.add("response.reasoning_summary_text.delta", **where, delta=piece)
            self.add("response.reasoning_summary_text.done", **where, text=part["text"])
            self.add("response.reasoning_summary_part.done", **where, part=part)

    def message(self, item: dict[str, Any], at: dict[str, Any], breaks: str) -> bool:
        for number, part in enumerate(item["content"]):
            where = at | {"content_index": number}
            name, kind = ("text", "output_text") if part["type"] == "output_text" else ("refusal", "refusal")
            more = {"logprobs": []} if name == "text" else {}
            self.add("response.content_part.added", **where, part=part | {name: ""})
            for piece in pieces(part[name]):
                self.add(f"response.{kind}.delta", **where, delta=piece, **more)
            if breaks:
                return False
            self.add(f"response.{kind}.done", **where, **{name: part[name]}, **more)
            self.add("response.content_part.done", **where, part=part)
        return True

    def call(self, item: dict[str, Any], at: dict[str, Any]) -> None:
        for piece in pieces(item["arguments"]):
            self.add("response.function_call_arguments.delta", **at, delta=piece)
        self.add("response.function_call_arguments.done", **at, arguments=item["arguments"], name=item["name"])


def events(says: Says, body: dict[str, Any]) -> list[bytes]:
    """A stream."""
    stream = _Stream()
    begun = _response(says, body, "in_progress", [])
    stream.add("response.created", response=begun)
    stream.add("response.in_progress", response=begun)
    items = _items(says, body)
    for number, item in enumerate(items):
        at = {"item_id": item["id"], "output_index": number}
        empty = {"content": []} if item["type"] == "message" else {"arguments": ""} if item["type"] == "function_call" else {"summary": []}
        status = {} if item["type"] == "reasoning" else {"status": "in_progress"}
        stream.add("response.output_item.added", output_index=number, item=item | empty | status)
        if item["type"] == "reasoning":
            stream.thought(item, at)
        elif item["type"] == "function_call":
            stream.call(item, at)
        elif not stream.message(item, at, says.breaks):
            if says.breaks == "error":
                failed = _response(says, body, "failed", []) | {"error": {"code": "server_error", "message": "It broke."}, "usage": None}
                stream.add("response.failed", response=failed)
            return stream.events
        stream.add("response.output_item.done", output_index=number, item=item)
    status = _status(says)
    stream.add(f"response.{status}", response=_response(says, body, status, items))
    return stream.events


def wrong(body: dict[str, Any]) -> str:
    """What the API would not take."""
    if isinstance(body["input"], str):
        return misfit(_BODY, _NAMES, body)
    if unfit := misfit(_BODY, _NAMES, body | {"input": [_settled(item) for item in body["input"]]}):
        return unfit
    calls: set[str] = set()
    answered: set[str] = set()
    for number, item in enumerate(body["input"]):
        kind = item.get("type", "message")
        if kind == "function_call":
            calls.add(item["call_id"])
        elif kind == "function_call_output":
            if item["call_id"] not in calls:
                return f"No tool call found for function call output with call_id {item['call_id']}."
            answered.add(item["call_id"])
        elif kind == "reasoning":
            if number + 1 == len(body["input"]):
                return f"Item '{item.get('id')}' of type 'reasoning' was provided without its required following item."
            if not item.get("encrypted_content"):
                return "Item of type 'reasoning' not found: items are not persisted when `store` is set to false."
    left = calls - answered
    return f"No tool output found for function call {left}." if left else ""


def _settled(item: dict[str, Any]) -> dict[str, Any]:
    """What the model has said may be given back without what the types demand: Codex does so."""
    if item.get("role") != "assistant" or isinstance(item["content"], str):
        return item
    content = [part | ({"annotations": part.get("annotations", [])} if part["type"] == "output_text" else {}) for part in item["content"]]
    return {"id": "msg_none", "status": "completed", **item, "content": content}

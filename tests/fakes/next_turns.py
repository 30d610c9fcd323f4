"""What clients send next: the answer that they have got, given back as it came, and what their tools have found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from pydantic import TypeAdapter

from golden import events

FOUND = "It is wet."
Body = dict[str, Any]
_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def _chat_gathered(stream: bytes) -> Body:
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in events(stream, named=False)[:-1]:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    return state.current_completion_snapshot.model_dump(mode="json", exclude_none=True, warnings=False)


def _chat_next(body: Body, answer: Body) -> Body:
    message = answer["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": FOUND} for call in message["tool_calls"]]
    return {**body, "messages": [*body["messages"], message, *results]}


def _messages_gathered(stream: bytes) -> Body:
    snapshot: Any = None
    inputs: dict[int, bytes] = {}
    for event in events(stream, named=True):
        snapshot = accumulate_event(event=_EVENT.validate_python(event), current_snapshot=snapshot, json_bufs=inputs)
    found: Body = snapshot.model_dump(mode="json", exclude_none=True, warnings=False)
    return found


def _messages_next(body: Body, answer: Body) -> Body:
    calls = [block for block in answer["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": FOUND} for call in calls]
    said = [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": results}]
    return {**body, "messages": [*body["messages"], *said]}


def _responses_gathered(stream: bytes) -> Body:
    said = events(stream, named=True)
    return {"output": [event["item"] for event in said if event["type"] == "response.output_item.done"]}  # as Codex does


def _responses_next(body: Body, answer: Body) -> Body:
    calls = [item for item in answer["output"] if item["type"] == "function_call"]
    results = [{"type": "function_call_output", "call_id": call["call_id"], "output": FOUND} for call in calls]
    return {**body, "input": [*body["input"], *answer["output"], *results]}


def _gemini_gathered(stream: bytes) -> Body:
    parts = [part for chunk in events(stream, named=False) for part in chunk["candidates"][0]["content"]["parts"]]
    return {"candidates": [{"content": {"role": "model", "parts": parts}}]}


def _gemini_next(body: Body, answer: Body) -> Body:
    content = answer["candidates"][0]["content"]
    calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
    results = [{"functionResponse": {"id": call["id"], "name": call["name"], "response": {"result": FOUND}}} for call in calls]
    return {**body, "contents": [*body["contents"], content, {"role": "user", "parts": results}]}


@dataclass(frozen=True)
class NextTurn:
    """How a client of one wire goes on."""

    gathered: Callable[[bytes], Body]
    """The whole answer, of its stream."""
    asked: Callable[[Body, Body], Body]
    """The next request, of the last one and its answer."""

    def body(self, last: bytes, answer: Body) -> bytes:
        """The next request."""
        return json.dumps(self.asked(json.loads(last), answer)).encode()


NEXT_TURNS = {
    "chat": NextTurn(_chat_gathered, _chat_next),
    "messages": NextTurn(_messages_gathered, _messages_next),
    "responses": NextTurn(_responses_gathered, _responses_next),
    "gemini": NextTurn(_gemini_gathered, _gemini_next),
}
"""By wire."""

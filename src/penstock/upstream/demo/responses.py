"""The responses wire: plain, streamed with its full event grammar, and what was stored of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from penstock.upstream.demo.answer import Answer, RefusedError, Stream, encode, json_answer, named_event
from penstock.upstream.demo.manners import Manners
from penstock.upstream.demo.prose import CACHE_READ, CACHE_WRITE_5M, CREATED, MIDWAY, THOUGHT, Prose, prose, tokens_of, verbatim
from penstock.upstream.demo.request import Request
from penstock.upstream.demo.talk import Call, Message, length_of, reply, tool_call

_STORED_LIMIT = 256 * 1024


class ResponseAsk(msgspec.Struct, gc=False):
    """What is read of a responses request."""

    model: str
    input: str | list[Message] | None = None
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    max_output_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    truncation: str | None = None
    prompt_cache_key: str | None = None
    user: str | None = None

    def messages(self) -> list[Message]:
        """The input as messages."""
        if isinstance(self.input, list):
            return self.input
        return [Message(role="user", content=self.input or "")]


class _Talk(msgspec.Struct, gc=False):
    """Everything that one response is made of. `base` is the response object before it has output."""

    base: dict[str, Any]
    prose: Prose
    call: Call | None
    thinks: bool
    usage: dict[str, Any] | None
    digest: str

    def thought(self, status: str) -> dict[str, Any]:
        summary = [{"type": "summary_text", "text": THOUGHT}] if status == "completed" else []
        return {"id": f"rs_{self.digest}", "type": "reasoning", "summary": summary}

    def item(self, status: str, text: str) -> dict[str, Any]:
        """The item that the prose is told in: a message or a call."""
        if self.call:
            about = {"id": f"fc_{self.digest}", "type": "function_call", "status": status}
            return about | {"call_id": f"call_{self.digest}", "name": self.call.name, "arguments": text}
        content = [] if status == "in_progress" else [_part(text)]
        return {"id": f"msg_{self.digest}", "type": "message", "status": status, "role": "assistant", "content": content}

    @property
    def final(self) -> str:
        return "incomplete" if self.prose.capped else "completed"

    def finished(self) -> dict[str, Any]:
        """The response object with everything in it."""
        output = [self.thought("completed")] if self.thinks else []
        output.append(self.item(self.final, self.prose.text()))
        details = {"reason": "max_output_tokens"} if self.prose.capped else None
        about = {"status": self.final, "completed_at": CREATED + 1, "incomplete_details": details, "output": output}
        return self.base | about | {"usage": self.usage}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _usage(length: int, output: int, reasoning: int, manners: Manners) -> dict[str, Any] | None:
    if not manners.usage:
        return None
    read, written = (CACHE_READ, CACHE_WRITE_5M) if manners.cached else (0, 0)
    asked = tokens_of(length) + read + written
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": output + reasoning,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": asked + output + reasoning,
    }


def _base(ask: ResponseAsk, digest: str) -> dict[str, Any]:
    reasoning = ask.reasoning or {}
    return {
        "id": f"resp_{digest}",
        "object": "response",
        "created_at": CREATED,
        "status": "in_progress",
        "background": bool(ask.background),
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": ask.instructions,
        "max_output_tokens": ask.max_output_tokens,
        "max_tool_calls": None,
        "model": ask.model,
        "output": [],
        "parallel_tool_calls": ask.parallel_tool_calls is not False,
        "previous_response_id": ask.previous_response_id,
        "prompt_cache_key": ask.prompt_cache_key,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": None,
        "service_tier": ask.service_tier if ask.service_tier in ("flex", "priority", "scale") else "default",
        "store": ask.store is not False,
        "temperature": 1.0 if ask.temperature is None else ask.temperature,
        "text": {"format": (ask.text or {}).get("format") or {"type": "text"}, "verbosity": (ask.text or {}).get("verbosity") or "medium"},
        "tool_choice": ask.tool_choice or "auto",
        "tools": ask.tools or [],
        "top_logprobs": 0,
        "top_p": 1.0 if ask.top_p is None else ask.top_p,
        "truncation": ask.truncation or "disabled",
        "usage": None,
        "user": ask.user,
        "metadata": ask.metadata or {},
    }


def _numbered(events: Iterable[dict[str, Any]], start: int) -> Iterator[bytes]:
    for number, event in enumerate(events, start):
        yield named_event({"type": event["type"], "sequence_number": number} | event)


def _thinking(talk: _Talk) -> Iterator[dict[str, Any]]:
    where = {"item_id": f"rs_{talk.digest}", "output_index": 0, "summary_index": 0}
    yield {"type": "response.output_item.added", "output_index": 0, "item": talk.thought("in_progress")}
    yield {"type": "response.reasoning_summary_part.added"} | where | {"part": {"type": "summary_text", "text": ""}}
    yield {"type": "response.reasoning_summary_text.delta"} | where | {"delta": THOUGHT}
    yield {"type": "response.reasoning_summary_text.done"} | where | {"text": THOUGHT}
    yield {"type": "response.reasoning_summary_part.done"} | where | {"part": {"type": "summary_text", "text": THOUGHT}}
    yield {"type": "response.output_item.done", "output_index": 0, "item": talk.thought("completed")}


def _opening(talk: _Talk, where: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": talk.base}
    yield {"type": "response.in_progress", "response": talk.base}
    if talk.thinks:
        yield from _thinking(talk)
    yield {"type": "response.output_item.added", "output_index": where["output_index"], "item": talk.item("in_progress", "")}
    if not talk.call:
        yield {"type": "response.content_part.added"} | where | {"part": _part("")}


def _closing(talk: _Talk, where: dict[str, Any]) -> Iterator[dict[str, Any]]:
    text = talk.prose.text()
    if talk.call:
        yield {"type": "response.function_call_arguments.done"} | where | {"name": talk.call.name, "arguments": text}
    else:
        yield {"type": "response.output_text.done"} | where | {"text": text, "logprobs": []}
        yield {"type": "response.content_part.done"} | where | {"part": _part(text)}
    yield {"type": "response.output_item.done", "output_index": where["output_index"], "item": talk.item(talk.final, text)}
    yield {"type": f"response.{talk.final}", "response": talk.finished()}


def _deltas(talk: _Talk, where: dict[str, Any], start: int) -> Iterator[bytes]:
    name = b"response.function_call_arguments.delta" if talk.call else b"response.output_text.delta"
    before = b'event: %b\ndata: {"type":"%b","sequence_number":' % (name, name)
    middle = b"," + encode(where)[1:-1] + b',"delta":'
    after = b"}\n\n" if talk.call else b',"logprobs":[]}\n\n'
    for number, piece in enumerate(talk.prose.pieces(), start):
        yield b"%b%d%b%b%b" % (before, number, middle, encode(piece), after)


def _stream(talk: _Talk) -> Stream:
    where: dict[str, Any] = {"item_id": talk.item("in_progress", "")["id"], "output_index": int(talk.thinks)}
    if not talk.call:
        where["content_index"] = 0
    opening = list(_numbered(_opening(talk, where), 0))
    first, count = len(opening), talk.prose.count
    error = {"type": "error", "code": "server_error", "message": MIDWAY, "param": None}
    return Stream(
        opening,
        _deltas(talk, where, first),
        count,
        _numbered(_closing(talk, where), first + count),
        next(_numbered([error], first + max(1, count // 2))),
    )


def create(request: Request) -> Answer | Stream:
    """POST /v1/responses."""
    ask = request.read(ResponseAsk)
    manners = request.behave(ask.model, ask.user)
    messages = ask.messages()
    call = tool_call(ask.tools, ask.tool_choice, messages, manners)
    words = reply(messages, (ask.text or {}).get("format"))
    told = verbatim(call.json) if call else prose(words, manners, ask.max_output_tokens)
    thinks = ask.reasoning is not None and ask.reasoning.get("effort") != "none"
    reasoning = tokens_of(len(THOUGHT)) if thinks else 0
    usage = _usage(length_of(messages, ask.tools, ask.instructions or ""), told.tokens, reasoning, manners)
    talk = _Talk(_base(ask, request.digest), told, call, thinks, usage, request.digest)
    if ask.store is not False and told.length <= _STORED_LIMIT:
        stored = talk.finished()
        request.stock.responses.put(stored["id"], stored, len(request.body) + 2 * told.length + 2048)
    return _stream(talk) if ask.stream else json_answer(talk.finished())


def _stored(request: Request) -> dict[str, Any]:
    found = request.stock.responses.get(request.rest)
    if found is None:
        raise RefusedError(404, f"Response with id '{request.rest}' not found.")
    return found


def retrieve(request: Request) -> Answer:
    """GET /v1/responses/{id}."""
    return json_answer(_stored(request))


def delete(request: Request) -> Answer:
    """DELETE /v1/responses/{id}."""
    found = _stored(request)
    request.stock.responses.take(found["id"])
    return json_answer({"id": found["id"], "object": "response", "deleted": True})


def input_tokens(request: Request) -> Answer:
    """POST /v1/responses/input_tokens."""
    ask = request.read(ResponseAsk)
    request.behave(ask.model, ask.user)
    length = length_of(ask.messages(), ask.tools, ask.instructions or "")
    return json_answer({"object": "response.input_tokens", "input_tokens": tokens_of(length)})


ROUTES = {
    ("POST", "/v1/responses"): create,
    ("POST", "/v1/responses/input_tokens"): input_tokens,
    ("GET", "/v1/responses/{}"): retrieve,
    ("DELETE", "/v1/responses/{}"): delete,
}

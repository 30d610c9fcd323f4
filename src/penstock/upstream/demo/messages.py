"""The messages wire: plain, streamed with its full event grammar, counting tokens; and the older complete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.upstream.demo.answer import Answer, RefusedError, Stream, encode, json_answer, named_event
from penstock.upstream.demo.manners import Manners
from penstock.upstream.demo.prose import CACHE_READ, CACHE_WRITE_1H, CACHE_WRITE_5M, THOUGHT, Prose, greeting, prose, tokens_of, verbatim
from penstock.upstream.demo.refusals import refusal_json
from penstock.upstream.demo.request import Request
from penstock.upstream.demo.talk import Call, Message, Part, length_of, reply, tool_call

_PING = named_event({"type": "ping"})
_SIGNATURE = "ZGVtby1zaWduYXR1cmU="


class MessagesAsk(msgspec.Struct, gc=False):
    """What is read of a messages request; `max_tokens` may only be absent when tokens are counted."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    system: str | list[Part] | None = None
    stream: bool | None = None
    thinking: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None

    def length(self) -> int:
        """Characters of the whole input."""
        system = self.system if isinstance(self.system, str) else "".join(part.text or "" for part in self.system or ())
        return length_of(self.messages, self.tools, system)

    def pace(self) -> str | None:
        """Where the pace may be written beside the model's name."""
        user = self.user or (self.metadata or {}).get("user_id")
        return user if isinstance(user, str) else None


class CompleteAsk(msgspec.Struct, gc=False):
    """What is read of a complete request."""

    model: str
    prompt: str
    max_tokens_to_sample: int
    stream: bool | None = None
    metadata: dict[str, Any] | None = None


class _Talk(msgspec.Struct, gc=False):
    """Everything that one message is made of."""

    id: str
    model: str
    prose: Prose
    call: Call | None
    thinks: bool
    input_usage: dict[str, Any]
    shows_usage: bool

    @property
    def reason(self) -> str:
        return "max_tokens" if self.prose.capped else "tool_use" if self.call else "end_turn"

    @property
    def output_tokens(self) -> int:
        return self.prose.tokens + (tokens_of(len(THOUGHT)) if self.thinks else 0)

    def details(self) -> dict[str, Any]:
        """The breakdown of the output, when there is something to break down."""
        return {"output_tokens_details": {"thinking_tokens": tokens_of(len(THOUGHT))}} if self.thinks else {}

    def block(self, empty: bool) -> dict[str, Any]:
        """The block that the prose is told in."""
        if self.call:
            return {"type": "tool_use", "id": "toolu_" + self.id[4:], "name": self.call.name, "input": {} if empty else self.call.arguments}
        return {"type": "text", "text": "" if empty else self.prose.text()}

    def message(self, content: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
        """The message object; `reason` None is the one that a stream begins with, before there is any output."""
        about: dict[str, Any] = {"id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": content}
        about |= {"stop_reason": reason, "stop_sequence": None}
        if self.shows_usage:
            output = {"output_tokens": self.output_tokens} | self.details() if reason else {"output_tokens": 1}
            about["usage"] = self.input_usage | output | {"service_tier": "standard"}
        return about


def _input_usage(length: int, manners: Manners) -> dict[str, Any]:
    read, short, long = (CACHE_READ, CACHE_WRITE_5M, CACHE_WRITE_1H) if manners.cached else (0, 0, 0)
    return {
        "input_tokens": tokens_of(length),
        "cache_creation_input_tokens": short + long,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
    }


def _thought() -> dict[str, Any]:
    return {"type": "thinking", "thinking": THOUGHT, "signature": _SIGNATURE}


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return named_event({"type": "content_block_delta", "index": index, "delta": delta})


def _opening(talk: _Talk) -> Iterator[bytes]:
    yield named_event({"type": "message_start", "message": talk.message([], None)})
    index = 0
    if talk.thinks:
        yield named_event({"type": "content_block_start", "index": 0, "content_block": _thought() | {"thinking": "", "signature": ""}})
        yield _PING
        yield _delta(0, {"type": "thinking_delta", "thinking": THOUGHT})
        yield _delta(0, {"type": "signature_delta", "signature": _SIGNATURE})
        yield named_event({"type": "content_block_stop", "index": 0})
        index = 1
    yield named_event({"type": "content_block_start", "index": index, "content_block": talk.block(empty=True)})
    if not talk.thinks:
        yield _PING


def _deltas(talk: _Talk) -> Iterator[bytes]:
    kind, field = ("input_json_delta", "partial_json") if talk.call else ("text_delta", "text")
    start = f'{{"type":"content_block_delta","index":{int(talk.thinks)},"delta":{{"type":"{kind}","{field}":'
    before = b"event: content_block_delta\ndata: " + start.encode()
    for piece in talk.prose.pieces():
        yield before + encode(piece) + b"}}\n\n"


def _closing(talk: _Talk) -> Iterator[bytes]:
    yield named_event({"type": "content_block_stop", "index": int(talk.thinks)})
    usage = talk.input_usage | {"output_tokens": talk.output_tokens} | talk.details()
    usage.pop("cache_creation")
    shown = {"usage": usage} if talk.shows_usage else {}
    yield named_event({"type": "message_delta", "delta": {"stop_reason": talk.reason, "stop_sequence": None}} | shown)
    yield named_event({"type": "message_stop"})


def _error(request: Request) -> bytes:
    return named_event(refusal_json("anthropic", RefusedError(529, "Overloaded"), request.digest))


def create(request: Request) -> Answer | Stream:
    """POST /v1/messages."""
    ask = request.read(MessagesAsk)
    manners = request.behave(ask.model, ask.pace())
    if ask.max_tokens is None:
        raise RefusedError(400, "max_tokens: Field required")
    if not ask.messages:
        raise RefusedError(400, "messages: at least one message is required")
    call = tool_call(ask.tools, ask.tool_choice, ask.messages, manners)
    words = reply(ask.messages, (ask.output_config or {}).get("format"))
    talk = _Talk(
        id=f"msg_{request.digest}",
        model=ask.model,
        prose=verbatim(call.json) if call else prose(words, manners, ask.max_tokens),
        call=call,
        thinks=(ask.thinking or {}).get("type") in ("enabled", "adaptive"),
        input_usage=_input_usage(ask.length(), manners),
        shows_usage=manners.usage,
    )
    if ask.stream:
        return Stream(_opening(talk), _deltas(talk), talk.prose.count, _closing(talk), _error(request))
    content = [_thought()] if talk.thinks else []
    return json_answer(talk.message([*content, talk.block(empty=False)], talk.reason))


def count_tokens(request: Request) -> Answer:
    """POST /v1/messages/count_tokens: messages, system and tools."""
    ask = request.read(MessagesAsk)
    request.behave(ask.model, ask.pace())
    return json_answer({"input_tokens": tokens_of(ask.length())})


def complete(request: Request) -> Answer | Stream:
    """POST /v1/complete."""
    ask = request.read(CompleteAsk)
    user = (ask.metadata or {}).get("user_id")
    manners = request.behave(ask.model, user if isinstance(user, str) else None)
    told = prose(greeting(ask.prompt), manners, ask.max_tokens_to_sample)
    about = {"type": "completion", "id": f"compl_{request.digest}", "model": ask.model}
    reason = "max_tokens" if told.capped else "stop_sequence"
    if not ask.stream:
        return json_answer(about | {"completion": told.text(), "stop_reason": reason, "stop": None})
    pieces = (named_event(about | {"completion": piece, "stop_reason": None, "stop": None}) for piece in told.pieces())
    last = named_event(about | {"completion": "", "stop_reason": reason, "stop": None})
    return Stream([_PING], pieces, told.count, [last], _error(request))


ROUTES = {
    ("POST", "/v1/messages"): create,
    ("POST", "/v1/messages/count_tokens"): count_tokens,
    ("POST", "/v1/complete"): complete,
}

"""Chat completions, and the older completions: plain and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.upstream.demo.answer import Answer, RefusedError, Stream, data_event, encode, json_answer
from penstock.upstream.demo.manners import Manners
from penstock.upstream.demo.prose import CACHE_READ, CACHE_WRITE_5M, CREATED, MIDWAY, THOUGHT, Prose, greeting, prose, tokens_of, verbatim
from penstock.upstream.demo.refusals import refusal_json
from penstock.upstream.demo.request import Request
from penstock.upstream.demo.talk import Call, Message, length_of, reply, tool_call

_CHOICES_LIMIT = 128
_DONE = b"data: [DONE]\n\n"


class ChatAsk(msgspec.Struct, gc=False):
    """What is read of a chat completions request."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    service_tier: str | None = None
    user: str | None = None


class CompletionAsk(msgspec.Struct, gc=False):
    """What is read of a completions request."""

    model: str
    prompt: str | list[str | int | list[int]] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    n: int | None = None
    max_tokens: int | None = None
    user: str | None = None


class _Talk(msgspec.Struct, gc=False):
    """Everything that one answer is made of."""

    about: dict[str, Any]
    """The fields that the answer and every chunk of it share."""
    prose: Prose
    choices: int
    usage: dict[str, Any] | None
    shows_usage: bool
    """The stream's last chunk carries the usage."""
    call: Call | None = None

    @property
    def reason(self) -> str:
        return "length" if self.prose.capped else "tool_calls" if self.call else "stop"


def _usage(length: int, output: int, reasoning: int, manners: Manners) -> dict[str, Any] | None:
    if not manners.usage:
        return None
    read, written = (CACHE_READ, CACHE_WRITE_5M) if manners.cached else (0, 0)
    prompt = tokens_of(length) + read + written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output + reasoning,
        "total_tokens": prompt + output + reasoning,
        "prompt_tokens_details": {"cached_tokens": read, "audio_tokens": 0, "cache_write_tokens": written},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _about(name: str, model: str) -> dict[str, Any]:
    return {"id": name, "created": CREATED, "model": model, "system_fingerprint": "fp_demo"}


def _choices(n: int | None) -> int:
    if n is not None and not 1 <= n <= _CHOICES_LIMIT:
        raise RefusedError(400, f"'n' must be between 1 and {_CHOICES_LIMIT}.", param="n")
    return n or 1


def _error(request: Request) -> bytes:
    return data_event(refusal_json("openai", RefusedError(500, MIDWAY), request.digest))


def _shows_usage(options: dict[str, Any] | None) -> bool:
    return bool(options and options.get("include_usage"))


def _prefix(talk: _Talk, kind: str, index: int) -> bytes:
    """A chunk up to the first key of its choice, so that a delta costs two concatenations."""
    return b"data: " + encode({"id": talk.about["id"], "object": kind} | talk.about)[:-1] + b',"choices":[{"index":%d,' % index


def _chunks(talk: _Talk, kind: str, before: bytes, after: bytes) -> Iterator[bytes]:
    """The deltas: one SSE event per choice, together. `before` and `after` enclose the JSON string of the piece."""
    tail = after + (b'}],"usage":null}\n\n' if talk.shows_usage else b"}]}\n\n")
    prefixes = [_prefix(talk, kind, index) + before for index in range(talk.choices)]
    if talk.choices == 1:
        prefix = prefixes[0]
        for piece in talk.prose.pieces():
            yield prefix + encode(piece) + tail
        return
    for piece in talk.prose.pieces():
        middle = encode(piece) + tail
        yield b"".join(prefix + middle for prefix in prefixes)


def _closing(talk: _Talk, kind: str, last: dict[str, Any]) -> Iterator[bytes]:
    about = {"id": talk.about["id"], "object": kind} | talk.about
    empty = {"usage": None} if talk.shows_usage else {}
    for index in range(talk.choices):
        yield data_event(about | {"choices": [{"index": index} | last]} | empty)
    if talk.shows_usage and talk.usage is not None:
        yield data_event(about | {"choices": [], "usage": talk.usage})
    yield _DONE


def _chat_stream(talk: _Talk, request: Request) -> Stream:
    kind = "chat.completion.chunk"
    about = {"id": talk.about["id"], "object": kind} | talk.about
    first: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
    before, after = b'"delta":{"content":', b'},"logprobs":null,"finish_reason":null'
    if talk.call:
        started = {"index": 0, "id": _call_id(talk), "type": "function", "function": {"name": talk.call.name, "arguments": ""}}
        first = {"role": "assistant", "content": None, "tool_calls": [started]}
        before, after = b'"delta":{"tool_calls":[{"index":0,"function":{"arguments":', b'}}]},"logprobs":null,"finish_reason":null'
    empty = {"usage": None} if talk.shows_usage else {}
    opening = [
        data_event(about | {"choices": [{"index": index, "delta": first, "logprobs": None, "finish_reason": None}]} | empty)
        for index in range(talk.choices)
    ]
    last: dict[str, Any] = {"delta": {}, "logprobs": None, "finish_reason": talk.reason}
    return Stream(opening, _chunks(talk, kind, before, after), talk.prose.count, _closing(talk, kind, last), _error(request))


def _call_id(talk: _Talk) -> str:
    return "call_" + str(talk.about["id"]).removeprefix("chatcmpl-")


def _chat_answer(talk: _Talk) -> Answer:
    message: dict[str, Any] = {"role": "assistant", "content": None if talk.call else talk.prose.text(), "refusal": None, "annotations": []}
    if talk.call:
        function = {"name": talk.call.name, "arguments": talk.prose.text()}
        message["tool_calls"] = [{"id": _call_id(talk), "type": "function", "function": function}]
    choices = [{"index": index, "message": message, "logprobs": None, "finish_reason": talk.reason} for index in range(talk.choices)]
    usage = {} if talk.usage is None else {"usage": talk.usage}
    return json_answer({"id": talk.about["id"], "object": "chat.completion"} | talk.about | {"choices": choices} | usage)


def chat(request: Request) -> Answer | Stream:
    """POST /v1/chat/completions."""
    ask = request.read(ChatAsk)
    manners = request.behave(ask.model, ask.user)
    if not ask.messages:
        raise RefusedError(400, "Invalid 'messages': empty array.", code="empty_array", param="messages")
    call = tool_call(ask.tools, ask.tool_choice, ask.messages, manners)
    cap = ask.max_completion_tokens if ask.max_completion_tokens is not None else ask.max_tokens
    told = verbatim(call.json) if call else prose(reply(ask.messages, ask.response_format), manners, cap)
    choices = _choices(ask.n)
    reasoning = tokens_of(len(THOUGHT)) if ask.reasoning_effort not in (None, "none") else 0
    tier = ask.service_tier if ask.service_tier in ("flex", "priority", "scale") else "default"
    talk = _Talk(
        about=_about(f"chatcmpl-{request.digest}", ask.model) | {"service_tier": tier},
        prose=told,
        choices=choices,
        usage=_usage(length_of(ask.messages, ask.tools), told.tokens * choices, reasoning * choices, manners),
        shows_usage=_shows_usage(ask.stream_options),
        call=call,
    )
    return _chat_stream(talk, request) if ask.stream else _chat_answer(talk)


def _prompt(prompt: str | list[str | int | list[int]] | None) -> tuple[str, int]:
    """The text of a prompt, and its length in characters; given tokens count as four each."""
    if isinstance(prompt, str) or prompt is None:
        return prompt or "", len(prompt or "")
    texts = [one for one in prompt if isinstance(one, str)]
    ids = sum(len(one) if isinstance(one, list) else 1 for one in prompt if not isinstance(one, str))
    return "\n".join(texts), sum(map(len, texts)) + 4 * ids


def completions(request: Request) -> Answer | Stream:
    """POST /v1/completions."""
    ask = request.read(CompletionAsk)
    manners = request.behave(ask.model, ask.user)
    text, length = _prompt(ask.prompt)
    told = prose(greeting(text), manners, ask.max_tokens)
    choices = _choices(ask.n)
    talk = _Talk(
        about=_about(f"cmpl-{request.digest}", ask.model),
        prose=told,
        choices=choices,
        usage=_usage(length, told.tokens * choices, 0, manners),
        shows_usage=_shows_usage(ask.stream_options),
    )
    kind = "text_completion"
    if ask.stream:
        last = {"text": "", "logprobs": None, "finish_reason": talk.reason}
        deltas = _chunks(talk, kind, b'"text":', b',"logprobs":null,"finish_reason":null')
        return Stream((), deltas, told.count, _closing(talk, kind, last), _error(request))
    answers = [{"text": told.text(), "index": index, "logprobs": None, "finish_reason": talk.reason} for index in range(choices)]
    usage = {} if talk.usage is None else {"usage": talk.usage}
    return json_answer({"id": talk.about["id"], "object": kind} | talk.about | {"choices": answers} | usage)


ROUTES = {("POST", "/v1/chat/completions"): chat, ("POST", "/v1/completions"): completions}

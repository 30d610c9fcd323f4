"""Streams of Workers AI, put right: chunks that strict clients take, whatever shape, order or repetition they come in."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.sse import payload
from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.bridges.workers.answers import Known, completion, reason, text_of, usage_of
from penstock.upstream.bridges.workers.calls import Leak, argument_text, new_id
from penstock.upstream.bridges.workers.failures import error_object, failure_in, unreadable
from penstock.upstream.bridges.workers.thinking import Thinking
from penstock.upstream.dialects.text import clean

_ENCODE = msgspec.json.Encoder().encode
_DONE = b"data: [DONE]\n\n"
_BROKEN = Failure(502, "Workers AI ended the stream before the answer was whole.", "upstream_broken")


class Chunk(msgspec.Struct, gc=False):
    """What is read of an event. Anything may be anything."""

    id: Any = None
    created: Any = None
    model: Any = None
    choices: Any = None
    usage: Any = None
    response: Any = None
    tool_calls: Any = None
    finish_reason: Any = None
    error: Any = None
    errors: Any = None
    result: Any = None
    success: Any = None
    name: Any = None


_CHUNK = msgspec.json.Decoder(Chunk)
_INSIDE = ("id", "created", "model", "choices", "usage", "response", "tool_calls", "finish_reason")
"""What an event in Cloudflare's envelope may have inside."""


class Repair:
    """One stream on its way: events of Workers AI in, chunks of a chat completion out."""

    __slots__ = ("_calls", "_head", "_known", "_leak", "_out", "_reason", "_said", "_shows", "_thinking", "_usage", "ended")

    def __init__(self, known: Known, *, shows_usage: bool) -> None:
        self._known = known
        self._shows = shows_usage
        self._head = b""
        """What every chunk begins with: its id, time and model are those of the first one. Empty before that."""
        self._out: list[bytes] = []
        self._thinking = Thinking()
        self._leak = Leak(known.tools)
        self._calls = _Calls()
        self._reason: Any = None
        self._said = False
        self._usage: dict[str, Any] | None = None
        self.ended = False

    def event(self, event: bytes) -> bytes:
        """One event, put right: none, one or several chunks."""
        if self.ended:
            return b""
        data = payload(event.rstrip(b"\r\n"))
        if data.startswith(b"[DONE]"):
            self._end()
        elif data:
            try:
                chunk = _CHUNK.decode(data)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                return b""
            failure = _failure(chunk, data)
            if failure is None:
                self._take(chunk)
            else:
                self._fail(failure)
        elif not self._head and event.lstrip()[:1] == b"{":
            return self._instead(event)
        return self._taken()

    def _instead(self, body: bytes) -> bytes:
        """JSON that is labelled as a stream."""
        answer = completion(body, self._known)
        if not isinstance(answer, Failure):
            return self.tell(answer)
        self._fail(answer)
        return self._taken()

    def over(self) -> bytes:
        """The stream has ended: in good order if it had given a reason, whatever marks are missing."""
        if not self.ended:
            if self._reason is None:
                self._fail(_BROKEN)
            else:
                self._end()
        return self._taken()

    def tell(self, answer: dict[str, Any]) -> bytes:
        """A whole chat completion as a stream."""
        choice = answer["choices"][0]
        self._take(Chunk(answer["id"], answer["created"], answer["model"], usage=answer.get("usage")))
        message = choice["message"]
        self._thought(message.get("reasoning_content") or "")
        self._write(message["content"] or "")
        for call in message.get("tool_calls", ()):
            self._call(call)
        self._reason = choice["finish_reason"]
        self._end()
        return self._taken()

    def _take(self, chunk: Chunk) -> None:
        if not self._head:
            self._begin(chunk)
        if chunk.usage is not None:
            self._usage = usage_of({"usage": chunk.usage}) or self._usage
        choices = chunk.choices
        if type(choices) is list:
            if choices and type(choices[0]) is dict:
                self._choice(choices[0])
            return
        if type(inner := chunk.result) is dict:
            self._take(Chunk(**{name: inner[name] for name in _INSIDE if name in inner}))
            return
        if chunk.response is not None:
            self._text(text_of(chunk.response))
        self._tools(chunk.tool_calls)
        self._finish(chunk.finish_reason)

    def _choice(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        if type(delta) is not dict:
            delta = choice.get("message")
        if type(delta) is dict:
            content = delta.get("content")
            if content is not None and content != "":
                self._text(content if type(content) is str else text_of(content))
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            if thought:
                self._thought(text_of(thought))
            if (calls := delta.get("tool_calls")) is not None:
                self._tools(calls)
        elif choice.get("text") is not None:
            self._text(text_of(choice["text"]))
        self._finish(choice.get("finish_reason"))

    def _finish(self, given: Any) -> None:
        # The first reason counts: some models repeat "stop" in every frame after it. Only calls are known better later.
        if isinstance(given, str) and given and (self._reason is None or given == "tool_calls"):
            self._reason = given

    def _begin(self, chunk: Chunk) -> None:
        known = self._known
        answer_id = chunk.id if isinstance(chunk.id, str) and chunk.id else known.answer_id
        created = chunk.created if type(chunk.created) is int and chunk.created > 0 else known.created
        model = chunk.model if isinstance(chunk.model, str) and chunk.model else known.model
        head = _ENCODE({"id": clean(answer_id), "object": "chat.completion.chunk", "created": created, "model": clean(model)})
        self._head = b"data: " + head[:-1]
        self._delta(b'"role":"assistant","content":""')
        self._said = False

    def _text(self, text: str) -> None:
        if not self._thinking.settled:
            thought, text = self._thinking.more(text)
            if thought:
                self._thought(thought)
        if text and self._leak.open:
            text = self._leak.more(text)
        if text:
            self._write(text)

    def _write(self, text: str) -> None:
        if text:
            self._delta(b'"content":%b' % _ENCODE(text))

    def _thought(self, text: str) -> None:
        if text:
            self._delta(b'"reasoning_content":%b' % _ENCODE(text))

    def _tools(self, found: Any) -> None:
        for call in found if type(found) is list else ():
            if type(call) is dict:
                self._call(call)

    def _call(self, call: dict[str, Any]) -> None:
        piece = self._calls.piece(call)
        if piece is not None:
            self._delta(b'"tool_calls":[%b]' % _ENCODE(piece))

    def _delta(self, members: bytes) -> None:
        self._said = True
        self._out.append(b'%b,"choices":[{"index":0,"delta":{%b},"logprobs":null,"finish_reason":null}]}\n\n' % (self._head, members))

    def _end(self) -> None:
        if self._head:
            self._let_go()
        if not self._said and self._reason is None:
            self._fail(unreadable("a stream without an answer in it"))
            return
        why = reason(self._reason, calls=self._calls.any)
        last = b'"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":%b}]}' % _ENCODE(why)
        self._out.append(b"%b,%b\n\n" % (self._head, last))
        if self._shows and self._usage is not None:
            self._out.append(b'%b,"choices":[],"usage":%b}\n\n' % (self._head, _ENCODE(self._usage)))
        self._out.append(_DONE)
        self.ended = True

    def _let_go(self) -> None:
        """Say what was held back because it might have been something else."""
        thought, text = self._thinking.rest()
        self._thought(thought)
        if not self._leak.open:
            self._write(text)
            return
        self._write(self._leak.more(text))
        calls, text = self._leak.end()
        self._write(text)
        for call in calls:
            self._call(call)

    def _fail(self, failure: Failure) -> None:
        self._out.append(b"data: %b\n\n" % _ENCODE({"error": error_object(failure)}))
        self.ended = True

    def _taken(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        return out


class _Calls:
    """The calls of a stream: which have begun, under which index, so that each has one id and one name."""

    __slots__ = ("_ids", "_ours")

    def __init__(self) -> None:
        self._ours: dict[Any, int] = {}
        """Our index by theirs; theirs may be missing, or the same for all."""
        self._ids: list[str] = []

    @property
    def any(self) -> bool:
        """A call has begun."""
        return bool(self._ids)

    def piece(self, call: dict[str, Any]) -> dict[str, Any] | None:
        """A delta of one call as it is to be written; None for one that says nothing."""
        function = call.get("function")
        function = function if isinstance(function, dict) else call
        name, given, call_id = function.get("name"), function.get("arguments"), call.get("id")
        named = isinstance(name, str) and bool(name)
        theirs = call.get("index")
        theirs = theirs if type(theirs) is int else None
        index = self._ours.get(theirs)
        call_id = call_id if isinstance(call_id, str) and call_id else None
        # Without an index a name begins a call; with one, another id does: some models give every call the same index.
        if named and (index is None or (call_id != self._ids[index] if call_id is not None else theirs is None)):
            index = self._ours[theirs] = len(self._ids)
            self._ids.append(call_id or new_id())
            about = {"name": name, "arguments": argument_text(given)}
            return {"index": index, "id": self._ids[index], "type": "function", "function": about}
        if index is None:
            index = len(self._ids) - 1
        arguments = argument_text(given)
        if index < 0 or not arguments:
            return None
        return {"index": index, "function": {"arguments": arguments}}


def _failure(chunk: Chunk, data: bytes) -> Failure | None:
    """The error that an event states."""
    if chunk.error is None and not chunk.errors and chunk.success is not False and chunk.name != "AiError":
        return None
    return failure_in(msgspec.json.decode(data))


def replayed(body: bytes, known: Known, *, shows_usage: bool) -> bytes | None:
    """A whole answer, sent where a stream was asked for, as a stream; None if it is none."""
    answer = completion(body, known)
    return None if isinstance(answer, Failure) else Repair(known, shows_usage=shows_usage).tell(answer)

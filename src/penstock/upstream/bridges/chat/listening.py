"""Listening: a provider's stream of chunks, as OpenAI sends it and as those do that copy it badly."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.ids import new_id
from penstock.kit.sse import payload
from penstock.upstream.bridges.chat import details, failures, figures, said
from penstock.upstream.bridges.chat.turns_in import signature_of
from penstock.upstream.bridges.conversation import Failure, Image, Refusal, Stop, Text
from penstock.upstream.bridges.side import Teller
from penstock.upstream.usage import Usage

_DONE = b"[DONE]"
_TOKENS = b'_tokens"'


class Delta(msgspec.Struct, gc=False):
    """What is read of a delta; of what type a field is shows only when it is used."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    images: Any = None


class Choice(msgspec.Struct, gc=False):
    """What is read of a choice."""

    index: Any = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: Any = None


class Chunk(msgspec.Struct, gc=False):
    """What is read of an event."""

    id: Any = None
    model: Any = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    service_tier: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(Chunk).decode
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class _Call:
    """A tool call on its way. It is told of as soon as its name is known."""

    __slots__ = ("custom", "held", "id", "index", "named")

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = self.held = ""
        self.named = self.custom = False


class ChatListener:
    """Reads chunks. The reply is over at `[DONE]`, or with the stream, so that what is said of its usage last is known."""

    __slots__ = ("_begun", "_calls", "_count", "_last", "_over", "_plain", "_refused", "_stop", "_teller", "_tier", "_usage")

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._begun = self._over = self._plain = self._refused = False
        self._stop: Stop | None = None
        self._usage: Usage | None = None
        self._tier: Any = None
        self._calls: dict[int | str, _Call] = {}
        self._last: _Call | None = None
        self._count = 0

    def event(self, event: bytes) -> None:
        """One event."""
        if self._over:
            return
        data = payload(event.rstrip(b"\r\n"))
        if data.startswith(_DONE):
            self._finish(marked=True)
            return
        chunk = _read(data) if data else None
        if chunk is None:
            return
        if chunk.error or event.startswith(b"event: error"):
            self._fail(data)
            return
        if chunk.choices:
            if not self._begun:
                self._begun = True
                self._teller.begin(said.word(chunk.id), said.word(chunk.model))
            for choice in chunk.choices:
                if choice.index == 0 or choice.index is None:
                    self._choice(choice)
        self._tier = chunk.service_tier or self._tier
        if _TOKENS in bytes(chunk.usage):
            # Some state it in every chunk: it is for all so far, so the last counts.
            self._usage = figures.read(bytes(chunk.usage), self._tier) or self._usage

    def over(self) -> None:
        """The stream has ended."""
        if not self._over:
            self._finish(marked=False)

    def _choice(self, choice: Choice) -> None:
        delta = choice.delta or choice.message
        if delta is not None:
            self._delta(delta)
        if not choice.finish_reason:
            return
        stop = said.stop_of(choice.finish_reason)
        if stop == "error":
            self._over = True
            self._teller.fail(Failure(502, "The provider ended its answer with an error that it does not name.", "upstream_broken"))
        elif self._stop in (None, "end"):
            self._stop = stop

    def _delta(self, delta: Delta) -> None:
        teller = self._teller
        if delta.reasoning_content or delta.reasoning or delta.reasoning_details:
            self._thought(delta)
        content = delta.content
        if type(content) is str:
            if content:
                teller.text(content)
        elif content is not None:
            self._pieces(content)
        if delta.refusal and type(delta.refusal) is str:
            self._refused = True
            teller.refusal(delta.refusal)
        if isinstance(delta.images, list):
            for one in delta.images:
                if (image := said.picture(one)) is not None:
                    teller.image(image)
        if isinstance(delta.tool_calls, list):
            for call in delta.tool_calls:
                if isinstance(call, dict):
                    self._tool(call)
        if isinstance(delta.function_call, dict):
            self._tool({"index": "function_call", "function": delta.function_call})

    def _thought(self, delta: Delta) -> None:
        # Who says it in words as well may repeat it in a detail at the end.
        text = said.reasoning(delta.reasoning_content, delta.reasoning, None if self._plain else delta.reasoning_details)
        self._plain = self._plain or bool(delta.reasoning_content or delta.reasoning)
        if text:
            self._teller.thought(text)
        if not isinstance(delta.reasoning_details, list):
            return
        for detail in delta.reasoning_details:
            proof = details.proof_of(detail) if isinstance(detail, dict) else ""
            if proof and said.word(detail.get("data")):
                self._teller.redacted(proof, "chat", said.word(detail.get("id")))
            elif proof:
                self._teller.signed(proof, "chat")

    def _pieces(self, content: Any) -> None:
        for piece in said.pieces(content):
            match piece:
                case Text():
                    self._teller.text(piece.text)
                case Image():
                    self._teller.image(piece)
                case Refusal():
                    self._refused = True
                    self._teller.refusal(piece.text)
                case _:
                    self._teller.thought(piece.text)

    def _tool(self, delta: dict[str, Any]) -> None:
        custom, function = delta.get("custom"), delta.get("function")
        inner = custom if isinstance(custom, dict) else function if isinstance(function, dict) else delta
        name, call_id = said.word(inner.get("name")), said.word(delta.get("id"))
        call = self._found(delta.get("index"), call_id, name)
        if call is None:
            return
        text = said.as_text(inner.get("input" if inner is custom else "arguments"))
        if not call.named:
            call.id = call.id or call_id
            if not name:
                call.held += text
                return
            call.named = True
            call.id = call.id or new_id("call")
            signature = signature_of(delta.get("extra_content"))
            self._teller.tool(call.index, call.id, name, custom=inner is custom, signature=signature)
            text = call.held + text
        if text:
            self._teller.arguments(call.index, text)

    def _found(self, index: Any, call_id: str, name: str) -> _Call | None:
        """The call that a delta belongs to: by its index, else by its id, else the last. Without a name there is no new one.

        Google's door for OpenAI's clients gives calls that are made together the same index; their ids tell them apart.
        """
        key: int | str = index if isinstance(index, int | str) else call_id
        call = self._calls.get(key) if key != "" else None if name else self._last
        another = call is not None and call.named and name and call_id and call_id != call.id
        if another or (call is None and (name or isinstance(index, int | str))):
            call = self._new(key)
        self._last = call or self._last
        return call or self._last

    def _new(self, key: int | str) -> _Call:
        self._calls[key] = call = _Call(self._count)
        self._count += 1
        return call

    def _fail(self, data: bytes) -> None:
        self._over = True
        found = failures.read_failure(502, data)
        error = msgspec.json.decode(data)
        inner = error.get("error") if isinstance(error, dict) else None
        status = inner.get("code", inner.get("status")) if isinstance(inner, dict) else None
        if isinstance(status, int) and 400 <= status < 600:
            found.status = status
        self._teller.fail(found)

    def _finish(self, *, marked: bool) -> None:
        self._over = True
        if not self._begun or (self._stop is None and not marked):
            what = "broke its answer off" if self._begun else "answered with an empty stream"
            self._teller.fail(Failure(502, f"The provider {what}.", "upstream_broken"))
            return
        calls = any(call.named for call in self._calls.values())
        stop = said.settled(self._stop or "end", calls=calls, refused=self._refused)
        self._teller.end(stop, self._usage or Usage())


def _read(data: bytes) -> Chunk | None:
    try:
        return _decode(data)
    except msgspec.ValidationError:
        return _salvaged(data)
    except _UNREADABLE:
        return None


def _salvaged(data: bytes) -> Chunk | None:
    """What can be read of a chunk in which something is of another type."""
    try:
        found = msgspec.json.decode(data)
    except _UNREADABLE:
        return None
    if not isinstance(found, dict):
        return None
    chunk = Chunk(found.get("id"), found.get("model"), service_tier=found.get("service_tier"), error=found.get("error"))
    chunk.usage = msgspec.Raw(figures.encoded(found.get("usage")))
    choices = found.get("choices")
    chunk.choices = [_choice(one) for one in choices if isinstance(one, dict)] if isinstance(choices, list) else None
    return chunk


def _choice(value: dict[str, Any]) -> Choice:
    delta = value.get("delta", value.get("message"))
    read = msgspec.convert(delta, Delta) if isinstance(delta, dict) else None
    return Choice(value.get("index", 0), read, finish_reason=value.get("finish_reason"))

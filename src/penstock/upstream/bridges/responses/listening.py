"""Listening: a provider's stream of response events, read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from penstock.kit.sse import payload
from penstock.upstream.bridges.conversation import Failure, Image, Part, Refusal, Stop, Text, Thought, ToolCall
from penstock.upstream.bridges.responses.failures import failure_of
from penstock.upstream.bridges.responses.output import call_of, parts_of_item, thought_of
from penstock.upstream.bridges.responses.replies import stop_of, usage_in
from penstock.upstream.bridges.side import Teller
from penstock.upstream.usage import Usage


class Heard(msgspec.Struct, gc=False):
    """What is read of an event."""

    type: str = ""
    delta: Any = None
    output_index: Any = None
    item_id: Any = None
    summary_index: Any = None
    item: Any = None
    response: msgspec.Raw = msgspec.Raw()
    error: Any = None
    code: Any = None
    message: Any = None
    param: Any = None


class Known:
    """What was heard of one item."""

    __slots__ = ("call", "content", "length", "part")

    def __init__(self) -> None:
        self.length = 0
        """So much of its text or arguments has been told."""
        self.part = -1
        """The part of the summary that was told last."""
        self.content = False
        """Its reasoning is told in full, not as a summary."""
        self.call: ToolCall | None = None


_HEARD = msgspec.json.Decoder(Heard)
_LATE = -1_000_000
"""Calls that only the last event tells of are numbered downwards from here."""
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class ResponsesListener:
    """Reads response events. Imitators that leave out deltas, or send nothing but the end, are understood too."""

    __slots__ = ("_called", "_done_mark", "_ended", "_items", "_numbers", "_refused", "_teller", "_told")

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._items: dict[int, Known] = {}
        self._numbers: dict[str, int] = {}
        self._ended = self._done_mark = self._called = self._refused = self._told = False

    def event(self, event: bytes) -> None:
        """One event."""
        data = payload(event.rstrip(b"\r\n"))
        if not data or self._ended:
            return
        if data.startswith(b"[DONE]"):
            self._done_mark = True
            return
        try:
            heard = _HEARD.decode(data)
        except _UNREADABLE:
            return
        act = self._acts.get(heard.type)
        if act is not None:
            act(self, heard)
        elif heard.error:
            self._error(heard)

    def over(self) -> None:
        """The stream has ended: in good order only if it was said to."""
        if self._ended:
            return
        self._ended = True
        if self._done_mark and self._told:
            self._teller.end(self._stop(), Usage())
        else:
            self._teller.fail(Failure(502, "The provider's stream has ended before the response was whole.", "upstream_broken"))

    def _stop(self) -> Stop:
        if self._called:
            return "tools"
        return "refusal" if self._refused else "end"

    def _known(self, heard: Heard) -> Known:
        number = self._number(heard)
        known = self._items.get(number)
        if known is None:
            known = self._items[number] = Known()
        return known

    def _number(self, heard: Heard) -> int:
        """The item's number: its place in the output, or else one of its own, below zero."""
        if type(heard.output_index) is int:
            return heard.output_index
        item_id = heard.item.get("id") if isinstance(heard.item, dict) else heard.item_id
        return self._numbers.setdefault(item_id, -1 - len(self._numbers)) if type(item_id) is str else -1

    def _created(self, heard: Heard) -> None:
        found = _object(heard.response)
        reply_id, model = found.get("id"), found.get("model")
        self._teller.begin(reply_id if isinstance(reply_id, str) else "", model if isinstance(model, str) else "")

    def _text(self, heard: Heard) -> None:
        if type(heard.delta) is str and heard.delta:
            self._known(heard).length += len(heard.delta)
            self._told = True
            self._teller.text(heard.delta)

    def _refusal(self, heard: Heard) -> None:
        if type(heard.delta) is str and heard.delta:
            self._known(heard).length += len(heard.delta)
            self._told = self._refused = True
            self._teller.refusal(heard.delta)

    def _summary(self, heard: Heard) -> None:
        known = self._known(heard)
        if type(heard.delta) is not str or not heard.delta or known.content:
            return
        part = heard.summary_index if type(heard.summary_index) is int else 0
        if known.length and part != known.part:
            self._teller.thought("\n\n")
        known.part = part
        known.length += len(heard.delta)
        self._told = True
        self._teller.thought(heard.delta)

    def _reasoning(self, heard: Heard) -> None:
        known = self._known(heard)
        if type(heard.delta) is not str or not heard.delta or (known.length and not known.content):
            return
        known.content = True
        known.length += len(heard.delta)
        self._told = True
        self._teller.thought(heard.delta)

    def _added(self, heard: Heard) -> None:
        item = heard.item
        if isinstance(item, dict) and item.get("type") in ("function_call", "custom_tool_call"):
            self._call(heard, item)

    def _call(self, heard: Heard, item: dict[str, Any]) -> Known:
        known = self._known(heard)
        call = call_of(item)
        if known.call is None and call is not None:
            known.call = call
            self._called = self._told = True
            self._teller.tool(self._number(heard), call.id, call.name, custom=call.custom)
        return known

    def _arguments(self, heard: Heard) -> None:
        known = self._known(heard)
        if type(heard.delta) is str and heard.delta and known.call is not None:
            known.length += len(heard.delta)
            self._teller.arguments(self._number(heard), heard.delta)

    def _done(self, heard: Heard) -> None:
        item = heard.item
        if not isinstance(item, dict):
            return
        kind = item.get("type")
        if kind in ("function_call", "custom_tool_call"):
            known = self._call(heard, item)
            call = call_of(item)
            if known.call is not None and call is not None and len(call.arguments) > known.length:
                self._teller.arguments(self._number(heard), call.arguments[known.length :])
                known.length = len(call.arguments)
        elif kind == "reasoning":
            thought = thought_of(item)
            if not self._known(heard).length and thought.text:
                self._say(Thought(thought.text))
            if thought.redacted:
                self._say(Thought(redacted=thought.redacted, id=thought.id, wire="responses"))
        elif not self._known(heard).length:
            for part in parts_of_item(item):
                self._say(part)
        self._known(heard).length = max(1, self._known(heard).length)

    def _say(self, part: Part, index: int = 0) -> None:
        self._told = True
        match part:
            case Text():
                self._teller.text(part.text)
            case Refusal():
                self._refused = True
                self._teller.refusal(part.text)
            case Image():
                self._teller.image(part)
            case Thought():
                self._teller.thought(part.text)
                if part.redacted:
                    self._teller.redacted(part.redacted, part.wire, part.id)
            case ToolCall():
                self._called = True
                self._teller.tool(index, part.id, part.name, custom=part.custom)
                self._teller.arguments(index, part.arguments)
            case _:
                pass  # no model's reply has these

    def _whole(self, heard: Heard) -> None:
        found = _object(heard.response)
        output = found.get("output")
        parts = [part for item in output for part in parts_of_item(item)] if isinstance(output, list) else []
        self._created(heard)
        calls = {known.call.id for known in self._items.values() if known.call is not None}
        told, more = self._told, sum(isinstance(part, ToolCall) for part in parts) > len(calls)
        for index, part in enumerate(parts):
            if not told or (more and isinstance(part, ToolCall) and part.id not in calls):
                self._say(part, _LATE - index)
        self._ended = True
        found.setdefault("status", heard.type.removeprefix("response."))
        stop = stop_of(found, [])
        self._teller.end(self._stop() if stop == "end" else stop, usage_in(heard.response))

    def _failed(self, heard: Heard) -> None:
        self._fail(_object(heard.response).get("error") or heard.error)

    def _error(self, heard: Heard) -> None:
        self._fail(heard.error or {"code": heard.code, "message": heard.message, "param": heard.param})

    def _fail(self, error: Any) -> None:
        self._ended = True
        self._teller.fail(failure_of(error, 0) or Failure(502, "The provider has reported an error.", "server_error"))

    _acts: ClassVar[dict[str, Callable[[ResponsesListener, Heard], None]]] = {
        "response.created": _created,
        "response.queued": _created,
        "response.in_progress": _created,
        "response.output_item.added": _added,
        "response.output_item.done": _done,
        "response.output_text.delta": _text,
        "response.refusal.delta": _refusal,
        "response.reasoning_summary_text.delta": _summary,
        "response.reasoning_text.delta": _reasoning,
        "response.function_call_arguments.delta": _arguments,
        "response.custom_tool_call_input.delta": _arguments,
        "response.completed": _whole,
        "response.done": _whole,
        "response.incomplete": _whole,
        "response.cancelled": _failed,
        "response.failed": _failed,
        "error": _error,
    }
    """What is done about events, by type. All others say what these say too, or what tools of OpenAI's own do."""


def _object(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(raw)
    except _UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}

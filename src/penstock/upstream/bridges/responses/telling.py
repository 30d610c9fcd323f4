"""Telling: the stream that a client of this wire reads.

Items come one after the other, as from OpenAI. While a call's arguments are not yet whole, what is told of anything else waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from penstock.upstream.bridges import custom_tools
from penstock.upstream.bridges.conversation import Failure, Image, Stop, Thought
from penstock.upstream.bridges.responses import shape
from penstock.upstream.bridges.responses.asks_in import ResponsesAsked
from penstock.upstream.bridges.responses.failures import event_error
from penstock.upstream.bridges.responses.open_items import OpenCall, OpenItem, OpenMessage, OpenThought, encoded
from penstock.upstream.bridges.responses.tools_in import SEARCH
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage


class ResponsesTeller:
    """Writes one stream of response events."""

    __slots__ = (
        "_about",
        "_base",
        "_begun",
        "_called",
        "_count",
        "_custom",
        "_done",
        "_homes",
        "_id",
        "_index",
        "_last",
        "_open",
        "_out",
        "_refused",
        "_waiting",
        "ended",
    )

    def __init__(self, about: About) -> None:
        self.ended = False
        self._about = about
        self._out: list[bytes] = []
        self._count = 0
        self._begun = self._refused = False
        self._id = ""
        self._last = b""
        self._base: dict[str, Any] = {}
        self._open: OpenItem | None = None
        self._index = 0
        """The `output_index` of the item that is open, or of the next one."""
        self._done: list[msgspec.Raw] = []
        self._called: set[str] = set()
        self._waiting: list[Callable[[], None]] = []
        self._custom = custom_tools.names(about.asked.tools)
        self._homes = about.asked.homes if isinstance(about.asked, ResponsesAsked) else {}

    def begin(self, reply_id: str = "", model: str = "", usage: Usage | None = None) -> None:
        """`response.created` and `response.in_progress`."""
        if self._begun or self.ended:
            return
        self._begun = True
        self._id = shape.response_id(self._about, reply_id)
        self._base = shape.base_of(self._about, model, usage.service_tier if usage is not None else None)
        response = msgspec.Raw(self._response("in_progress"))
        self._event("response.created", {"response": response})
        self._event("response.in_progress", {"response": response})

    def text(self, delta: str) -> None:
        """More text of the message."""
        if delta and self._ready(lambda: self.text(delta)):
            self._say(delta, "output_text")

    def refusal(self, delta: str) -> None:
        """More of a refusal."""
        if delta and self._ready(lambda: self.refusal(delta)):
            self._refused = True
            self._say(delta, "refusal")

    def thought(self, delta: str) -> None:
        """More reasoning, shown as its summary."""
        if delta and self._ready(lambda: self.thought(delta)):
            self._think().more(self, delta)

    def signed(self, signature: str, wire: str) -> None:
        """Seal the reasoning that is open, or an empty one."""
        if signature and self._ready(lambda: self.signed(signature, wire)):
            self._seal(Thought(signature=signature, wire=wire))

    def redacted(self, data: str, wire: str, item_id: str = "") -> None:
        """Reasoning that cannot be read: an item of its own, but for OpenAI's, which belongs to the summary before it."""
        if data and self._ready(lambda: self.redacted(data, wire, item_id)):
            if wire != "responses":
                self._close("completed")
            self._seal(Thought(redacted=data, wire=wire, id=item_id))

    def image(self, image: Image) -> None:
        """A picture: what OpenAI's own tool for pictures gives. One that is elsewhere is told as a link."""
        if not self._ready(lambda: self.image(image)):
            return
        if not image.data:
            if image.url:
                self._say(f"![]({image.url})", "output_text")
            return
        self._close("completed")
        item_id = self._name("ig")
        where = {"output_index": self._index, "item_id": item_id}
        self._event("response.output_item.added", {"output_index": self._index, "item": shape.image_item(item_id, "in_progress", None)})
        self._event("response.image_generation_call.in_progress", where)
        self._event("response.image_generation_call.completed", where)
        self._finish(shape.image_item(item_id, "completed", image))

    def tool(self, index: int, call_id: str, name: str, *, custom: bool = False, signature: str = "") -> None:
        """A call begins. Gemini's signature goes before it, as reasoning without words."""
        if not self._ready(lambda: self.tool(index, call_id, name, custom=custom, signature=signature)):
            return
        self._close("completed")
        if signature:
            self._seal(Thought(signature=signature, wire="gemini"))
        name = self._about.aliases.get(name, name)
        wrapped = not custom and name in self._custom
        searches = name == SEARCH and isinstance(self._about.asked, ResponsesAsked) and self._about.asked.searches
        item_id = self._name("tsc" if searches else "ctc" if custom or wrapped else "fc")
        if not call_id or call_id in self._called:  # the client tells calls apart by their ids
            call_id = f"call_{shape.tail_of(self._about.request_id)}_{self._index}"
        self._called.add(call_id)
        about = (call_id, name)
        self._opened(OpenCall(item_id, self._index, about, index, self._homes.get(name), custom=custom, wrapped=wrapped))

    def arguments(self, index: int, delta: str) -> None:
        """More of a call's arguments."""
        if self.ended:
            return
        call = self._open
        if isinstance(call, OpenCall) and call.index == index:
            call.more(self, delta)
            if self._waiting and call.whole():
                self._go_on()
        elif self._waiting:
            self._waiting.append(lambda: self.arguments(index, delta))

    def end(self, stop: Stop, usage: Usage, stop_sequence: str | None = None) -> None:
        """Close what is open, and `response.completed` or `response.incomplete` with everything in it."""
        if self.ended:
            return
        self.begin(usage=usage)
        while self._waiting:
            self._close("completed")
            self._go_on()
        status, details = shape.ending(stop, refused=self._refused)
        self._close(status)
        if usage.service_tier is not None:
            self._base["service_tier"] = shape.tier_of(usage.service_tier)
        about = {"completed_at": self._about.created, "incomplete_details": details, "output": self._done, "usage": shape.usage_of(usage)}
        self._last = self._response(status, **about)
        self._event(f"response.{status}", {"response": msgspec.Raw(self._last)})
        self.ended = True

    def fail(self, failure: Failure) -> None:
        """`response.failed`, with what was whole by then."""
        if self.ended:
            return
        self.begin()
        self._waiting.clear()
        self._last = self._response("failed", error=event_error(failure), output=self._done)
        self._event("response.failed", {"response": msgspec.Raw(self._last)})
        self.ended = True

    def take(self) -> bytes:
        """The events since the last time."""
        taken = b"".join(self._out)
        self._out.clear()
        return taken

    def whole(self) -> bytes:
        """The whole response, when it has ended."""
        return self._last

    def piece(self, before: bytes, after: bytes, delta: str) -> None:
        """One event of which only its number and its `delta` are new: both are between `before` and `after`."""
        self._out.append(b'%b%d,"delta":%b%b' % (before, self._count, encoded(delta), after))
        self._count += 1

    def event(self, kind: str, about: dict[str, Any]) -> None:
        """One event of any kind."""
        self._event(kind, about)

    def _event(self, kind: str, about: dict[str, Any]) -> None:
        data = msgspec.json.encode({"type": kind, "sequence_number": self._count, **about})
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))
        self._count += 1

    def _response(self, status: str, **about: Any) -> bytes:
        whole = {
            "id": self._id,
            "object": "response",
            "created_at": self._about.created,
            "status": status,
            "completed_at": None,
            "error": None,
        }
        return msgspec.json.encode({**whole, "incomplete_details": None, "output": [], "usage": None, **self._base, **about})

    def _ready(self, later: Callable[[], None]) -> bool:
        """Whether it can be told now; else it waits."""
        if self.ended:
            return False
        if not self._begun:
            self.begin()
        if self._waiting or (isinstance(self._open, OpenCall) and not self._open.whole()):
            self._waiting.append(later)
            return False
        return True

    def _go_on(self) -> None:
        """Tell what waits, as far as it goes."""
        waiting, self._waiting = self._waiting, []
        for later in waiting:
            later()

    def _name(self, kind: str) -> str:
        return f"{kind}_{shape.tail_of(self._about.request_id)}_{self._index}"

    def _say(self, delta: str, kind: str) -> None:
        message = self._open
        if not isinstance(message, OpenMessage):
            self._close("completed")
            message = OpenMessage(self._name("msg"), self._index)
            self._opened(message)
        message.more(self, kind, delta)

    def _think(self) -> OpenThought:
        thought = self._open
        if not isinstance(thought, OpenThought):
            self._close("completed")
            thought = OpenThought(self._name("rs"), self._index)
            self._opened(thought)
        return thought

    def _seal(self, thought: Thought) -> None:
        self._think().sealed = shape.sealed_of(thought)
        self._close("completed")

    def _opened(self, item: OpenItem) -> None:
        self._open = item
        self._event("response.output_item.added", {"output_index": self._index, "item": item.item("in_progress")})

    def _close(self, status: str) -> None:
        item = self._open
        if item is not None:
            self._open = None
            item.close(self)
            self._finish(item.item(status))

    def _finish(self, item: dict[str, Any]) -> None:
        raw = msgspec.Raw(msgspec.json.encode(item))
        self._event("response.output_item.done", {"output_index": self._index, "item": raw})
        self._done.append(raw)
        self._index += 1

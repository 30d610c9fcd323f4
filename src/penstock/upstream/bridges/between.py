"""Between: the bridge from any wire that has a side to any other, made of the two sides."""

from __future__ import annotations

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.bridge import Spot
from penstock.upstream.bridges.conversation import (
    Asked,
    Audio,
    Document,
    Failure,
    Image,
    Refusal,
    Reply,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.side import About, Listener, Side, Teller
from penstock.upstream.wires import WIRES
from penstock.upstream.wires.wire import Ask, Wire

SEARCHES = ("web_search", "googleSearch", "google_search")
"""How the types of tools begin with which providers search the web."""
_JSON = b"application/json"
_JSON_LINE = b"content-type: application/json\r\n"


class Between:
    """From one side to another."""

    def __init__(self, source: Side, target: Side) -> None:
        self.source, self.target = source.wire, target.wire
        self._ours, self._theirs = source, target

    def cross(self, body: bytes, spot: Spot) -> Talk:
        """The request in the provider's words."""
        asked = self._ours.read_ask(body)
        asked.model = spot.public  # where it is not in the body
        if spot.path.endswith(":streamGenerateContent"):
            if b"alt=sse" not in spot.query:
                words = "A stream of a model of another provider's comes as server-sent events only: add ?alt=sse to the URL."
                raise PenstockError("cannot_translate", words, param="alt")
            asked.stream = True
        dropped = Dropped()
        _leave_search_out(asked, dropped)
        sent = self._theirs.write_ask(asked, spot.model, dropped)
        about = About(asked, spot.public, spot.request_id, spot.created, dropped.aliases)
        return Talk(self._ours, self._theirs, about, sent, spot.model, dropped)


def _leave_search_out(asked: Asked, dropped: Dropped) -> None:
    """Leave out a search of the web by the provider itself, where the model is free to do without it and has other tools.

    Agents offer it with every request beside their own tools: Codex would not work at all if it were refused.
    """
    free = asked.choice is None or asked.choice.mode == "auto"
    if not free or all(tool.kind == "hosted" for tool in asked.tools):
        return
    kept = [tool for tool in asked.tools if tool.kind != "hosted" or not tool.name.startswith(SEARCHES)]
    if len(kept) < len(asked.tools):
        asked.tools = kept
        dropped.note("web_search")


class Talk:
    """One exchange between two sides."""

    method = b"POST"
    headers = _JSON_LINE
    passes = False

    def __init__(self, ours: Side, theirs: Side, about: About, sent: bytes, model: str, dropped: Dropped) -> None:
        self._ours, self._theirs, self._about = ours, theirs, about
        self.wire: Wire = WIRES[theirs.wire]
        self.body = sent
        self.path, self.query = theirs.path(about.asked, model)
        self.ask: Ask = self.wire.peek_at(self.path, self.query, sent) if self.wire.addressed else self.wire.peek(sent)
        self.dropped = dropped.header()

    def whole(self, status: int, content_type: bytes, body: bytes) -> tuple[int, bytes, bytes]:
        """A plain answer or an error."""
        if status >= 400:
            shown, error = self._ours.write_failure(self._theirs.read_failure(status, body), self._about.request_id)
            return shown, _JSON, error
        try:
            reply = self._theirs.read_reply(body)
        except (ValueError, msgspec.MsgspecError) as wrong:
            return self._unreadable(wrong)
        return status, _JSON, self._ours.write_reply(reply, self._about)

    def stream(self) -> Told:
        """Begin with a stream."""
        teller = self._ours.teller(self._about)
        return Told(self._theirs.listener(teller), teller)

    def replay(self, body: bytes) -> bytes | None:
        """A whole answer as a stream."""
        try:
            reply = self._theirs.read_reply(body)
        except (ValueError, msgspec.MsgspecError):
            return None
        teller = self._ours.teller(self._about)
        retell(reply, teller)
        return teller.take()

    def _unreadable(self, wrong: Exception) -> tuple[int, bytes, bytes]:
        failure = Failure(502, f"The provider's answer cannot be read: {wrong}", "upstream_invalid")
        shown, error = self._ours.write_failure(failure, self._about.request_id)
        return shown, _JSON, error


class Told:
    """A stream that a listener reads and a teller writes."""

    __slots__ = ("_listener", "_teller")

    def __init__(self, listener: Listener, teller: Teller) -> None:
        self._listener, self._teller = listener, teller

    @property
    def ended(self) -> bool:
        """The client's stream has been ended."""
        return self._teller.ended

    def event(self, event: bytes) -> bytes:
        """One event, in the client's words."""
        self._listener.event(event)
        return self._teller.take()

    def over(self) -> bytes:
        """The end of the provider's stream."""
        self._listener.over()
        return self._teller.take()


def retell(reply: Reply, teller: Teller) -> None:
    """Tell a whole reply as if it had come piece by piece."""
    teller.begin(reply.id, reply.model, reply.usage)
    for index, part in enumerate(reply.parts):
        match part:
            case Text():
                teller.text(part.text)
            case Thought():
                if part.text or part.signature:
                    teller.thought(part.text)
                if part.signature:
                    teller.signed(part.signature, part.wire)
                if part.redacted:
                    teller.redacted(part.redacted, part.wire, part.id)
            case Refusal():
                teller.refusal(part.text)
            case Image():
                teller.image(part)
            case ToolCall():
                teller.tool(index, part.id, part.name, custom=part.custom, signature=part.signature)
                teller.arguments(index, part.arguments)
            case Document() | Audio() | ToolResult():
                pass  # no model's reply has these
    teller.end(reply.stop, reply.usage, reply.stop_sequence)

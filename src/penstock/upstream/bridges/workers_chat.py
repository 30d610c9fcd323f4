"""Workers AI for whoever speaks chat completions, and for every wire that has a side, by way of chat completions."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import msgspec

import penstock.upstream.bridges as bridges_package
from penstock.upstream.bridges.bridge import Spot
from penstock.upstream.bridges.conversation import Failure, Tool
from penstock.upstream.bridges.custom_tools import as_function
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.side import About, Listener, Side, Teller
from penstock.upstream.bridges.workers import asks
from penstock.upstream.bridges.workers.answers import Known, completion
from penstock.upstream.bridges.workers.failures import error_body, read_failure
from penstock.upstream.bridges.workers.streams import Repair, replayed
from penstock.upstream.wires import WIRES
from penstock.upstream.wires.wire import Ask, Wire

TARGET = "workers_chat"
PATH = "/v1/chat/completions"
_JSON = b"application/json"
_JSON_LINE = b"content-type: application/json\r\n"


class Chat:
    """From chat completions: the request is edited, the answer put right.

    Cursor sends what only a side can read: `input` for messages, and tools that take free text.
    """

    source = "chat"
    target = TARGET

    def __init__(self, chat: Side | None = None) -> None:
        self._detour = Repaired(chat, chat) if chat is not None else None

    def cross(self, body: bytes, spot: Spot) -> Straight | Detour:
        """The request as Workers AI takes it."""
        if self._detour is not None and (b'"custom"' in body or b'"messages"' not in body):
            return self._detour.cross(body, spot)
        dropped = Dropped()
        return Straight(asks.write(body, spot.model, dropped), spot, dropped)


class Straight:
    """One exchange with a client that speaks chat completions."""

    method = b"POST"
    path, query = PATH, b""
    passes = False

    def __init__(self, sent: asks.Sent, spot: Spot, dropped: Dropped) -> None:
        self._known = Known(sent.tools, spot.public, spot.request_id, spot.created)
        self._shows = sent.shows_usage
        self.wire: Wire = WIRES[TARGET]
        self.ask: Ask = self.wire.peek(sent.body)
        self.body = sent.body
        self.headers = _JSON_LINE + asks.session_line(sent.session)
        self.dropped = dropped.header()

    def whole(self, status: int, content_type: bytes, body: bytes) -> tuple[int, bytes, bytes]:
        """A plain answer or an error."""
        answer = read_failure(status, body) if status >= 400 else completion(body, self._known)
        if isinstance(answer, Failure):
            return answer.status, _JSON, error_body(answer)
        return status, _JSON, msgspec.json.encode(answer)

    def stream(self) -> Repair:
        """Begin with a stream."""
        return Repair(self._known, shows_usage=self._shows)

    def replay(self, body: bytes) -> bytes | None:
        """A whole answer as a stream."""
        return replayed(body, self._known, shows_usage=self._shows)


class Repaired:
    """From any wire that has a side: its request is written as a chat completion and edited, and the answer put right before it is read."""

    target = TARGET

    def __init__(self, ours: Side, chat: Side) -> None:
        self.source: str = ours.wire
        self._ours, self._chat = ours, chat

    def cross(self, body: bytes, spot: Spot) -> Detour:
        """The request as Workers AI takes it."""
        asked = self._ours.read_ask(body)
        asked.model = spot.public  # where it is not in the body
        dropped = Dropped()
        plain = msgspec.structs.replace(asked, tools=[_plain(tool) for tool in asked.tools])
        sent = asks.write(self._chat.write_ask(plain, spot.model, dropped), spot.model, dropped)
        about = About(asked, spot.public, spot.request_id, spot.created)
        return Detour(self._ours, self._chat, Straight(sent._replace(shows_usage=True), spot, dropped), about)


def _plain(tool: Tool) -> Tool:
    """No model of Workers AI knows tools that take free text: they are functions with one string there."""
    return as_function(tool) if tool.kind == "custom" else tool


class Detour:
    """One exchange with a client of another wire."""

    method = b"POST"
    passes = False

    def __init__(self, ours: Side, chat: Side, straight: Straight, about: About) -> None:
        self._ours, self._chat, self._straight, self._about = ours, chat, straight, about
        self.wire, self.ask = straight.wire, straight.ask
        self.path, self.query, self.headers = straight.path, straight.query, straight.headers
        self.body, self.dropped = straight.body, straight.dropped

    def whole(self, status: int, content_type: bytes, body: bytes) -> tuple[int, bytes, bytes]:
        """A plain answer or an error."""
        if status >= 400:
            return self._failed(read_failure(status, body))
        status, _, answer = self._straight.whole(status, content_type, body)
        if status >= 400:
            return self._failed(self._chat.read_failure(status, answer))
        try:
            reply = self._chat.read_reply(answer)
        except (ValueError, msgspec.MsgspecError) as wrong:
            return self._failed(Failure(502, f"The provider's answer cannot be read: {wrong}", "upstream_invalid"))
        return status, _JSON, self._ours.write_reply(reply, self._about)

    def stream(self) -> Relayed:
        """Begin with a stream."""
        teller = self._ours.teller(self._about)
        return Relayed(self._straight.stream(), self._chat.listener(teller), teller)

    def replay(self, body: bytes) -> bytes | None:
        """A whole answer as a stream."""
        told = self._straight.replay(body)
        if told is None:
            return None
        relayed = self.stream()
        relayed.listen(told)
        return relayed.take()

    def _failed(self, failure: Failure) -> tuple[int, bytes, bytes]:
        shown, error = self._ours.write_failure(failure, self._about.request_id)
        return shown, _JSON, error


class Relayed:
    """A stream that is put right, then read as chat completions, then told in the client's words."""

    __slots__ = ("_listener", "_repair", "_teller")

    def __init__(self, repair: Repair, listener: Listener, teller: Teller) -> None:
        self._repair, self._listener, self._teller = repair, listener, teller

    @property
    def ended(self) -> bool:
        """The client's stream has been ended."""
        return self._teller.ended

    def event(self, event: bytes) -> bytes:
        """One event, in the client's words."""
        self.listen(self._repair.event(event))
        return self._teller.take()

    def over(self) -> bytes:
        """The end of the provider's stream."""
        self.listen(self._repair.over())
        if not self._teller.ended:
            self._listener.over()
        return self._teller.take()

    def listen(self, events: bytes) -> None:
        """Whole events of a chat completion, on to the teller."""
        while events:
            event, _, events = events.partition(b"\n\n")
            self._listener.event(event)

    def take(self) -> bytes:
        """What the client is to be told now."""
        return self._teller.take()


def _bridges() -> tuple[Any, ...]:
    names = [info.name for info in iter_modules(bridges_package.__path__) if info.ispkg]
    found = (getattr(import_module(f"{bridges_package.__name__}.{name}"), "SIDE", None) for name in names)
    sides: dict[str, Side] = {side.wire: side for side in found if side is not None}
    chat = sides.pop("chat", None)
    return (Chat(chat), *(Repaired(side, chat) for side in sides.values())) if chat is not None else (Chat(),)


BRIDGES = _bridges()

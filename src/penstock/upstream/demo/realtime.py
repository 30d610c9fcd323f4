"""The realtime wire over WebSocket: a session that answers in text."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.upstream.demo.answer import RefusedError, Stream, Switch, encode
from penstock.upstream.demo.delivery import Envelope
from penstock.upstream.demo.frames import CLOSE, PING, PONG, TEXT, FrameError, FrameReader, accept_key, frame, text_frame
from penstock.upstream.demo.prose import CACHE_READ, Prose, greeting, prose, tokens_of
from penstock.upstream.demo.request import Request
from penstock.upstream.demo.talk import Message, said

if TYPE_CHECKING:
    from penstock.upstream.demo.connection import Connection

_ITEMS_LIMIT = 256
_SUBPROTOCOL = b"realtime"


class Session:
    """One realtime conversation: events in, events out. Text only; audio that is sent is accepted and not heard."""

    def __init__(self, connection: Connection, request: Request, model: str) -> None:
        self._connection = connection
        self._manners = request.manners
        self._model = model
        self._digest = request.digest
        self._reader = FrameReader()
        self._messages: list[Message] = []
        self._number = 0
        self._busy = False
        self._session: dict[str, Any] = {"type": "realtime", "object": "realtime.session", "id": f"sess_{request.digest}", "model": model}
        self._session |= {"output_modalities": ["text"], "instructions": "", "tools": [], "tool_choice": "auto", "max_output_tokens": "inf"}
        self._say({"type": "session.created", "session": self._session})

    def received(self, data: bytes) -> None:
        """Bytes from the client."""
        try:
            for opcode, payload in self._reader.feed(data):
                self._message(opcode, payload)
        except FrameError as exc:
            self._close(exc.code)

    def delivered(self) -> None:
        """The response that was being sent is out."""
        self._busy = False

    def _close(self, code: int) -> None:
        self._connection.transport.write(frame(CLOSE, struct.pack("!H", code)))
        self._connection.transport.close()

    def _event(self, event: dict[str, Any]) -> bytes:
        self._number += 1
        return encode({"type": event["type"], "event_id": f"event_{self._digest}{self._number}"} | event)

    def _say(self, event: dict[str, Any]) -> None:
        self._connection.transport.write(text_frame(self._event(event)))

    def _wrong(self, message: str) -> None:
        self._say({"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_event", "message": message, "param": None}})

    def _message(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._connection.transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            self._close(1000)
        elif opcode == TEXT:
            try:
                event = msgspec.json.decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError):
                event = None
            if isinstance(event, dict):
                self._heard(event)
            else:
                self._wrong("The message is not a JSON object.")

    def _heard(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "session.update":
            self._session |= event["session"] if isinstance(event.get("session"), dict) else {}
            self._say({"type": "session.updated", "session": self._session})
        elif kind == "conversation.item.create":
            self._add(event.get("item"))
        elif kind == "response.create":
            self._respond()
        elif kind not in ("input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear", "response.cancel"):
            self._wrong(f"Unknown event type {kind!r}.")

    def _add(self, item: object) -> None:
        try:
            given = msgspec.convert(item, dict[str, Any])
            message = msgspec.convert(item, Message)
        except msgspec.ValidationError as exc:
            self._wrong(f"Invalid item: {exc}")
            return
        self._messages.append(message)
        del self._messages[:-_ITEMS_LIMIT]
        given = {"id": f"item_{self._digest}{self._number}", "object": "realtime.item", "status": "completed"} | given
        for name in ("added", "done"):
            self._say({"type": f"conversation.item.{name}", "previous_item_id": None, "item": given})

    def _respond(self) -> None:
        if self._busy:
            self._wrong("The conversation already has an active response.")
            return
        self._busy = True
        told = prose(greeting(said(self._messages)), self._manners, None)
        marks = {"response_id": f"resp_{self._digest}{self._number}", "item_id": f"msg_{self._digest}{self._number}"}
        stream = Stream(self._opening(marks), self._deltas(told, marks), told.count, self._closing(told, marks))
        self._connection.deliver(stream, self._manners, Envelope(b"", text_frame, b""))

    def _response(self, marks: dict[str, Any], status: str, output: list[dict[str, Any]], usage: dict[str, Any] | None) -> dict[str, Any]:
        about = {"object": "realtime.response", "id": marks["response_id"], "status": status, "status_details": None, "output": output}
        return about | {"conversation_id": f"conv_{self._digest}", "output_modalities": ["text"], "usage": usage, "metadata": None}

    def _item(self, marks: dict[str, Any], status: str, text: str | None) -> dict[str, Any]:
        about = {"id": marks["item_id"], "object": "realtime.item", "type": "message", "status": status, "role": "assistant"}
        return about | {"content": [] if text is None else [{"type": "output_text", "text": text}]}

    def _usage(self, told: Prose) -> dict[str, Any] | None:
        if not self._manners.usage:
            return None
        cached = CACHE_READ if self._manners.cached else 0
        heard = tokens_of(sum(message.length() for message in self._messages)) + cached
        details: dict[str, Any] = {"text_tokens": heard, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": cached}
        details["cached_tokens_details"] = {"text_tokens": cached, "audio_tokens": 0, "image_tokens": 0}
        about: dict[str, Any] = {"total_tokens": heard + told.tokens, "input_tokens": heard, "output_tokens": told.tokens}
        return about | {"input_token_details": details, "output_token_details": {"text_tokens": told.tokens, "audio_tokens": 0}}

    def _opening(self, marks: dict[str, Any]) -> Iterator[bytes]:
        response = marks["response_id"]
        where = marks | {"output_index": 0, "content_index": 0}
        item = self._item(marks, "in_progress", None)
        yield self._event({"type": "response.created", "response": self._response(marks, "in_progress", [], None)})
        yield self._event({"type": "response.output_item.added", "response_id": response, "output_index": 0, "item": item})
        yield self._event({"type": "conversation.item.added", "previous_item_id": None, "item": item})
        yield self._event({"type": "response.content_part.added"} | where | {"part": {"type": "text", "text": ""}})

    def _deltas(self, told: Prose, marks: dict[str, Any]) -> Iterator[bytes]:
        where = marks | {"output_index": 0, "content_index": 0}
        for piece in told.pieces():
            yield self._event({"type": "response.output_text.delta"} | where | {"delta": piece})

    def _closing(self, told: Prose, marks: dict[str, Any]) -> Iterator[bytes]:
        text = told.text()
        where = marks | {"output_index": 0, "content_index": 0}
        item = self._item(marks, "completed", text)
        yield self._event({"type": "response.output_text.done"} | where | {"text": text})
        yield self._event({"type": "response.content_part.done"} | where | {"part": {"type": "text", "text": text}})
        yield self._event({"type": "response.output_item.done", "response_id": marks["response_id"], "output_index": 0, "item": item})
        yield self._event({"type": "conversation.item.done", "previous_item_id": None, "item": item})
        yield self._event({"type": "response.done", "response": self._response(marks, "completed", [item], self._usage(told))})


def realtime(request: Request) -> Switch:
    """GET /v1/realtime?model=..., upgraded to WebSocket. Raises `RefusedError` 400 for anything else."""
    model = request.param("model") or "demo"
    request.behave(model)
    key = request.headers.get(b"sec-websocket-key")
    if request.headers.get(b"upgrade", b"").lower() != b"websocket" or not key:
        raise RefusedError(400, "This path is served over WebSocket.")
    lines = b"upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: %b\r\n" % accept_key(key)
    offered = [one.strip() for one in request.headers.get(b"sec-websocket-protocol", b"").split(b",")]
    if _SUBPROTOCOL in offered:
        lines += b"sec-websocket-protocol: realtime\r\n"
    return Switch(lines, lambda connection: Session(connection, request, model))


ROUTES = {("GET", "/v1/realtime"): realtime}

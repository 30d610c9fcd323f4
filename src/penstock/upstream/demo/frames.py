"""WebSocket frames (RFC 6455), as far as a server needs them: no extensions."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha1

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MESSAGE_LIMIT = 16 * 1024 * 1024


class FrameError(ValueError):
    """The client broke the protocol. `code` is the status to close with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def accept_key(key: bytes) -> bytes:
    """The `sec-websocket-accept` for a `sec-websocket-key` (RFC 6455, 4.2.2)."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def frame(opcode: int, payload: bytes) -> bytes:
    """One final, unmasked frame."""
    length = len(payload)
    if length < 126:
        return struct.pack("!BB", 0x80 | opcode, length) + payload
    if length < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, length) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, length) + payload


def text_frame(payload: bytes) -> bytes:
    """One text frame."""
    return frame(TEXT, payload)


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


class FrameReader:
    """Reads the frames of a client and joins fragments. Holds at most one message of 16 MiB."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._opcode = 0
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of each message and control frame that `data` completes. Raises `FrameError`."""
        self._buffer += data
        while (found := self._frame()) is not None:
            final, opcode, payload = found
            if opcode >= CLOSE:
                if not final or len(payload) > 125:
                    raise FrameError(1002, "a control frame must be whole and short")
                yield opcode, payload
                continue
            if (opcode == 0) != bool(self._opcode):
                raise FrameError(1002, "a continuation without a beginning, or a beginning inside a message")
            self._opcode = self._opcode or opcode
            self._parts.append(payload)
            self._size += len(payload)
            if final:
                yield self._opcode, b"".join(self._parts)
                self._opcode, self._parts, self._size = 0, [], 0

    def _frame(self) -> tuple[bool, int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        if first & 0x70 or not second & 0x80:
            raise FrameError(1002, "reserved bits are set, or the frame is not masked")
        length, at = second & 0x7F, 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(buffer) < 2 + size:
                return None
            length, at = int.from_bytes(buffer[2 : 2 + size], "big"), 2 + size
        if self._size + length > _MESSAGE_LIMIT:
            raise FrameError(1009, "the message is too large")
        if len(buffer) < at + 4 + length:
            return None
        payload = _unmasked(bytes(buffer[at + 4 : at + 4 + length]), bytes(buffer[at : at + 4]))
        del buffer[: at + 4 + length]
        return bool(first & 0x80), first & 0x0F, payload

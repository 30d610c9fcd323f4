"""A client that sends exactly the bytes it is given and believes nothing: answers are read as RFC 9112 says, or the test fails."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

PATIENCE_S = 10
"""How long a test waits for bytes that are about to come, before it fails."""


@dataclass
class Answer:
    """One answer. Header names are in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The only value of a header; None when it is absent. A repeated one fails the test."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def closes(self) -> bool:
        """The answer says that it is the connection's last one."""
        return self.header("connection") == "close"

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error in OpenAI's dialect."""
        code: str = self.json["error"]["code"]
        return code


class RawClient:
    """A connection. `window_bytes` makes its receive buffer small, so that a client that does not read is felt at once."""

    def __init__(self, port: int, *, window_bytes: int | None = None) -> None:
        self._socket = socket.socket()
        if window_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(PATIENCE_S)
        self._buffer = bytearray()
        try:
            self._socket.connect(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # sending

    def send(self, *pieces: bytes) -> Self:
        """Send each piece on its own."""
        for piece in pieces:
            self._socket.sendall(piece)
        return self

    def send_some(self, data: bytes, patience_s: float = 0.5) -> int:
        """Send until the gateway takes no more for so long; how much it took."""
        taken = 0
        self._socket.settimeout(patience_s)
        try:
            while taken < len(data):
                taken += self._socket.send(data[taken : taken + 65536])
        except TimeoutError:
            pass
        finally:
            self._socket.settimeout(PATIENCE_S)
        return taken

    def half_close(self) -> Self:
        """Say that nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)
        return self

    def close(self) -> None:
        """Close."""
        self._socket.close()

    def reset(self) -> None:
        """Close with RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    # receiving

    def readable(self, within_s: float) -> bool:
        """Whether something comes, or the end, in that time."""
        return bool(self._buffer or select.select([self._socket], [], [], within_s)[0])

    def ask(self, *pieces: bytes, to_head: bool = False) -> Answer:
        """Send, and read one answer."""
        return self.send(*pieces).answer(to_head=to_head)

    def head(self) -> Answer:
        """The next head, interim answers included, without reading the body."""
        first, *lines = self.until(b"\r\n\r\n")[:-4].decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        pairs = [line.partition(": ") for line in lines]
        assert all(colon and name == name.lower() for name, colon, _ in pairs), lines
        return Answer(int(status), [(name, value) for name, _, value in pairs])

    def answer(self, *, to_head: bool = False) -> Answer:
        """The next whole answer."""
        answer = self.head()
        length, coding = answer.header("content-length"), answer.header("transfer-encoding")
        assert length is None or coding is None
        if to_head or answer.status < 200 or answer.status in (204, 304):
            return answer
        if coding is not None:
            assert coding == "chunked"
            answer.body = b"".join(iter(self.chunk, b""))
        elif length is not None:
            answer.body = self.exactly(int(length))
        else:
            assert answer.closes
            answer.body = self.rest()
        return answer

    def chunk(self) -> bytes:
        """The content of the next chunk; the last one is empty."""
        size = int(self.until(b"\r\n")[:-2], 16)
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def until(self, mark: bytes) -> bytes:
        """Everything up to a mark, the mark included."""
        while (at := self._buffer.find(mark)) < 0:
            self._more()
        return self._taken(at + len(mark))

    def exactly(self, size: int) -> bytes:
        """So many bytes."""
        while len(self._buffer) < size:
            self._more()
        return self._taken(size)

    def rest(self) -> bytes:
        """Everything up to the end of the connection, which may be a reset."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                self._more()
        return self._taken(len(self._buffer))

    def _taken(self, size: int) -> bytes:
        found = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return found

    def _more(self) -> None:
        data = self._socket.recv(262_144)
        if not data:
            raise EOFError(f"the connection ended after {bytes(self._buffer[-200:])!r}")
        self._buffer += data


def request(line: str, *headers: str, body: bytes | None = None) -> bytes:
    """A request: its line without the version, whole header lines, and content-length where there is a body."""
    lines = [f"{line} HTTP/1.1", "host: gateway", *headers]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def bearer(key: str) -> str:
    """The header line with a key in it."""
    return f"authorization: Bearer {key}"


def chat(key: str, *headers: str, model: str = "demo", stream: bool = False, **more: object) -> bytes:
    """A good chat request."""
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": stream} | more
    kind = "content-type: application/json"
    return request("POST /v1/chat/completions", bearer(key), kind, *headers, body=json.dumps(asked).encode())

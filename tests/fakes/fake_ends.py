"""Both ends of the relay without sockets: transports that keep what is written to them, and a whole relay in between."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from uvicorn.server import ServerState

from penstock.app import build, server_config
from penstock.channels.configured import channels_from
from penstock.channels.pools import Pools
from penstock.keys.door import Caller
from penstock.kit.pulse import Pulse
from penstock.records.door import Record
from penstock.relay.edge import Edge
from penstock.relay.exchange import Exchange
from penstock.relay.headers import sift
from penstock.relay.paths import find_target
from penstock.settings import Settings
from penstock.upstream.client.connection import Connection, Receiver

KEY = "sk-" + "a" * 48
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}'
USAGE = b'{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5}}'
"""A provider's answer, which costs 9 tokens in and 5 out."""


class FakeTransport(asyncio.Transport):
    """A transport without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()
        self.reading = True
        self.closed = self.aborted = self.ended = False
        """Closed in good order; cut; half-closed."""
        self.before_write: Callable[[bytes], None] = lambda _: None

    def taken(self) -> bytes:
        """What was written since this was last asked."""
        data = bytes(self._written)
        self._written.clear()
        return data

    def write(self, data: Any) -> None:
        self.before_write(data)
        if not self.is_closing():
            self._written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It never has to wait."""

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Client:
    """A client's connection to the relay."""

    def __init__(self, rig: Rig) -> None:
        self.edge = Edge(rig.config, rig.state, {"plane": rig.plane}, rig.loop)
        self.transport = FakeTransport()
        self.edge.connection_made(self.transport)

    def says(self, *pieces: bytes) -> bytes:
        """Send each piece on its own; what is answered at once."""
        for piece in pieces:
            self.edge.data_received(piece)
        return self.hears()

    def hears(self) -> bytes:
        """What was written to it since."""
        return self.transport.taken()

    def leaves(self) -> None:
        """It closes the connection."""
        self.transport.closed = True
        self.edge.connection_lost(None)


class Vendor:
    """A kept connection to a provider, as the provider sees it."""

    def __init__(self, connection: Connection, transport: FakeTransport) -> None:
        self.connection = connection
        self.transport = transport

    def hears(self) -> bytes:
        """What was written to it since."""
        return self.transport.taken()

    def says(self, *pieces: bytes) -> None:
        """Send each piece on its own."""
        for piece in pieces:
            self.connection.data_received(piece)

    def leaves(self, exc: Exception | None = None) -> None:
        """It closes the connection, or cuts it."""
        self.transport.closed = True
        self.connection.connection_lost(exc)


class Kept:
    """Records, kept instead of written."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def put(self, record: Record) -> None:
        self.records.append(record)


class Rig:
    """A relay that was built and not started: no socket is open, and no charge is taken before `open`."""

    def __init__(self, data: Path, **settings: Any) -> None:
        known = {"openai_api_key": "sk-vendor", "anthropic_api_key": "sk-ant-vendor"}
        self.settings = Settings(data=data, **({**known, **settings}))
        app, self.parts = build(self.settings)
        self.config = server_config(self.settings, app)
        self.config.load()
        self.state = ServerState()
        self.plane = self.parts.plane
        self.plane.channels = channels_from(self.settings, Pools(self.settings, self.plane.pulse), None)
        self.loop: Any = object()
        self.kept = Kept()
        self.plane.recorder = self.kept  # type: ignore[assignment]
        self.caller = self.know(KEY)

    @property
    def pulse(self) -> Pulse:
        """The clock of everything that times out; it beats by `rig.pulse._beat` alone, or by setting its tick."""
        return self.plane.pulse

    def trust(self) -> None:
        """Let it believe that charges can be written: enough for requests that cost nothing, as those do that are answered 404."""
        self.plane.books._open = True

    async def open(self, template: Path) -> None:
        """Take charges, into a copy of a migrated database."""
        self.loop = asyncio.get_running_loop()
        self.settings.data.mkdir(exist_ok=True)
        shutil.copy(template, self.settings.data / "penstock.db")
        await self.plane.books.start()

    async def close(self) -> None:
        """Stop taking charges."""
        await self.plane.books.stop()
        await self.parts.database.close()

    def know(self, token: str, **limits: Any) -> Caller:
        """Let a key be one that was seen before."""
        about: dict[str, Any] = {"key_id": f"key_{token[-4:]}", "name": "test", "until_ms": limits.get("expires_at_ms")}
        caller = Caller(**(about | limits))
        if self.plane.keys is not None:
            self.plane.keys._callers.put(sha256(token.encode()).digest(), caller)
        return caller

    def client(self) -> Client:
        """A new client."""
        return Client(self)

    def vendor(self, channel: int = 0) -> Vendor:
        """A connection to a channel's provider that is kept, and will be used for the next request."""
        pool = self.plane.channels[channel].pool
        connection, transport = Connection(pool), FakeTransport()
        connection.connection_made(transport)
        pool._all.add(connection)
        pool._idle.append(connection)
        return Vendor(connection, transport)

    def exchange(self, line: bytes = b"POST /v1/chat/completions", *headers: tuple[bytes, bytes], body: bytes | None = None) -> Exchange:
        """An exchange as the edge makes it, on a connection of its own; nobody walks it."""
        method, _, url = line.partition(b" ")
        target = find_target(method, url)
        edge = self.client().edge
        exchange = edge.active = Exchange(edge, target, list(headers), sift(list(headers), target.query))
        exchange.body = body
        return exchange

    def answered(self, head: bytes, vendor: Vendor) -> Any:
        """The head of an answer, read from a connection that was asked something; its body can be delivered."""
        signal = vendor.connection.ask(b"")
        vendor.says(head)
        return signal.value

    def deliver(self, receiver: Receiver, vendor: Vendor) -> Any:
        """Have the body of that answer go to a receiver."""
        vendor.connection.deliver(receiver)
        return receiver

    async def durable(self) -> None:
        """Wait until every charge is."""
        async with asyncio.timeout(5):
            while self.plane.books.depth:  # noqa: ASYNC110  nothing tells
                await asyncio.sleep(0.001)

    def charges(self) -> list[dict[str, Any]]:
        """The rows of the table of charges at this moment."""
        with sqlite3.connect(self.settings.data / "penstock.db") as database:
            database.row_factory = sqlite3.Row
            rows = [dict(row) for row in database.execute("select * from charge order by id")]
        database.close()
        return rows


def ask(*headers: bytes, line: bytes = b"POST /v1/chat/completions", body: bytes = CHAT, key: str = KEY) -> bytes:
    """A request with a length, as an SDK writes it."""
    lines = (line + b" HTTP/1.1", b"host: gateway", b"authorization: Bearer " + key.encode(), b"content-type: application/json", *headers)
    return b"%b\r\ncontent-length: %d\r\n\r\n%b" % (b"\r\n".join(lines), len(body), body)


def answer(body: bytes = USAGE, *headers: bytes, status: int = 200) -> bytes:
    """A provider's plain answer."""
    lines = (b"HTTP/1.1 %d Fine" % status, b"content-type: application/json", *headers)
    return b"%b\r\ncontent-length: %d\r\n\r\n%b" % (b"\r\n".join(lines), len(body), body)


def parts_of(data: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """An answer: status, headers, and what follows them."""
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return int(first.split()[1]), dict(line.split(b": ", 1) for line in lines), rest


def unchunked(data: bytes) -> tuple[bytes, bool]:
    """The content of chunks, each of which must be whole, and whether the last one, which is empty, was among them."""
    content = bytearray()
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        assert data[length : length + 2] == b"\r\n"
        content += data[:length]
        data = data[length + 2 :]
        if not length:
            assert data == b""
            return bytes(content), True
    return bytes(content), False

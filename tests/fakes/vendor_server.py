"""A vendor on loopback that answers by what it is asked, and remembers it. Subclasses are vendors, with faults to be switched on.

async with FakeSerper() as vendor:
    vendor.fault = Reply(429, b'{"message": "slow down"}')
    ... call vendor.url ...
    assert vendor.requests[0].target == "/search"
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from fake_provider import Line, Received
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.errands.errand import Fetched, Order

SECRET = "sk-vendor-placeholder"


@dataclass
class Reply:
    """An answer."""

    status: int = 200
    body: bytes = b"{}"
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    after_s: float = 0

    @classmethod
    def of(cls, value: Any, status: int = 200, **more: Any) -> Self:
        """One of JSON."""
        return cls(status, json.dumps(value).encode(), **more)


HTML = Reply(502, b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>", "text/html")


class VendorServer:
    """Answers requests with what `answer` says; `fault`, if there is one, is said instead."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.fault: Reply | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, request: Received) -> Reply:
        """What a vendor does."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**26)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Close everything."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        line = Line(len(self._tasks), reader, writer)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            while (request := await line.head()) is not None:
                await line.body(request)
                self.requests.append(request)
                reply = self.fault or await self.answer(request)
                await asyncio.sleep(reply.after_s)
                lines = [f"HTTP/1.1 {reply.status} Status", f"content-type: {reply.kind}", f"content-length: {len(reply.body)}"]
                lines += [f"{name}: {value}" for name, value in reply.headers]
                await line.send("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)
        writer.close()

    async def eventually(self, true: Callable[[], bool]) -> None:
        """Wait until something has come about; the test fails when it does not."""
        for _ in range(1000):
            if true():
                return
            await asyncio.sleep(0.005)
        raise AssertionError([request.target for request in self.requests])


@dataclass
class Caller:
    """Calls a vendor as the relay would for an errand."""

    url: str
    lines: bytes = b""
    refused: frozenset[str] = field(default_factory=frozenset)
    """Downloads that the guard does not let through."""

    async def fetch(self, method: str, path: str, *, query: bytes = b"", headers: bytes = b"", body: bytes = b"") -> Fetched:
        """An errand's `fetch`."""
        pairs = [line.split(b": ", 1) for line in (self.lines + headers).split(b"\r\n") if line]
        url = self.url + path + (f"?{query.decode()}" if query else "")
        return await self._call(method, url, [(name, value) for name, value in pairs], body)

    async def download(self, url: str) -> Fetched:
        """An errand's `download`."""
        if url in self.refused:
            raise UpstreamError("refused", "the address is private")
        return await self._call("GET", url, [], b"")

    async def _call(self, method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Fetched:
        try:
            async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
                answer = await client.request(method, url, headers=headers, content=body)
        except httpx.HTTPError as exc:
            raise UpstreamError("broken", str(exc)) from exc
        pairs = [(name.lower(), value) for name, value in answer.headers.raw]
        return Fetched(answer.status_code, answer.headers.get("content-type", ""), answer.content, pairs)

    def order(self, path: str, model: str, fields: dict[str, Any], **settings: Any) -> Order:
        """What an errand is given."""
        return Order(
            model=model,
            public=model,
            path=path,
            query=b"",
            fields=fields,
            request_id="req_1",
            created=1_700_000_000,
            fetch=self.fetch,
            download=self.download,
            settings=settings,
        )

"""Gathering: one request on one connection and its whole answer, for those who are asyncio tasks and not walks."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Iterator

from penstock.kit.walker import Walker
from penstock.upstream.client.connection import Connection, UpstreamError
from penstock.upstream.client.head import Head

_WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


class _Gathering:
    """A receiver that keeps at most `limit` bytes."""

    def __init__(self, connection: Connection, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self.content = bytearray()
        self.head: Head | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, request: bytes, *, to_head: bool) -> None:
        """The steps, to be walked: what is awaited are signals."""
        head: Head = await self._connection.ask(request, to_head=to_head)
        if head.status == 101:
            raise UpstreamError("invalid", "it switched protocols without being asked")
        self.head = head
        self._connection.deliver(self)

    def walked(self, error: BaseException | None) -> None:
        """The head has come, or never will."""
        if error is not None:
            self._fail(error)

    def body(self, data: bytes) -> None:
        self.content += data
        if len(self.content) > self._limit:
            self._fail(UpstreamError("invalid", f"the answer is longer than {self._limit} bytes"))

    def chunks(self, framed: bytes, parts: list[bytes]) -> None:
        for part in parts:
            self.body(part)

    def end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def broken(self, error: UpstreamError) -> None:
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


async def gather(connection: Connection, request: bytes, limit: int, *, to_head: bool = False) -> tuple[Head, bytes]:
    """The head of the answer and its content, at most `limit` bytes; gzip and deflate are undone.

    Raises UpstreamError. However it ends, the connection is closed, or has gone back to its pool.
    """
    gathering = _Gathering(connection, limit)
    with _aborted(connection):
        Walker(gathering.run(request, to_head=to_head), gathering.walked).start()
        await gathering.done
    assert gathering.head is not None  # noqa: S101  it came before the body
    return gathering.head, _expanded(bytes(gathering.content), gathering.head.content_encoding, limit)


@contextlib.contextmanager
def _aborted(connection: Connection) -> Iterator[None]:
    """Hang up when the block is left by an error: nobody wants the rest."""
    try:
        yield
    except BaseException:
        connection.abort()
        raise


def _expanded(content: bytes, encoding: bytes, limit: int) -> bytes:
    if not encoding or not content:
        return content
    window = _WINDOWS.get(encoding.strip().lower())
    if window is None:
        raise UpstreamError("invalid", "the answer is compressed in a way that was not asked for")
    expander = zlib.decompressobj(window)
    try:
        expanded = expander.decompress(content, limit + 1)
    except zlib.error:
        raise UpstreamError("invalid", "the answer says that it is compressed, and cannot be expanded") from None
    if len(expanded) > limit:
        raise UpstreamError("invalid", f"the answer is longer than {limit} bytes")
    if not expander.eof:
        raise UpstreamError("invalid", "the compressed answer is not whole")
    return expanded

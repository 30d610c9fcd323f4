"""Call: the request to the provider, and the retries, which end at the first byte of an answer."""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import TYPE_CHECKING

from penstock.kit.tasks import spawn
from penstock.kit.walker import Signal
from penstock.relay.events import Events
from penstock.relay.exchange import Exchange
from penstock.relay.guard import Guard
from penstock.relay.headers import without_key
from penstock.relay.splice import Plain, Splice, refusal
from penstock.relay.tunnel import Tunnel, upgrade_lines
from penstock.upstream.client.connection import Connection, UpstreamError

if TYPE_CHECKING:
    from penstock.relay.plane import Plane
    from penstock.relay.route import Route
    from penstock.upstream.channel import Channel
    from penstock.upstream.client.head import Head
    from penstock.upstream.wires.wire import Ask

RETRIED = frozenset((408, 409, 429, 500, 502, 503, 504, 529))


class Answer:
    """What came of a call. `head` is None when the exchange was interrupted after the request had been written."""

    __slots__ = ("attempts", "channel", "connection", "head", "head_ns", "sent_ns", "splice")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.connection: Connection | None = None
        self.head: Head | None = None
        self.splice: Splice | None = None
        self.attempts = 0
        self.sent_ns = self.head_ns = 0

    def give_up(self) -> None:
        """Hang up on the provider: nobody wants the rest."""
        if self.connection is not None:
            self.connection.abort()


async def call(route: Route, ask: Ask, exchange: Exchange, plane: Plane, answer: Answer) -> None:
    """Ask the channels of the route in turn until one answers, into `answer`. Raises PenstockError 502, 503 or 504 when none did.

    The next channel is asked when nothing could be written to one, or when it answered with a status that says so; a request
    that was written and not answered is not sent again. A body that streams through is sent once, since it is not kept.
    """
    upload = exchange.upload
    body = exchange.wire.prepare(exchange.body, ask, route.served) if exchange.body else b""
    channels = route.channels if len(route.channels) <= plane.attempts else route.channels[: plane.attempts]
    error: UpstreamError | None = None
    for channel in channels:
        answer.channel = channel
        answer.attempts += 1
        try:
            answer.connection = connection = channel.pool.take() or await _connect(channel)
        except UpstreamError as failure:
            error = failure
            continue
        answer.sent_ns = perf_counter_ns()
        answer.head = None
        head = connection.ask(_request(channel, body, exchange), to_head=exchange.target.method == b"HEAD")
        if upload is not None:
            upload.forward(connection)
        try:
            answer.head = await head
        except UpstreamError as failure:
            answer.head = await _ask_again(failure, channel, body, exchange, answer)
        answer.head_ns = perf_counter_ns()
        if upload is not None:
            if answer.head.status >= 400:
                upload.stop()
        elif answer.head.status in RETRIED and answer.attempts < len(channels) and _in_time(exchange, plane):
            answer.give_up()
            continue
        return
    raise refusal(error)


async def _ask_again(failure: UpstreamError, channel: Channel, body: bytes, exchange: Exchange, answer: Answer) -> Head:
    """After a failure: once more on a fresh connection, if a kept one was closed in the instant it was used. Raises PenstockError.

    The provider has then not read the request: see docs/decisions/upstream-client.md.
    """
    if not failure.reused or exchange.upload is not None:
        raise refusal(failure) from None
    try:
        answer.connection = connection = await _connect(channel)
        head: Head = await connection.ask(_request(channel, body, exchange), to_head=exchange.target.method == b"HEAD")
    except UpstreamError as again:
        raise refusal(again) from None
    return head


def _in_time(exchange: Exchange, plane: Plane) -> bool:
    return perf_counter_ns() < exchange.began_ns + int(plane.settings.retry_within_s * 1e9)


async def _connect(channel: Channel) -> Connection:
    task = spawn(channel.pool.connect(), name=f"connect {channel.name}", awaited=True)
    try:
        connection: Connection = await task
    except BaseException:
        # The walk was interrupted: a connection that is made all the same is for somebody else.
        task.add_done_callback(_unwanted)
        task.cancel()
        raise
    return connection


def _unwanted(task: asyncio.Task[Connection]) -> None:
    if not task.cancelled() and task.exception() is None:
        connection = task.result()
        connection.pool.give_back(connection)


def _request(channel: Channel, body: bytes, exchange: Exchange) -> bytes:
    target, sifted, upload = exchange.target, exchange.sifted, exchange.upload
    headers = sifted.forward
    query = target.query
    if channel.transparent:
        headers += sifted.own_credentials
    elif query:
        query = without_key(query)
    if upload is not None:
        if sifted.content_encoding:
            headers += b"content-encoding: %b\r\n" % sifted.content_encoding
        framing = b"transfer-encoding: chunked\r\n" if sifted.length is None else b"content-length: %d\r\n" % (sifted.length + upload.grown)
        return channel.request(target.method, target.path, query, headers + framing) + b"\r\n"
    if exchange.upgrade and exchange.wire.name == "realtime":
        headers += upgrade_lines(exchange, own_key=channel.transparent)
    if body or target.method in (b"POST", b"PUT", b"PATCH"):
        return b"%bcontent-length: %d\r\n\r\n%b" % (channel.request(target.method, target.path, query, headers), len(body), body)
    return channel.request(target.method, target.path, query, headers) + b"\r\n"


def splice(answer: Answer, ask: Ask, exchange: Exchange, record_limit: int, guard: Guard | None = None) -> Signal:
    """Let the answer's bytes flow to the client; what it gives happens, with an outcome, when they have. A stream is watched by `guard`."""
    head, connection = answer.head, answer.connection
    assert head is not None  # noqa: S101  the call has ended well
    assert connection is not None  # noqa: S101
    if head.status == 101:
        if not exchange.upgrade or exchange.wire.name != "realtime":
            connection.abort()
            raise refusal(UpstreamError("invalid", "it switched protocols without being asked"))
        tunnel = answer.splice = Tunnel(exchange, answer, ask, guard)
        exchange.walker = None
        return tunnel.ended
    receiver: Events | Plain
    if head.content_type.startswith(b"text/event-stream") and head.status < 400 and head.framing is not None and not head.content_encoding:
        receiver = Events(exchange, ask, head, connection, record_limit, guard)
    else:
        receiver = Plain(exchange, ask, head, connection, record_limit)
    answer.splice = receiver
    connection.deliver(receiver)
    return receiver.ended

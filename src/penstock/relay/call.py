"""Call: the request to the provider, and the retries, which end at the first byte of an answer."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

from penstock.kit.tasks import spawn
from penstock.kit.walker import Signal
from penstock.relay.events import Events
from penstock.relay.exchange import Exchange, Interruption
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

    A channel is asked once. Only a kept connection that was closed in the instant it was used is tried again on a
    fresh one. A request body that streams through can be sent once, since it is not kept.
    """
    upload = exchange.upload
    body = exchange.wire.prepare(exchange.body, ask, route.served) if exchange.body else b""
    to_head = exchange.target.method == b"HEAD"
    error: UpstreamError | None = None
    channels = route.channels
    left = min(len(channels), plane.attempts)
    for channel in channels[:left] if left > 1 else channels:
        left -= 1
        answer.channel = channel
        answer.attempts += 1
        try:
            answer.connection = connection = channel.pool.take() or await _connect(channel)
            answer.sent_ns = perf_counter_ns()
            head = connection.ask(_request(channel, body, exchange), to_head=to_head)
            if upload is not None:
                upload.forward(connection)
            try:
                answer.head = await head
            except UpstreamError as failure:
                if not failure.reused or upload is not None:
                    raise
                # The provider closed a kept connection just as we used it: it has not read the request.
                answer.connection = connection = await _connect(channel)
                answer.head = await connection.ask(_request(channel, body, exchange), to_head=to_head)
        except UpstreamError as failure:
            error = failure
            if upload is not None and answer.sent_ns:
                break
            continue
        answer.head_ns = perf_counter_ns()
        if upload is not None:
            upload.stop()
        elif left and answer.head.status in RETRIED and _in_time(exchange, plane):
            connection.abort()
            continue
        return
    answer.head = None
    raise refusal(error)


def _in_time(exchange: Exchange, plane: Plane) -> bool:
    return perf_counter_ns() < exchange.began_ns + int(plane.settings.retry_within_s * 1e9)


async def _connect(channel: Channel) -> Connection:
    task = spawn(channel.pool.connect(), name=f"connect {channel.name}")
    try:
        connection: Connection = await task
    except Interruption:
        task.cancel()
        raise
    return connection


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
        headers += upgrade_lines(exchange)
    if body or target.method in (b"POST", b"PUT", b"PATCH"):
        return b"%bcontent-length: %d\r\n\r\n%b" % (channel.request(target.method, target.path, query, headers), len(body), body)
    return channel.request(target.method, target.path, query, headers) + b"\r\n"


def splice(answer: Answer, ask: Ask, exchange: Exchange, record_limit: int) -> Signal:
    """Let the answer's bytes flow to the client; what it gives happens, with an outcome, when they have."""
    head, connection = answer.head, answer.connection
    assert head is not None  # noqa: S101  the call has ended well
    assert connection is not None  # noqa: S101
    if head.status == 101:
        tunnel = answer.splice = Tunnel(exchange, answer, ask)
        exchange.walker = None
        return tunnel.ended
    receiver: Events | Plain
    if head.content_type.startswith(b"text/event-stream") and head.status < 400 and head.framing is not None and not head.content_encoding:
        receiver = Events(exchange, ask, head, connection, record_limit)
    else:
        receiver = Plain(exchange, ask, head, connection, record_limit)
    answer.splice = receiver
    connection.deliver(receiver)
    return receiver.ended

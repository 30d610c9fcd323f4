"""Call: the request to the provider, and the retries, which end at the first byte of an answer."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

from penstock.kit.tasks import spawn
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

    __slots__ = ("attempts", "channel", "connection", "ended_ns", "head", "head_ns", "outcome", "sent_ns", "splice")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.connection: Connection | None = None
        self.head: Head | None = None
        self.splice: Splice | None = None
        self.outcome = ""
        self.attempts = 0
        self.sent_ns = self.head_ns = self.ended_ns = 0


async def call(route: Route, ask: Ask, exchange: Exchange, plane: Plane) -> Answer:
    """Ask the channels of the route in turn until one answers. Raises PenstockError 502, 503 or 504 when none did.

    A channel is asked once. Only a kept connection that was closed in the instant it was used is tried again on a
    fresh one. A request body that streams through can be sent once, since it is not kept.
    """
    renamed = route.served if route.served != route.model else None
    body = exchange.wire.prepare(exchange.body, ask, renamed) if exchange.body else b""
    answer = Answer(route.channels[0])
    error: UpstreamError | None = None
    give_up_ns = exchange.began_ns + int(plane.settings.retry_within_s * 1e9)
    last = min(len(route.channels), plane.settings.retries + 1) - 1
    for number, channel in enumerate(route.channels[: last + 1]):
        answer.channel = channel
        try:
            await _ask_channel(answer, body, exchange)
        except UpstreamError as failure:
            error = failure
            if exchange.upload is not None and answer.sent_ns:
                break
            continue
        head = answer.head
        if head is None or head.status not in RETRIED or number == last or perf_counter_ns() > give_up_ns or exchange.upload is not None:
            return answer
        if answer.connection is not None:
            answer.connection.abort()
    raise refusal(error)


async def _ask_channel(answer: Answer, body: bytes, exchange: Exchange) -> None:
    channel, upload = answer.channel, exchange.upload
    pool = channel.pool
    answer.attempts += 1
    connection = pool.take() or await _connect(channel)
    while True:
        answer.connection = connection
        answer.sent_ns = perf_counter_ns()
        head = connection.ask(_request(channel, body, exchange), to_head=exchange.target.method == b"HEAD")
        if upload is not None:
            upload.forward(connection)
        try:
            answer.head = await head
        except Interruption as why:
            connection.abort()
            answer.outcome = why.outcome
        except UpstreamError as failure:
            if failure.reused and upload is None:
                # The provider closed a kept connection just as we used it: it has not read the request.
                connection = await _connect(channel)
                continue
            raise
        answer.head_ns = perf_counter_ns()
        if upload is not None:
            upload.stop()
        return


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
        headers += b"content-length: %d\r\n" % len(body)
    return b"%b\r\n%b" % (channel.request(target.method, target.path, query, headers), body)


async def splice(answer: Answer, ask: Ask, exchange: Exchange, record_limit: int) -> str:
    """Let the answer's bytes flow to the client; the outcome. An interruption closes the connection to the provider at once."""
    head, connection = answer.head, answer.connection
    outcome: str
    if head is None or connection is None:
        answer.ended_ns = answer.head_ns
        return answer.outcome
    if head.status == 101:
        answer.splice = joined = Tunnel(exchange, answer, ask)
        exchange.walker = None
        outcome = await joined.ended
        answer.ended_ns = perf_counter_ns()
        return outcome
    kind = head.get(b"content-type") or b""
    streams = head.status < 400 and head.framing is not None and kind[:17].lower() == b"text/event-stream" and head.get(b"content-encoding") is None
    receiver = (Events if streams else Plain)(exchange, ask, head, connection, record_limit)
    answer.splice = receiver
    connection.deliver(receiver)
    try:
        outcome = await receiver.ended
    except Interruption as why:
        connection.abort()
        outcome = why.outcome
    answer.ended_ns = perf_counter_ns()
    return outcome


__all__ = ["Answer", "call", "splice"]

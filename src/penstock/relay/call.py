"""Call: the request to the provider, and the retries on other lanes, which end at the first byte of an answer."""

from __future__ import annotations

import asyncio
import time
from time import perf_counter_ns
from typing import TYPE_CHECKING

from penstock.kit.errors import PenstockError
from penstock.kit.tasks import spawn
from penstock.kit.walker import Signal
from penstock.relay.bridged import Told, Translated
from penstock.relay.errands import run_errand
from penstock.relay.events import Events
from penstock.relay.exchange import Exchange
from penstock.relay.faults import failure_of
from penstock.relay.guard import Guard
from penstock.relay.request import Sent, cross, request_on, request_over, sent_of
from penstock.relay.splice import Plain, Splice, refusal
from penstock.relay.tunnel import Tunnel
from penstock.telemetry.door import Trial
from penstock.upstream.client.connection import Connection, UpstreamError
from penstock.upstream.faults import Fault, fault_of

if TYPE_CHECKING:
    from penstock.relay.plane import Plane
    from penstock.relay.route import Route
    from penstock.upstream.bridges.bridge import Crossing
    from penstock.upstream.channel import Channel
    from penstock.upstream.client.head import Head
    from penstock.upstream.lane import Lane
    from penstock.upstream.wires.wire import Ask


class Answer:
    """What came of a call. `head` is None when the exchange was interrupted after the request had been written.

    `crossing` is there when the answer comes over a bridge. `tried` says which lanes have failed before, and why.
    """

    __slots__ = (
        "attempts", "called_ns", "channel", "connection", "crossing", "head", "head_ns", "lane", "sent", "sent_ns", "span_id", "splice",
        "trials", "tried", "trying_ns",
    )  # fmt: skip

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.channel: Channel = lane.channel
        self.connection: Connection | None = None
        self.crossing: Crossing | None = None
        self.head: Head | None = None
        self.sent: Sent | None = None
        """The request as it went out, where it is recorded."""
        self.splice: Splice | None = None
        self.attempts = 0
        self.called_ns = self.trying_ns = self.sent_ns = self.head_ns = 0
        """When the first lane was tried, when this one was, when the request was written to it, and when the head of its answer came."""
        self.tried: tuple[str, ...] = ()
        self.trials: tuple[Trial, ...] = ()
        """The same, with their times."""
        self.span_id = 0
        """What the provider is told of our span for it, where it is told."""

    def begin(self, lane: Lane) -> None:
        """A lane is tried."""
        self.lane, self.channel = lane, lane.channel
        self.connection = self.crossing = self.head = None
        self.sent_ns = self.head_ns = self.span_id = 0
        self.trying_ns = perf_counter_ns()
        if not self.attempts:
            self.called_ns = self.trying_ns
        self.attempts += 1

    def failed(self, fault: Fault | None) -> None:
        """The lane that is tried has failed, and another one may be."""
        reason, status = fault.reason if fault is not None else "busy", self.head.status if self.head is not None else 0
        self.tried = (*self.tried, f"{self.channel.name}: {reason}")
        self.trials = (*self.trials, Trial(self.lane, self.trying_ns, perf_counter_ns(), status, reason, self.span_id))
        if fault is not None and not self.channel.transparent:
            self.channel.breakers.failed(self.lane.served, fault, time.time())

    def give_up(self) -> None:
        """Hang up on the provider: nobody wants the rest."""
        if self.connection is not None:
            self.connection.abort()


async def call(
    route: Route, ask: Ask, exchange: Exchange, plane: Plane, answer: Answer, record_limit: int
) -> None:  # fmt: skip
    """Ask the lanes of the route in turn until one answers, into `answer`. Raises PenstockError 400, 502, 503 or 504 when none did.

    The next lane is asked when nothing could be written to one, or when it answered with a status that says so; a request
    that was written and not answered is not sent again. A body that streams through is sent once, since it is not kept.
    """
    lanes = route.lanes
    error: PenstockError | None = None
    for index, lane in enumerate(lanes):
        answer.begin(lane)
        if exchange.ruling is not None:
            exchange.ruling.on(lane.channel, exchange, plane)
        if lane.bridge is not None or lane.errand is not None:
            if exchange.upload is not None:
                exchange.body, exchange.upload = await exchange.upload.whole(), None
            try:
                if lane.errand is not None:
                    await run_errand(lane, exchange, answer, record_limit, plane)
                    _name(lane, exchange, plane)
                    return
                answer.crossing = cross(lane, exchange)
            except PenstockError as refused:  # it cannot be said there; another lane may know how
                error = error or refused
                if answer.sent_ns or not _may_go_on(index, route, exchange, plane):
                    break  # it may have been done in part
                continue
        try:
            answer.connection = lane.channel.pool.take() or await _connect(lane.channel)
        except UpstreamError as failure:
            error = refusal(failure)
            answer.failed(fault_of(failure, connecting=True))
            continue
        failed = failure_of(await _ask(ask, exchange, answer, record_limit), exchange)
        if failed is None or (failed.error is None and not _may_go_on(index, route, exchange, plane)):
            if answer.crossing is not None:
                exchange.notes += answer.crossing.dropped
            _name(lane, exchange, plane)
            return
        answer.failed(failed.fault)
        answer.give_up()
        error = failed.error
        if not _may_go_on(index, route, exchange, plane):
            break
    raise error or refusal(None)


async def _ask(ask: Ask, exchange: Exchange, answer: Answer, record_limit: int) -> Head:
    """Write the request and wait for the head of the answer. Raises PenstockError when none comes."""
    lane, crossing, connection, upload = answer.lane, answer.crossing, answer.connection, exchange.upload
    assert connection is not None  # noqa: S101  the caller has made it
    request = request_on(lane, ask, exchange) if crossing is None else request_over(crossing, lane, exchange)
    plane = exchange.edge.plane
    if plane.watch is not None and plane.settings.otel_propagate:
        request = plane.watch.told(request, exchange, answer)
    if record_limit:
        answer.sent = sent_of(request, exchange.body, record_limit, lane.channel)
    to_head = exchange.target.method == b"HEAD"
    if lane.channel.breakers.troubled:
        lane.channel.breakers.enter(lane.served, time.time())
    answer.sent_ns = perf_counter_ns()
    waiting = connection.ask(request, to_head=to_head)
    if upload is not None:
        upload.forward(connection)
    try:
        head: Head = await waiting
    except UpstreamError as failure:
        # Once more on a fresh connection, if a kept one was closed in the instant it was used: the provider has then not read the
        # request (docs/decisions/upstream-client.md).
        if not failure.reused or upload is not None:
            answer.failed(fault_of(failure, connecting=False))
            raise refusal(failure) from None
        try:
            answer.connection = await _connect(lane.channel)
            head = await answer.connection.ask(request, to_head=to_head)
        except UpstreamError as again:
            answer.failed(fault_of(again, connecting=False))
            raise refusal(again) from None
    answer.head = head
    answer.head_ns = perf_counter_ns()
    if upload is not None and head.status >= 400:
        upload.stop()
    return head


def _name(lane: Lane, exchange: Exchange, plane: Plane) -> None:
    """Tell the client which channel has answered, where that is wanted."""
    if plane.settings.show_channel:
        exchange.notes += b"x-penstock-channel: %b\r\n" % lane.channel.name.encode()


def _may_go_on(index: int, route: Route, exchange: Exchange, plane: Plane) -> bool:
    if exchange.upload is not None or index + 1 == len(route.lanes):
        return False
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


def splice(answer: Answer, ask: Ask, exchange: Exchange, record_limit: int, guard: Guard | None = None) -> Signal:
    """Let the answer's bytes flow to the client; what it gives happens, with an outcome, when they have. A stream is watched by `guard`."""
    if answer.splice is not None:  # an errand has brought the whole of it
        return answer.splice.ended
    head, connection, crossing = answer.head, answer.connection, answer.crossing
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
    streams = head.content_type.startswith(b"text/event-stream") and head.status < 400 and head.framing is not None
    if streams and not head.content_encoding and (crossing is None or crossing.ask.stream):
        if crossing is None:
            receiver = Events(exchange, ask, head, connection, record_limit, guard)
        else:
            receiver = Told(exchange, ask, head, connection, record_limit, guard, crossing)
    elif crossing is None:
        receiver = Plain(exchange, ask, head, connection, record_limit, answer.channel)
    else:
        receiver = Translated(exchange, crossing, head, connection, record_limit, answer.channel)
    answer.splice = receiver
    connection.deliver(receiver)
    return receiver.ended

"""Drain: the rest of an answer whose client has left, read so that it is charged by the provider's own figures.

The walk waits here with the hold it has taken, so the hold is resolved where every other is. A drain is bounded in time, in bytes
and in number; over a bound the provider is left after all and the charge is an estimate, as it is without draining.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

from penstock.kit.errors import PenstockError
from penstock.relay.call import splice
from penstock.relay.exchange import ClientGone, Exchange, Interruption, Stopping
from penstock.relay.guard import guard_of
from penstock.relay.outcome import CLIENT_GONE
from penstock.upstream.client.connection import UpstreamError

if TYPE_CHECKING:
    from penstock.billing.door import Funds
    from penstock.relay.plane import Plane
    from penstock.upstream.client.connection import Receiver


class Drain:
    """One answer that is read without its client. It stands between the connection and the splice, and counts."""

    def __init__(self, exchange: Exchange, plane: Plane) -> None:
        self.exchange = exchange
        self.receiver: Receiver | None = None
        self._left = plane.settings.drain_limit
        self._until_tick = plane.pulse.tick + plane.pulse.ticks(plane.settings.drain_s)

    # from the connection

    def body(self, data: bytes) -> None:
        """Bytes of the answer."""
        self._left -= len(data)
        if self._left < 0:
            self._give_up(ClientGone())
        elif self.receiver is not None:
            self.receiver.body(data)

    def chunks(self, framed: bytes, parts: list[bytes]) -> None:
        """Whole chunks."""
        for part in parts:
            self.body(part)

    def end(self) -> None:
        """The answer is whole."""
        if self.receiver is not None:
            self.receiver.end()

    def broken(self, error: UpstreamError) -> None:
        """The answer breaks off."""
        if self.receiver is not None:
            self.receiver.broken(error)

    # bounds

    def sweep(self, tick: int) -> None:
        """End it when its time is over; called once per tick."""
        if tick > self._until_tick:
            self._give_up(ClientGone())

    def stop(self) -> None:
        """End it, since the gateway stops."""
        self._give_up(Stopping())

    def _give_up(self, why: Interruption) -> None:
        if self.exchange.walker is not None:
            self.exchange.walker.interrupt(why)


async def drained(why: Interruption, exchange: Exchange, funds: Funds, record_limit: int, plane: Plane) -> bool:
    """After an exchange was interrupted: read its answer to the end, if its channel is set to; whether that end was reached."""
    running = exchange.running
    if why.outcome != CLIENT_GONE or running is None or exchange.upgrade or len(plane.drains) >= plane.settings.drains:
        return False
    answer = running.answer
    connection = answer.connection
    if answer.channel.terms.on_disconnect != "drain" or connection is None or (exchange.upload is not None and not exchange.upload.done):
        return False
    drain = Drain(exchange, plane)
    plane.drains.add(drain)
    try:
        if answer.splice is None:
            if connection.awaited is None:
                return False
            answer.head = await connection.awaited
            answer.head_ns = perf_counter_ns()
            splice(answer, running.ask, exchange, record_limit, guard_of(running, funds, plane))
        if answer.splice is None:
            return False
        drain.receiver = connection.redirect(drain)
        answer.splice.leave()
        if not answer.splice.ended.done:
            await answer.splice.ended
    except (Interruption, UpstreamError, PenstockError):
        return False
    finally:
        plane.drains.discard(drain)
    return True

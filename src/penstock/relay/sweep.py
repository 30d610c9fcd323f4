"""What is done to all client connections at once: at every tick, and when the gateway stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.relay.events import Events
from penstock.relay.exchange import Stopping

if TYPE_CHECKING:
    from penstock.relay.plane import Plane


def sweep(plane: Plane) -> None:
    """Once per tick: end what clients have let time out, and keep silent streams alive."""
    tick, every = plane.pulse.tick, plane.limits.comment_every
    for connection in list(plane.connections):
        connection.sweep(tick)
        exchange = connection.active
        if exchange is not None and isinstance(exchange.receiver, Events):
            exchange.receiver.keep_alive(tick, every)
    for drain in list(plane.drains):
        drain.sweep(tick)


def interrupt_all(plane: Plane) -> int:
    """The time to finish is over: interrupt every exchange that still runs, with or without its client; how many there were."""
    running = [connection for connection in list(plane.connections) if connection.active]
    for connection in running:
        exchange = connection.active
        if connection.tunnel is not None:
            connection.tunnel.stop()
        elif exchange is not None and exchange.walker is not None:
            exchange.close = True
            exchange.walker.interrupt(Stopping())
    drains = list(plane.drains)
    for drain in drains:
        drain.stop()
    return len(running) + len(drains)

"""Permit: whether the caller may use this protocol, and from this address."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from penstock.keys.door import Caller
from penstock.kit.errors import PenstockError
from penstock.kit.networks import contains

if TYPE_CHECKING:
    from penstock.relay.exchange import Exchange
    from penstock.relay.plane import Plane


def permit(caller: Caller, exchange: Exchange, plane: Plane, *, wire: bool = True) -> None:
    """Check the networks that the key was made for, and the wires unless `wire` is false.

    Raises PenstockError 403 `wire_not_allowed`, `address_not_allowed`.
    """
    if wire and caller.wires is not None:
        check_wire(caller.wires, exchange.wire.name)
    if caller.networks is not None:
        client = exchange.edge.client
        peer = client[0] if client is not None else ""
        check_address(caller.networks, client_address(peer, exchange.headers, plane.settings.trusted))


def check_wire(wires: Iterable[str], wire: str) -> None:
    """Raises PenstockError `wire_not_allowed` unless the wire is one of these."""
    if wire not in wires:
        raise PenstockError("wire_not_allowed", f"This key may not be used for {wire}; it may for {', '.join(sorted(wires))}.")


def check_address(networks: tuple[str, ...], address: str) -> None:
    """Raises PenstockError `address_not_allowed` unless the address is in one of the networks."""
    if not contains(networks, address):
        raise PenstockError("address_not_allowed", f"This key may not be used from {address[:64] or 'an unknown address'}.")


def client_address(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: tuple[str, ...]) -> str:
    """Where a request comes from: the other end of the connection, or who a trusted proxy there says it forwards for.

    `x-forwarded-for` is read from its end, where each proxy adds whom it has heard: the first that is not trusted is the
    client, and what stands before it is only what the client says.
    """
    if not trusted or not contains(trusted, peer):
        return peer
    hops = [hop for name, value in headers if name == b"x-forwarded-for" for hop in value.split(b",")]
    for hop in reversed(hops):
        peer = _without_port(hop.decode("latin-1").strip())
        if not contains(trusted, peer):
            break
    return peer


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop

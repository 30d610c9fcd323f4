"""Admit: who is asking. Of several credentials the first that opens is used; all of them stay here."""

from __future__ import annotations

from penstock.billing.door import UNCOUNTED, Funds
from penstock.keys.door import Caller
from penstock.kit.errors import PenstockError
from penstock.relay.exchange import Exchange, stopping
from penstock.relay.limits import show_limits
from penstock.relay.plane import Plane

OWN_CREDENTIALS = Caller(key_id=None, name="own credentials")
CREDENTIALS_LIMIT = 4


def find_caller(exchange: Exchange, plane: Plane) -> Caller | None:
    """The caller, if the first credential is of a key that was seen before. Raises PenstockError 503 while stopping."""
    if plane.stopping:
        raise stopping()
    if plane.keys is None:
        return OWN_CREDENTIALS
    sifted = exchange.sifted
    caller = sifted.caller
    if caller is not None and sifted.epoch == plane.keys.epoch and caller.until_ms is None:
        return caller
    if len(sifted.credentials) != 1:
        return None
    caller = sifted.caller = plane.keys.find(sifted.credentials[0])
    sifted.epoch = plane.keys.epoch
    return caller


def funds_of(caller: Caller, plane: Plane) -> Funds:
    """What the caller's requests are covered by."""
    if not caller.wants:
        return UNCOUNTED
    return plane.treasury.funds_of(caller.key_id, caller.wants)


async def reserve(funds: Funds, nano: int, tokens: int, exchange: Exchange, plane: Plane) -> None:
    """Wait for what covers the request. Raises PenstockError 402, 429 or 503 where nothing does."""
    try:
        await plane.treasury.reserve(funds, nano, tokens)
    except PenstockError:
        show_limits(exchange, funds)
        raise


async def look_up(exchange: Exchange, plane: Plane) -> Caller:
    """The caller, from the database if need be. Raises PenstockError 401, or 503 when the database cannot tell."""
    keys = plane.keys
    if keys is None:
        return OWN_CREDENTIALS
    refused: PenstockError | None = None
    for token in exchange.sifted.credentials[:CREDENTIALS_LIMIT]:
        if not token:
            continue
        try:
            return keys.find(token) or await keys.look_up(token)
        except PenstockError as error:
            refused = refused or error
    raise refused or PenstockError(
        "missing_key", "No key was sent. Put your Penstock key into the header 'Authorization: Bearer sk-...' or 'x-api-key'."
    )

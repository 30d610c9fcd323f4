"""Admit: who is asking. Of several credentials the first that opens is used; all of them stay here."""

from __future__ import annotations

from penstock.keys.door import Caller
from penstock.kit.errors import PenstockError
from penstock.relay.exchange import Exchange
from penstock.relay.plane import Plane

OWN_CREDENTIALS = Caller(key_id=None, name="own credentials", models=None, record=False, expires_at_ms=None)
CREDENTIALS_LIMIT = 4


async def admit(exchange: Exchange, plane: Plane) -> Caller:
    """The caller. Raises PenstockError 401, or 503 while nobody new can be billed. Waits only for a key not seen before."""
    if plane.stopping:
        raise PenstockError("shutting_down", "The gateway is stopping; send the request again.", retry_after_s=1)
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

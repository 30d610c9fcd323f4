"""Managing: which tokens may call the control API of their account, for the gate of the control API to ask."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import or_, select

from penstock.infra.database import Database
from penstock.keys.models import Key
from penstock.kit import clock, tokens
from penstock.kit.errors import PenstockError
from penstock.kit.networks import contains

_MESSAGES = {
    "forbidden": "no permission: this needs a management key, which is made with kind management.",
    "key_disabled": "This key is disabled. Enable it, or ask whoever runs this gateway.",
    "key_expired": "This key has expired. Make a new one.",
    "address_not_allowed": "This key may not be used from this address.",
}


class ManagementKeys:
    """The management keys of one database."""

    def __init__(self, database: Database, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    async def find(self, token: str, address: str) -> tuple[str, str] | None:
        """The account and the id of the management key that has this token, used from this address; None for a token that is not known.

        Raises PenstockError for a key that is known and refused: `forbidden` when it is of another kind, `key_disabled`,
        `key_expired`, `address_not_allowed`. What is restricted in its other terms concerns the relay alone.
        """
        shown = token.encode(errors="replace")
        if not tokens.plausible(shown):
            return None
        digest = tokens.digest(shown)
        async with self._database.session(read_only=True) as session:
            key = await session.scalar(select(Key).where(or_(Key.digest == digest, Key.old_digest == digest)))
        if key is None:
            return None
        refused = self._refusal(key, digest, address)
        if refused is not None:
            raise PenstockError(refused, _MESSAGES[refused])
        return key.account_id, key.id

    def _refusal(self, key: Key, digest: bytes, address: str) -> str | None:
        ends_ms = [key.expires_at_ms, None if digest == key.digest else key.old_until_ms]
        if key.disabled_at_ms is not None:
            return "key_disabled"
        if any(end_ms is not None and end_ms <= self._now_ms() for end_ms in ends_ms):
            return "key_expired"
        if key.kind != "management":
            return "forbidden"
        if key.networks is not None and not contains(tuple(key.networks), address):
            return "address_not_allowed"
        return None

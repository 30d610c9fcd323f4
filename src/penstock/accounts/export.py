"""Export: everything that is known of an account, as one JSON document."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import IO, Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import no_account
from penstock.accounts.models import Account, Event, Membership, Session
from penstock.accounts.sessions import public_id
from penstock.infra.database import Database
from penstock.kit.clock import iso
from penstock.kit.errors import PenstockError

Exporter = Callable[[AsyncSession, str], AsyncIterator[tuple[str, dict[str, Any]]]]
"""What one domain knows of an account, without secrets: the name of a list and an item of it, the items of a list in a row."""

AT_ONCE = 2
"""Exports under way in a process."""
_BATCH = 500
_MEMORY = 1024 * 1024


class Exports:
    """Writes exports. `exporters` are asked in their order, after accounts themselves; no two have a list of the same name."""

    def __init__(self, database: Database, exporters: Iterable[Exporter] = ()) -> None:
        self._database = database
        self._exporters: Sequence[Exporter] = (export_account, *exporters)
        self._under_way: set[str] = set()

    async def write(self, account_id: str) -> IO[bytes]:
        """The document in a file without a name, open at its beginning; whoever closes it deletes it.

        It is written before it is sent: a client that reads slowly must not hold a transaction. Raises PenstockError `not_found`,
        and `too_many_requests` when there are others under way.
        """
        if account_id in self._under_way or len(self._under_way) >= AT_ONCE:
            raise PenstockError("too_many_requests", "Another export is being made. Try again when it is done.", retry_after_s=10)
        self._under_way.add(account_id)
        file = tempfile.SpooledTemporaryFile(_MEMORY)  # noqa: SIM115  the caller's
        try:
            await self._write(account_id, file)
        except BaseException:
            file.close()
            raise
        finally:
            self._under_way.discard(account_id)
        file.seek(0)
        return file

    async def _write(self, account_id: str, file: IO[bytes]) -> None:
        async with self._database.session(read_only=True) as session:
            account = await session.get(Account, account_id)
            if account is None:
                raise no_account(account_id)
            file.write(b'{\n"account": ' + _json(_facts(account)))
            section, lines = None, []
            for exporter in self._exporters:
                async for name, item in exporter(session, account_id):
                    if name != section:
                        lines.append(b"%b,\n%b: [\n" % (b"" if section is None else b"\n]", _json(name)))
                    lines.append((b"" if name != section else b",\n") + _json(item))
                    section = name
                    if len(lines) >= _BATCH:
                        file.write(b"".join(lines))
                        lines.clear()
                        await asyncio.sleep(0)  # whoever exports a million charges is not the only one here
            lines.append(b"\n}\n" if section is None else b"\n]\n}\n")
            file.write(b"".join(lines))


async def export_account(session: AsyncSession, account_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """What accounts know: memberships, sessions, and the audit trail of what was done to the account or by it."""
    for membership in await session.scalars(select(Membership).where(Membership.account_id == account_id).order_by(Membership.tier)):
        dates = {"started_at": iso(membership.started_at_ms), "until_at": iso(membership.until_ms)}
        yield "memberships", {"tier": membership.tier, **dates}
    for one in await session.scalars(select(Session).where(Session.account_id == account_id).order_by(Session.created_at_ms)):
        dates = {"created_at": iso(one.created_at_ms), "seen_at": iso(one.seen_at_ms), "expires_at": iso(one.expires_at_ms)}
        yield "sessions", {"id": public_id(one.digest), "agent": one.agent, "address": one.address, **dates}
    events = await session.stream_scalars(select(Event).where(Event.account_id == account_id).order_by(Event.id))
    async for event in events:
        yield "events", event_facts(event, account_id)


def event_facts(event: Event, account_id: str | None) -> dict[str, Any]:
    """An event as an account may see it: where others were when they did something is not told. None is an administrator."""
    return {
        "id": event.id, "at": iso(event.at_ms), "actor": event.actor, "via": event.via,
        "address": event.address if account_id in (None, event.actor) else None, "action": event.action,
        "account_id": event.account_id, "subject": event.subject, "detail": event.detail,
    }  # fmt: skip


def _facts(account: Account) -> dict[str, Any]:
    def moment(at_ms: int | None) -> str | None:
        return None if at_ms is None else iso(at_ms)

    return {
        "id": account.id, "name": account.name, "email": account.email, "role": account.role, "prepaid": account.prepaid,
        "limits": account.limits, "created_at": iso(account.created_at_ms), "confirmed_at": moment(account.confirmed_at_ms),
        "disabled_at": moment(account.disabled_at_ms), "deleted_at": moment(account.deleted_at_ms),
    }  # fmt: skip


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")

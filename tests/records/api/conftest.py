"""What the tests of the API of records share: the routes over a real store, members, and what is recorded of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from control_plane import ControlPlane
from made_records import made
from penstock.billing.bill import Bill
from penstock.infra.database import Database
from penstock.keys.names import names_of
from penstock.records.api import reading, replaying, sharing
from penstock.records.noted import Noted
from penstock.records.record import Record
from penstock.records.recorder import Recorder
from penstock.records.replay import Replays
from penstock.records.service import Records
from penstock.records.sharing import Sharing


async def nowhere(*_: Any) -> Any:
    """Where requests are sent that must not be sent."""
    raise AssertionError("a request was sent")


@pytest.fixture
async def plane(database: Database, records: Records) -> AsyncIterator[ControlPlane]:
    """The control plane of records."""
    routes = (sharing.routes, replaying.routes, reading.routes, sharing.shared)
    async with ControlPlane(database, *routes, public_url="https://gateway.example.com") as running:
        state = running.app.state
        state.bill = Bill(database, lambda ids: names_of(database, ids))
        state.records, state.noted, state.sharing = records, Noted(database, records), Sharing(database, records)
        state.replays = Replays(records, None, state.bill, nowhere)
        yield running


class Member:
    """An account, a program that acts for it, and what is recorded of it."""

    def __init__(self, account_id: str, http: httpx.AsyncClient, recorder: Recorder) -> None:
        self.account_id = account_id
        self.http = http
        self._recorder = recorder

    async def record(self, **given: Any) -> str:
        """Record something of the account; the id of the record, which is there."""
        [record_id] = await self.all_of(made(**({"account_id": self.account_id, "for_operator": False} | given)))
        return record_id

    async def all_of(self, *records: Record) -> list[str]:
        """Record these; their ids."""
        ids = [record.id for record in records]
        for record in records:
            self._recorder.put(record)
        assert await self._recorder.flush()
        return ids

    async def read(self, path: str, **params: Any) -> Any:
        """What a route answers."""
        answer = await self.http.get(f"/api/records{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ids(self, **params: Any) -> list[str]:
        """Those that a list has."""
        return [one["id"] for one in (await self.read("", **params))["data"]]

    async def refused(self, method: str, path: str, **given: Any) -> tuple[int, str, str | None]:
        """Why it is refused."""
        answer = await self.http.request(method, f"/api/records{path}", **given)
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["param"]


Join = Callable[..., Awaitable[Member]]


@pytest.fixture
def join(plane: ControlPlane, recorder: Recorder) -> Join:
    """Makes members; `join("acc_operator")` is an administrator."""

    async def joined(account_id: str | None = None) -> Member:
        account_id = account_id or await plane.account()
        return Member(account_id, plane.client((await plane.manager(account_id)).token), recorder)

    return joined


@pytest.fixture
async def ada(join: Join) -> Member:
    """A member."""
    return await join()


@pytest.fixture
async def eve(join: Join) -> Member:
    """Another."""
    return await join()


@pytest.fixture
async def admin(join: Join) -> Member:
    """Who runs the gateway."""
    return await join("acc_operator")

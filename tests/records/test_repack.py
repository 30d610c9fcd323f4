"""Writing segments anew: what is left of them is what it was, and who clears meanwhile wins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from penstock.infra.database import Database
from penstock.infra.secrets import Secrets
from penstock.records.entries import OPERATOR_SHELF
from penstock.records.filters import Filters
from penstock.records.models import SegmentRow
from penstock.records.record import Record
from penstock.records.repack import Repacker
from penstock.records.segments import GROUP_BYTES
from penstock.records.service import Records
from penstock.records.vault import Vault

T = 1_700_000_000_000
Make = Callable[..., Record]


@pytest.fixture
def repacker(database: Database, vault: Vault) -> Repacker:
    return Repacker(database, vault)


async def ids(database: Database, *, stale: bool | None = None) -> list[str]:
    async with database.session(read_only=True) as session:
        query = select(SegmentRow.id).order_by(SegmentRow.id)
        return list(await session.scalars(query if stale is None else query.where(SegmentRow.stale.is_(stale))))


async def read(records: Records) -> list[Record | None]:
    return [opened.record async for opened in records.read(OPERATOR_SHELF)]


async def test_several_become_one(repacker: Repacker, records: Records, database: Database, write, make_record: Make) -> None:
    given = [make_record(id=f"req_{number}", created_at_ms=T + number, request_body=b"x" * 30_000 * (number % 3)) for number in range(9)]
    for number in range(3):
        await write(*given[number::3])

    assert await repacker.repack(await ids(database))

    assert await read(records) == given
    assert len(await ids(database, stale=True)) == 3
    assert len(await ids(database, stale=False)) == 1
    assert await repacker.repack(await ids(database, stale=False)) is False, "nothing is to be gained"


@pytest.mark.parametrize("encrypt", [False, True])
async def test_it_is_sealed_as_is_set_now(
    records: Records, database: Database, vault: Vault, secrets: Secrets, folder: Path, write, make_record: Make, encrypt: bool
) -> None:  # fmt: skip
    given = [make_record(id=f"req_{number}", created_at_ms=T + number, request_body=b"readable " * 20) for number in range(4)]
    await write(*given[:2])
    await write(*given[2:])
    assert await Repacker(database, Vault(vault.store, secrets, encrypt=encrypt)).repack(await ids(database))

    assert await read(records) == given
    [new] = await ids(database, stale=False)
    data = next(folder.rglob(f"{new}.zst")).read_bytes()
    assert data.startswith(b"\1") is encrypt


async def test_who_clears_meanwhile_wins(
    repacker: Repacker, records: Records, database: Database, vault: Vault, write, make_record: Make
) -> None:
    """The clearing comes when the new segment is in the store already."""
    given = [make_record(id=f"req_{number}", created_at_ms=T + number) for number in range(4)]
    await write(*given[:2])
    await write(*given[2:])

    class Slow(Vault):
        async def put(self, path: str, data: bytes) -> None:
            await super().put(path, data)
            await records.clear(OPERATOR_SHELF, Filters(record_id="req_1"))

    slow = Slow(vault.store, Secrets(bytes(range(32))))
    assert await Repacker(database, slow).repack(await ids(database)) is False
    assert await read(records) == [given[0], given[2], given[3]]
    assert await repacker.repack(await ids(database))
    assert await read(records) == [given[0], given[2], given[3]]


async def test_a_group_that_cannot_be_read_is_lost_alone(
    repacker: Repacker, records: Records, database: Database, write, folder: Path, make_record: Make
) -> None:
    given = [
        make_record(id=f"req_{number}", created_at_ms=T + number, request_body=b"%d" % number * (GROUP_BYTES - 500)) for number in range(3)
    ]
    segment = await write(*given)
    path = folder / segment.path
    data = bytearray(path.read_bytes())
    data[-20:] = bytes(20)
    path.write_bytes(data)
    await write(make_record(id="req_9", created_at_ms=T + 9))

    assert await repacker.repack(await ids(database))

    assert [record.id if record else None for record in await read(records)] == ["req_0", "req_1", None, "req_9"]
    opened = await records.get(OPERATOR_SHELF, "req_2")
    assert "lost" in opened.missing


async def test_one_that_is_missing_stays_as_it_is(
    repacker: Repacker, records: Records, database: Database, write, folder: Path, make_record: Make
) -> None:
    await write(make_record(id="req_0"), make_record(id="req_1"))
    await records.clear(OPERATOR_SHELF, Filters(record_id="req_0"))
    await records.clear("acc_operator", Filters(record_id="req_0"))
    next(folder.rglob("*.zst")).unlink()

    assert await repacker.repack(await ids(database)) is False
    assert await ids(database, stale=True) == []
    assert [entry.id for entry in (await records.list(OPERATOR_SHELF)).entries] == ["req_1"]


async def test_nothing_to_do(repacker: Repacker) -> None:
    assert await repacker.repack(["seg_unknown"]) is False
    assert await repacker.repack([]) is False

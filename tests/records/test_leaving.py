"""What an account takes along, and what is left of its records when it is deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from penstock.infra.database import Database
from penstock.records.entries import OPERATOR_SHELF
from penstock.records.keeping import Keeper
from penstock.records.leaving import export_policy, forget_records
from penstock.records.policies import DEFAULT, Policies, Policy
from penstock.records.record import Record
from penstock.records.service import Records


async def test_what_it_wanted_is_exported(database: Database, policies: Policies) -> None:
    await policies.put("acc_1", Policy(record=True, retention_days=3, redact_paths=("user",), redact_patterns=("a+",)))
    async with database.session(read_only=True) as session:
        [(name, item)] = [found async for found in export_policy(session, "acc_1")]
        assert [found async for found in export_policy(session, "acc_2")] == []

    assert name == "record_policy"
    assert item.pop("updated_at")
    assert item == {"record": True, "retention_days": 3, "redact_paths": ["user"], "redact_patterns": ["a+"]}


async def test_its_shelf_is_cleared(
    database: Database, records: Records, policies: Policies, keeper: Keeper, folder: Path, write, make_record: Callable[..., Record]
) -> None:
    await policies.put("acc_1", Policy(record=True))
    await write(make_record(id="req_1", account_id="acc_1", for_operator=False), make_record(id="req_2", account_id="acc_2"))
    await write(make_record(id="req_3", account_id="acc_1", for_operator=False))
    async with database.session() as session:
        await forget_records(session, "acc_1")
    await keeper.run()

    assert [entry.id for entry in (await records.list("acc_1")).entries] == []
    assert [entry.id for entry in (await records.list("acc_2")).entries] == ["req_2"]
    assert [entry.id for entry in (await records.list(OPERATOR_SHELF)).entries] == ["req_2"]
    assert len(list(folder.rglob("*.zst"))) == 1
    assert await policies.of("acc_1") == DEFAULT

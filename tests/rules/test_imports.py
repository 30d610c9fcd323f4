"""Imports: a set is brought in whole or not at all, and a dry run says the same and leaves nothing."""

from __future__ import annotations

import asyncio
import json

import pytest

from penstock.accounts.trail import Trail
from penstock.kit.errors import PenstockError
from penstock.rules.changes import EVERYBODY, changed_since
from penstock.rules.imports import bring_in
from penstock.rules.service import Wanted, whole_of
from penstock.rules.sets import read_set, write_set


async def brought(rules, who, found, **options):
    raw = found if isinstance(found, str) else json.dumps(found)
    return await bring_in(rules, who, who.account_id, read_set(raw.encode()), **options)


async def names(rules, **wanted) -> list[str]:
    return [row.name for row in await rules.all(Wanted(**wanted))]


async def test_what_is_new_what_is_other_and_what_is_as_it_was(rules, member, given, database):
    await rules.create(member, given("same"), member.account_id)
    other = await rules.create(member, given("other", priority=3), member.account_id)
    found = [given("same"), given("other", shadow=True), given("new")]
    for dry_run in (True, False):
        report = await brought(rules, member, found, dry_run=dry_run)
        assert (report.created, report.changed, report.unchanged) == (["new"], ["other"], ["same"])
        assert [rule["name"] for rule in report.rules] == ["same", "other", "new"]
        assert len(await names(rules)) == (2 if dry_run else 3)
    row = await rules.get(other.id)
    assert (row.priority, row.shadow) == (0, True), "it becomes what the set says"
    actions = [event.action for event in (await Trail(database).list()).data if event.subject.startswith("rul_")]
    assert actions == ["rule.create", "rule.change", "rule.create", "rule.create"]
    report = await brought(rules, member, found)
    assert len(report.unchanged) == 3


@pytest.mark.parametrize(
    ("found", "place"),
    [
        ([{"name": "a", "then": [{"do": "record", "value": True}]}, {"name": "b", "then": []}], "rules.1.then"),
        ([{"name": "a", "then": [{"do": "record", "value": True}]}, {"name": "b"}], "rules.1.then"),
        ([{"name": "a", "then": [{"do": "record", "value": True}]}, {"name": "b", "surprise": 1}], "rules.1.surprise"),
        ([{"name": "a", "then": [{"do": "set", "path": "a", "value": 1}], "when": {"all": [{"on": "mars"}]}}], "rules.0.when.all.0.on"),
        ("a=>b,c=>" + "x" * 300, "rewrites.1.then.0.model"),
    ],
)
async def test_half_of_a_set_is_never_brought_in(rules, member, database, found, place):
    with pytest.raises(PenstockError) as refused:
        await brought(rules, member, found)
    assert (refused.value.code, refused.value.param) == ("invalid_request", place)
    assert refused.value.message.startswith(".".join(place.split(".")[:2]))
    assert await names(rules) == []
    async with database.session(read_only=True) as session:
        assert await changed_since(session, 0) == (0, set())


async def test_what_would_be_too_many_is_not_brought_in(rules, member, given):
    await rules.create(member, given("kept"), member.account_id)
    for dry_run in (True, False):
        with pytest.raises(PenstockError) as refused:
            await brought(rules, member, [given(str(number)) for number in range(5)], dry_run=dry_run)
        assert refused.value.code == "conflict"
    assert await names(rules) == ["kept"]
    report = await brought(rules, member, [given("kept", priority=1), *(given(str(number)) for number in range(4))])
    assert (len(report.created), report.changed) == (4, ["kept"])


async def test_imports_at_once_keep_to_the_limit(rules, member, given):
    sets = [[given(f"{one} {number}") for number in range(3)] for one in "abc"]
    done = await asyncio.gather(*(brought(rules, member, found) for found in sets), return_exceptions=True)
    assert sorted(getattr(each, "code", "done") for each in done) == ["conflict", "conflict", "done"]
    assert len(await names(rules)) == 3


async def test_rules_for_everybody(rules, operator, member, given, database):
    found = [given("own"), given("all", scope="all")]
    with pytest.raises(PenstockError) as refused:
        await brought(rules, member, found)
    assert (refused.value.code, refused.value.param) == ("forbidden", "rules.1.scope")
    await brought(rules, operator, found)
    assert await names(rules, scope="all") == ["all"] and await names(rules, scope="own") == ["own"]
    async with database.session(read_only=True) as session:
        assert await changed_since(session, 0) == (1, {operator.account_id, EVERYBODY})
    with pytest.raises(PenstockError) as refused:
        await brought(rules, operator, [given("own", scope="all")])
    assert (refused.value.code, refused.value.param) == ("conflict", "rules.0.name")


async def test_an_export_brought_in_elsewhere_is_the_same(rules, member, new_member, given):
    other = await new_member()
    for number, name in enumerate("cab"):
        await rules.create(member, given(name, priority=number // 2, when={"on": "model", "value": "gpt-*"}), member.account_id)
    await bring_in(rules, other, other.account_id, read_set(write_set(await rules.all(Wanted(member.account_id)))))
    mine, theirs = [[whole_of(row) for row in await rules.all(Wanted(who.account_id))] for who in (member, other)]
    assert mine == theirs and [rule["name"] for rule in mine] == ["c", "a", "b"]


async def test_for_an_account_that_is_not_there(rules, operator, given):
    with pytest.raises(PenstockError) as refused:
        await bring_in(rules, operator, "acc_nobody", read_set(json.dumps([given()]).encode()))
    assert refused.value.code == "not_found"

"""What can be done with rules, by whom, how many there may be, and what is noted of it, on both engines."""

from __future__ import annotations

import asyncio
import json

import pytest

from penstock.accounts.models import OPERATOR
from penstock.accounts.trail import Trail
from penstock.infra.database import DatabaseAway
from penstock.kit.errors import PenstockError
from penstock.kit.pages import Place, decode
from penstock.rules.service import FIELDS, Limits, Rules, Wanted, check_name, free_name, whole_of


async def refusal(awaitable) -> tuple[str, str | None]:
    with pytest.raises(PenstockError) as refused:
        await awaitable
    return refused.value.code, refused.value.param


async def test_a_rule_is_kept_as_it_is_written(rules, member, given, clock):
    when = {"all": [{"on": "wire", "value": "chat"}, {"on": "body", "name": "temperature", "op": "above", "value": 1}]}
    made = await rules.create(member, given(when=when, priority=-3, shadow=True, description="line\nline"), member.account_id)
    row = await rules.get(made.id, member.account_id)
    assert (row.id[:4], row.account_id, row.scope, row.created_at_ms) == ("rul_", member.account_id, "own", clock.ms)
    assert whole_of(row) == {
        "scope": "own", "name": "calm down", "description": "line\nline", "priority": -3, "enabled": True, "shadow": True, "stop": False,
        "when": {"all": [{"on": "wire", "op": "is", "value": "chat"}, when["all"][1]]},
        "then": [{"do": "set", "path": "temperature", "value": 1}],
    }  # fmt: skip


async def test_what_cannot_be_a_rule_is_not_kept(rules, member, given):
    assert await refusal(rules.create(member, given(when={"on": "body"}), member.account_id)) == ("invalid_request", "when.name")
    assert await refusal(rules.create(member, given("rul_mine"), member.account_id)) == ("invalid_request", "name")
    assert await refusal(rules.create(member, given("a\x00b"), member.account_id)) == ("invalid_request", "name")
    assert await refusal(rules.create(member, given("\ud800"), member.account_id)) == ("invalid_request", None)
    assert await refusal(rules.create(member, given(description="\x00"), member.account_id)) == ("invalid_request", "description")
    assert await refusal(rules.create(member, given(then=[{"do": "set", "path": "a", "value": float("nan")}]), member.account_id)) == (
        "invalid_request",
        "then.0.value",
    )
    assert await refusal(rules.create(member, given(), "acc_nobody")) == ("not_found", "account_id")
    assert (await rules.all(Wanted())) == []


async def test_markup_in_names_is_text(rules, member, given):
    for name in ("<script>alert(1)</script>", '=HYPERLINK("x")', "'; DROP TABLE rule; --", "näme ✓ 名"):
        row = await rules.create(member, given(name), member.account_id)
        assert (await rules.get(row.id)).name == name
        assert (await rules.get(name, member.account_id)).id == row.id


async def test_rules_for_everybody_are_the_operators(rules, operator, member, new_member, given):
    assert await refusal(rules.create(member, given(scope="all"), member.account_id)) == ("forbidden", "scope")
    admin = await new_member("admin")
    row = await rules.create(admin, given(scope="all"), admin.account_id)
    assert (row.account_id, row.scope) == (OPERATOR, "all")
    assert await refusal(rules.get(row.id, member.account_id)) == ("not_found", None)
    assert await refusal(rules.change(operator, row.id, {"scope": "own"})) == ("invalid_request", "scope")
    for change in (rules.change(member, row.id, {"priority": 1}), rules.switch(member, [row.id], enabled=False)):
        assert await refusal(change) == ("forbidden", "scope"), "although it was found"
    assert await refusal(rules.delete(member, [row.id])) == ("forbidden", "scope")
    assert await refusal(rules.copy(member, row.id)) == ("forbidden", "scope")


async def test_change(rules, member, given, clock):
    row = await rules.create(member, given(when={"on": "stream", "value": True}), member.account_id)
    clock.ms += 1000
    changed = await rules.change(member, row.id, {"priority": 5, "name": "other"}, member.account_id)
    assert (changed.priority, changed.name, changed.changed_at_ms - changed.created_at_ms) == (5, "other", 1000)
    assert changed.terms["when"] == {"on": "stream", "op": "is", "value": True}
    assert (await rules.change(member, row.id, {"when": None}, member.account_id)).terms["when"] is None
    assert await refusal(rules.change(member, row.id, {"then": []}, member.account_id)) == ("invalid_request", "then")
    assert await refusal(rules.change(member, row.id, {"account_id": "acc_x"}, member.account_id)) == ("invalid_request", "account_id")
    assert (await rules.get("other", member.account_id)).terms["then"] == [{"do": "set", "path": "temperature", "value": 1}]


async def test_names_are_unique(rules, member, given):
    await rules.create(member, given("a"), member.account_id)
    b = await rules.create(member, given("b"), member.account_id)
    assert await refusal(rules.create(member, given("a"), member.account_id)) == ("conflict", "name")
    assert await refusal(rules.change(member, b.id, {"name": "a"}, member.account_id)) == ("conflict", "name")
    assert not await rules.is_free("a", member.account_id)
    assert await rules.is_free("b", member.account_id, but=b.id)
    assert await rules.is_free("a", OPERATOR) and await rules.is_free("a\x00", member.account_id)


async def test_of_those_who_make_the_same_at_once_one_succeeds(rules, member, given):
    done = await asyncio.gather(*(rules.create(member, given(), member.account_id) for _ in range(6)), return_exceptions=True)
    assert sorted(getattr(each, "code", "made") for each in done) == ["conflict"] * 5 + ["made"]


async def test_there_are_never_more_than_the_limit(rules, operator, member, given):
    names = [f"rule {number}" for number in range(9)]
    done = await asyncio.gather(*(rules.create(member, given(name), member.account_id) for name in names), return_exceptions=True)
    assert [getattr(each, "code", "made") for each in done].count("made") == 5
    assert await rules.used(member.account_id, "own") == 5
    kept = (await rules.all(Wanted(member.account_id)))[0]
    assert await refusal(rules.copy(member, kept.id, account_id=member.account_id)) == ("conflict", None)
    done = await asyncio.gather(*(rules.create(operator, given(name, scope="all")) for name in names), return_exceptions=True)
    assert [getattr(each, "code", "made") for each in done].count("made") == 8
    await rules.create(operator, given("own")), "the operator's own are counted by themselves"


async def test_copies_have_names_of_their_own_and_are_off(rules, member, given):
    row = await rules.create(member, given("x" * 100, shadow=True), member.account_id)
    copies = [await rules.copy(member, row.id, account_id=member.account_id) for _ in range(3)]
    assert [copy.name for copy in copies] == ["x" * 95 + " copy", "x" * 94 + " 2", "x" * 94 + " 3"]
    assert not any(copy.enabled for copy in copies) and copies[0].shadow and copies[0].terms == row.terms
    named = await rules.copy(member, row.id, "mine", member.account_id)
    assert named.name == "mine"


async def test_switch_and_delete_all_or_none(rules, member, new_member, given):
    other = await new_member()
    ids = [(await rules.create(member, given(name), member.account_id)).id for name in "abc"]
    foreign = (await rules.create(other, given("d"), other.account_id)).id
    for act in (rules.switch(member, [*ids, foreign], enabled=False, account_id=member.account_id),
                rules.delete(member, [*ids, foreign], member.account_id),
                rules.delete(member, [*ids, "rul_nothing"], member.account_id),
                rules.delete(member, [*ids, "no\x00thing"], member.account_id)):  # fmt: skip
        assert await refusal(act) == ("not_found", None)
    assert all(row.enabled for row in await rules.all(Wanted(member.account_id)))
    assert await refusal(rules.delete(member, [], member.account_id)) == ("invalid_request", "ids")
    assert await refusal(rules.delete(member, [f"rul_{n}" for n in range(501)], member.account_id)) == ("invalid_request", "ids")
    done = await rules.switch(member, [*ids, ids[0], "a"], enabled=False, account_id=member.account_id)
    assert [row.id for row in done] == ids and not any(row.enabled for row in done)
    await rules.delete(member, ids[:2], member.account_id)
    assert [row.id for row in await rules.all(Wanted())] == [ids[2], foreign]


async def test_pages_are_in_the_order_of_application(rules, operator, given):
    for name, priority in (("late", 5), ("first", -1), ("a", 0), ("b", 0), ("last", 5)):
        await rules.create(operator, given(name, priority=priority))
    seen, place = [], Place(limit=2)
    while True:
        page = await rules.page(Wanted(OPERATOR, "own"), place)
        seen += [row.name for row in page.data]
        if page.next is None:
            break
        place = Place(decode(page.next), 2)
    assert seen == ["first", "a", "b", "late", "last"]
    for cursor in ("x", "99999999999999999999/rul_", "1", "-/x"):
        assert await refusal(rules.page(Wanted(), Place(cursor))) == ("invalid_request", "cursor")


async def test_filters(rules, operator, given):
    one = await rules.create(operator, given("one", description="for Tests", enabled=False))
    await rules.create(operator, given("two_x", shadow=True))
    await rules.create(operator, given("all", scope="all"))

    async def names(**wanted) -> list[str]:
        return [row.name for row in await rules.all(Wanted(OPERATOR, **wanted))]

    assert await names(scope="own") == ["one", "two_x"] and await names(scope="all") == ["all"]
    assert await names(enabled=False) == ["one"] and await names(shadow=True) == ["two_x"]
    assert await names(search="tests") == ["one"] and await names(search=one.id) == ["one"]
    assert await names(search="_") == ["two_x"] and await names(search="%") == [] and await names(search="\x00") == []


async def test_the_trail_tells_who_did_what_but_no_texts(rules, member, given, database):
    secret = given("my own name", then=[{"do": "prepend_system", "text": "my own words"}])
    row = await rules.create(member, secret, member.account_id)
    await rules.change(member, row.id, {"description": "my own words", "priority": 3}, member.account_id)
    await rules.switch(member, [row.id], enabled=False, account_id=member.account_id)
    await rules.switch(member, [row.id], enabled=True, account_id=member.account_id)
    await rules.delete(member, [row.id], member.account_id)
    events = [event for event in (await Trail(database).list()).data if event.subject == row.id]
    assert [event.action for event in events] == [f"rule.{what}" for what in ("delete", "enable", "disable", "change", "create")]
    assert {(event.account_id, event.actor, event.address) for event in events} == {(member.account_id, member.account_id, member.address)}
    assert events[3].detail == {"scope": "own", "fields": ["description", "priority"], "priority": 3}
    assert "my own" not in json.dumps([event.detail for event in events])


def test_names_that_can_be():
    assert check_name("calm down") is None
    for name in ("", " x", "x" * 101, "a\nb", "rul_x"):
        assert check_name(name)
    assert free_name("a", {"a", "a 2"}) == "a 3"
    assert set(FIELDS) & {"scope", "id"} == set()


async def test_a_database_that_is_away(rules: Rules, member, given, outage, elsewhere):
    await elsewhere.close()
    async with outage():
        with pytest.raises(DatabaseAway):
            await rules.create(member, given(), member.account_id)


async def test_all_rules_of_an_account_are_no_larger_than_what_every_process_can_keep(elsewhere, clock, operator, member, given):
    rules = Rules(elsewhere, Limits(own_bytes=2048), clock)
    large = [{"do": "set", "path": "a", "value": "x" * 1500}]
    row = await rules.create(member, given("one", then=large), member.account_id)
    assert await refusal(rules.create(member, given("two", then=large), member.account_id)) == ("conflict", None)
    assert await refusal(rules.copy(member, row.id, account_id=member.account_id)) == ("conflict", None)
    small = await rules.create(member, given("two"), member.account_id)
    assert await refusal(rules.change(member, small.id, {"then": large}, member.account_id)) == ("conflict", None)
    assert len(await rules.all(Wanted(member.account_id))) == 2
    for name in ("one", "two"):
        await rules.create(operator, given(name, then=large, scope="all"))

"""Loading: rows become sets; what cannot be read is left out, and everything else counts."""

from __future__ import annotations

from sqlalchemy import update

from penstock.rules.changes import EVERYBODY
from penstock.rules.compile import NO_RULES
from penstock.rules.facts import Facts
from penstock.rules.loading import Loader
from penstock.rules.models import RuleRow


async def loaded(database, *owners):
    async with database.session(read_only=True) as session:
        return await Loader().load(session, owners)


def temperature(rules) -> bytes | None:
    verdict = rules.apply(Facts("chat", "m", None, "", b"", b'{"temperature":0}', 1, False, 0))
    return None if verdict is None else verdict.body


async def test_each_has_their_own(rules, operator, member, new_member, given, database):
    other = await new_member()
    await rules.create(member, given("late", priority=1), member.account_id)
    await rules.create(member, given("early", then=[{"do": "set", "path": "temperature", "value": 9}]), member.account_id)
    await rules.create(member, given("off", enabled=False, priority=5), member.account_id)
    await rules.create(operator, given("for all", scope="all", then=[{"do": "set", "path": "temperature", "value": 5}]))
    await rules.create(operator, given("the operator's own"))
    found = await loaded(database, member.account_id, other.account_id, EVERYBODY)
    assert found.keys() == {member.account_id, other.account_id, EVERYBODY}
    assert found[other.account_id] is NO_RULES
    assert temperature(found[member.account_id]) == b'{"temperature":1}'
    assert temperature(found[EVERYBODY]) == b'{"temperature":5}' and len(found[EVERYBODY].rules) == 1
    assert EVERYBODY not in await loaded(database, member.account_id)
    assert len((await loaded(database, "acc_operator"))["acc_operator"].rules) == 1


async def test_what_cannot_be_read_is_left_out(rules, operator, given, database, caplog):
    good = await rules.create(operator, given("good"))
    bad = await rules.create(operator, given("bad"))
    async with database.session() as session:
        terms = {"when": None, "then": [{"do": "something of a later version"}]}
        await session.execute(update(RuleRow).where(RuleRow.id == bad.id).values(terms=terms))
    found = (await loaded(database, "acc_operator"))["acc_operator"]
    assert [rule.id for rule in found.rules] == [good.id]
    assert bad.id in caplog.text


async def test_many_are_read_beside_the_loop(rules, operator, database):
    given = [
        {"name": f"{n}", "scope": "all", "priority": -n, "then": [{"do": "set", "path": "temperature", "value": n}]} for n in range(40)
    ]
    async with rules.writing() as session:
        for each in given:
            await rules.add(session, operator, each, "acc_operator")
    found = (await loaded(database, EVERYBODY))[EVERYBODY]
    assert [rule.terms.priority for rule in found.rules] == list(range(-39, 1))
    assert temperature(found) == b'{"temperature":0}'


async def test_only_what_has_changed_is_made_again(rules, operator, given, database):
    loader = Loader()

    async def load():
        async with database.session(read_only=True) as session:
            return {rule.terms.name: rule for rule in (await loader.load(session, (EVERYBODY,)))[EVERYBODY].rules}

    rows = {name: await rules.create(operator, given(name, scope="all")) for name in "abc"}
    before = await load()
    await rules.change(operator, rows["a"].id, {"priority": 5})
    await rules.change(operator, rows["b"].id, {"then": [{"do": "delete", "path": "x"}]})
    after = await load()
    assert list(after) == ["b", "c", "a"]
    assert after["c"] is before["c"] and after["a"] is not before["a"] and after["b"].terms.then != before["b"].terms.then
    await rules.delete(operator, [rows["c"].id])
    assert list(await load()) == ["b", "a"]

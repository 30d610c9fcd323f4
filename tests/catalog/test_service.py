"""The operator's prices: set, confirmed, retired, brought in and taken out, on both engines."""

from __future__ import annotations

import json

import pytest

from penstock.accounts.identity import CLI
from penstock.accounts.models import Membership
from penstock.accounts.service import Accounts, Draft
from penstock.accounts.tiers import Terms, Tiers
from penstock.accounts.trail import Trail
from penstock.catalog.models import PriceInForce
from penstock.catalog.sets import PriceSet, Wish, read_set, write_set
from penstock.catalog.snapshot import load_snapshot
from penstock.kit.errors import PenstockError
from penstock.kit.pages import Place, decode

RATES = {"standard": {"input_mtok": "2.5", "cache_read_mtok": "1.25", "output_mtok": "10", "web_searches_kcount": "10"}}
FAR = {"standard": {"input_mtok": "250", "output_mtok": "10", "web_searches_kcount": "10"}}


def wish(model: str, dollars: str = "1", **more) -> Wish:
    return Wish("openai", model, rates={"standard": {"input_mtok": dollars}}, **more)


@pytest.fixture
def trail(database):
    """What was done, oldest first: action and subject."""

    async def read() -> list[tuple[str, str]]:
        events = (await Trail(database).list()).data
        assert {event.actor for event in events} <= {"cli"}
        return [(event.action, event.subject) for event in reversed(events)]

    return read


async def states(prices, **asked) -> dict[str, str]:
    return {listed.row.id: listed.state for listed in (await prices.list(**asked)).data}


async def refused(act) -> tuple[str, str | None, str]:
    with pytest.raises(PenstockError) as caught:
        await act
    return caught.value.code, caught.value.param, caught.value.message


async def test_a_price_is_set_and_listed(prices, trail, clock):
    listed = await prices.put(CLI, Wish("openai", "gpt-4o", rates=RATES, output_cap=5))
    row = listed.row
    assert (listed.state, row.card, row.output_cap, row.created_by) == ("in_force", RATES, 5, CLI.account_id)
    assert row.effective_at_ms == row.created_at_ms == row.confirmed_at_ms == clock.ms()
    assert await states(prices) == {row.id: "in_force"}
    assert await trail() == [("price.create", row.id)]


async def test_what_becomes_of_prices(prices, clock):
    ids = []
    for dollars, effective_at_ms in (("1", None), ("2", None), ("3", clock.ms() + 1000)):
        ids.append((await prices.put(CLI, wish("x", dollars, effective_at_ms=effective_at_ms))).row.id)
        clock.at_s += 0.001
    assert await states(prices) == dict(zip(ids, ("replaced", "in_force", "future"), strict=True))
    clock.at_s += 2
    assert await states(prices) == dict(zip(ids, ("replaced", "replaced", "in_force"), strict=True))
    await prices.retire(CLI, ids[2])
    assert await states(prices) == dict(zip(ids[:2], ("replaced", "in_force"), strict=True))
    assert (await states(prices, retired=True))[ids[2]] == "retired"


async def test_a_retired_price_can_still_be_recalled(database, prices):
    row = (await prices.put(CLI, wish("x"))).row
    async with database.session(read_only=True) as session:
        version = (await load_snapshot(session, 4)).owns[row.id].price.version
    await prices.retire(CLI, row.id)
    async with database.session(read_only=True) as session:
        snapshot = await load_snapshot(session, 4)
    assert snapshot.owns == {}
    assert snapshot.recall(version).version == version


async def test_pages(prices):
    made = [(await prices.put(CLI, wish(f"m{number}"))).row.id for number in range(5)]
    first = await prices.list(Place(None, 3))
    second = await prices.list(Place(decode(first.next), 3))
    assert [listed.row.id for page in (first, second) for listed in page.data] == made[::-1]
    assert second.next is None
    assert list(await states(prices, model="m3")) == [made[3]]


async def test_a_jump_waits_until_it_is_confirmed(prices, trail, clock):
    code, param, message = await refused(prices.put(CLI, Wish("openai", "gpt-4o", rates=FAR)))
    assert (code, param) == ("price_jump", "rates")
    ((price_id, state),) = (await states(prices)).items()
    assert state == "waiting"
    assert f"penstock price confirm {price_id}" in message
    assert "from 2.5 to 250 dollars" in message
    assert (await refused(prices.put(CLI, Wish("openai", "gpt-4o", rates=FAR))))[2] == message, "it is kept once"
    clock.at_s += 5
    await prices.confirm(CLI, price_id)
    await prices.confirm(CLI, price_id)
    (listed,) = (await prices.list()).data
    assert (listed.state, listed.row.effective_at_ms) == ("in_force", clock.ms()), "from the confirmation on, not from before"
    assert [action for action, _ in await trail()][:2] == ["price.create", "price.confirm"]


async def test_a_jump_that_is_meant(prices):
    assert (await prices.put(CLI, Wish("openai", "gpt-4o", rates=FAR), confirm=True)).state == "in_force"
    assert (await refused(prices.put(CLI, Wish("openai", "gpt-4o", rates=RATES))))[0] == "price_jump"


async def test_what_was_retired_cannot_be_confirmed(prices):
    await refused(prices.put(CLI, Wish("openai", "gpt-4o", rates=FAR)))
    (price_id,) = await states(prices)
    await prices.retire(CLI, price_id)
    await prices.retire(CLI, price_id)
    assert (await refused(prices.confirm(CLI, price_id)))[0] == "conflict"


@pytest.mark.parametrize("act", ["confirm", "retire"])
async def test_what_there_is_not(prices, act):
    for price_id in ("prc_nonesuch", "official/openai/nonesuch", "official/", ""):
        assert (await refused(getattr(prices, act)(CLI, price_id)))[0] == "not_found"


async def test_official_prices_that_wait(database, prices):
    async with database.session() as session:
        session.add(PriceInForce(provider="openai", model="o3", version="old", pending_version="new", changed_at_ms=5))
        session.add(PriceInForce(provider="openai", model="o4", version="old", pending_version=None, changed_at_ms=5))
    (one,) = await prices.waiting()
    assert (one.id, one.since_ms, one.in_force, one.waiting) == ("official/openai/o3", 5, None, None)
    await prices.confirm(CLI, one.id)
    await prices.confirm(CLI, one.id)
    assert await prices.waiting() == []
    async with database.session(read_only=True) as session:
        assert (await session.get_one(PriceInForce, ("openai", "o3"))).version == "new"


async def test_what_cannot_be_is_refused_and_nothing_is_kept(prices, trail):
    for wrong in (Wish("openai", "x"), Wish("nonesuch", "x", free=True), Wish("openai", "x", rates={"standard": {"input_mtok": 1}})):
        assert (await refused(prices.put(CLI, wrong)))[0] == "invalid_request"
        assert (await refused(prices.bring_in(CLI, PriceSet((wish("good"), wrong), {}))))[0] == "invalid_request"
    assert (await refused(prices.bring_in(CLI, PriceSet((wish("good"),), {"x": -1}))))[0] == "invalid_request"
    assert await states(prices) == {}
    assert await trail() == []


async def test_a_set_is_brought_in_whole_and_what_is_in_force_is_left_alone(prices, trail):
    found = PriceSet((wish("a"), wish("b", "2"), Wish("openai", "gift", free=True)), {"A": 1_500_000, "b*": 2}, ("skipped: it",))
    dry = await prices.bring_in(CLI, found, dry_run=True)
    assert ([verdict.wish.model for verdict in dry.verdicts], dry.unchanged, dry.multipliers) == (["a", "b", "gift"], 0, 2)
    assert await states(prices) == {}
    first = await prices.bring_in(CLI, found)
    assert (len(first.verdicts), first.unchanged, first.multipliers, first.skipped) == (3, 0, 2, ("skipped: it",))
    again = await prices.bring_in(CLI, found)
    assert (len(again.verdicts), again.unchanged, again.multipliers) == (0, 3, 0)
    other = await prices.bring_in(CLI, PriceSet((wish("a"), wish("b", "3")), {"a": 1_500_000, "b*": 3}))
    assert ([verdict.wish.model for verdict in other.verdicts], other.unchanged, other.multipliers) == (["b"], 1, 1)
    assert [action for action, _ in await trail()] == ["price.import", "price.import"]
    assert sorted((await states(prices)).values()) == ["in_force"] * 3 + ["replaced"]


async def test_a_set_with_a_jump_is_not_brought_in_unless_it_is_meant(prices):
    found = PriceSet((wish("a"), Wish("openai", "gpt-4o", rates=FAR)), {"x": 5})
    code, _, message = await refused(prices.bring_in(CLI, found))
    assert code == "price_jump"
    assert message.startswith("1 of 2 prices jump, and none was set. The first: The price of openai/gpt-4o jumps:")
    assert await states(prices) == {}
    assert not await prices.multipliers()
    assert [verdict.jump is None for verdict in (await prices.bring_in(CLI, found, dry_run=True)).verdicts] == [True, False]
    await prices.bring_in(CLI, found, confirm=True)
    assert len(await states(prices)) == 2


async def test_what_is_exported_can_be_imported_elsewhere(prices, clock, other_prices):
    later_ms = clock.ms() // 1000 * 1000 + 3_600_000
    await prices.put(CLI, wish("old", "1"))
    clock.at_s += 1
    await prices.put(CLI, wish("old", "2", output_cap=7))
    await prices.put(CLI, wish("old", "3", effective_at_ms=later_ms))
    await prices.put(CLI, Wish("*", "gift*", free=True))
    await prices.retire(CLI, (await prices.put(CLI, wish("gone"))).row.id)
    await refused(prices.put(CLI, Wish("openai", "gpt-4o", rates=FAR)))
    await prices.put_multiplier(CLI, "Gpt-*", 1_100_000)
    out = await prices.export()
    assert [(one.model, one.rates and one.rates["standard"]["input_mtok"]) for one in out.wishes] == [
        ("gift*", None),
        ("old", "2"),
        ("old", "3"),
    ]
    assert out.multipliers == {"gpt-*": 1_100_000}
    read = read_set(json.dumps(write_set(out)).encode(), frozenset())
    await other_prices.bring_in(CLI, read)
    clock.at_s += 1
    assert [one._replace(effective_at_ms=None) for one in (await other_prices.export()).wishes] == [
        one._replace(effective_at_ms=None) for one in out.wishes
    ]
    assert (await other_prices.export()).wishes[2].effective_at_ms == later_ms


async def test_multipliers(prices, trail):
    await prices.put_multiplier(CLI, "GPT-*", 2)
    await prices.put_multiplier(CLI, "gpt-*", 3)
    await prices.put_multiplier(CLI, "a/b", 0)
    assert [(row.model, row.multiplier_micro) for row in await prices.multipliers()] == [("a/b", 0), ("gpt-*", 3)]
    await prices.delete_multiplier(CLI, "Gpt-*")
    assert (await refused(prices.delete_multiplier(CLI, "gpt-*")))[:2] == ("not_found", "model")
    assert [action for action, _ in await trail()] == ["multiplier.put"] * 3 + ["multiplier.delete"]
    for model, micro in (("", 1), ("a b", 1), ("x", -1), ("x", 10**9 + 1)):
        assert (await refused(prices.put_multiplier(CLI, model, micro)))[0] == "invalid_request"


async def test_the_multiplier_of_a_membership_is_for_those_who_pay(database, prices, clock):
    accounts, tiers = Accounts(database, clock.ms), Tiers(database, clock.ms)
    await tiers.put(CLI, "gold", Terms("Gold", 9, multiplier_micro=800_000))
    ids = [(await accounts.create(CLI, Draft("someone", role=role))).id for role in ("member", "admin")]
    async with database.session() as session:
        session.add_all(Membership(account_id=each, tier="gold", started_at_ms=0, until_ms=clock.ms() + 10) for each in ids)
    prepaid = {each: (await accounts.get(each)).prepaid for each in ids}
    assert {each: await prices.tier_multiplier(each) for each in ids} == {each: 800_000 if prepaid[each] else 1_000_000 for each in ids}
    assert await prices.tier_multiplier("acc_nonesuch") == 1_000_000
    clock.at_s += 1
    assert await prices.tier_multiplier(ids[0]) == (await tiers.get("free")).multiplier_micro


async def test_what_is_set_is_in_the_next_snapshot(database, prices):
    own = await prices.put(CLI, Wish("openai", "X", rates=RATES))
    async with database.session(read_only=True) as session:
        snapshot = await load_snapshot(session, 4)
    assert list(snapshot.owns) == [own.row.id]
    assert list(snapshot.named) == ["x"]

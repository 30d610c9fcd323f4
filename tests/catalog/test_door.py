"""The door: demo prices, what is kept and for how long, overrides and multipliers as they come, output caps, and a light import."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from sqlalchemy import select

from penstock.accounts.identity import CLI
from penstock.catalog.door import Catalog
from penstock.catalog.models import PriceInForce, PriceUsed
from penstock.catalog.prices import unpack
from penstock.catalog.sets import PriceSet, Wish
from penstock.infra.database import Database
from penstock.infra.revisions import Feed
from penstock.settings import Settings
from penstock.upstream.usage import Usage

INPUT = Usage(input_tokens=1_000)
DAY_MS = 86_400_000


@pytest.fixture
def catalog(clock, tmp_path) -> Catalog:
    """A catalog that was never started: it has no database."""
    database = Database(f"sqlite:///{tmp_path}/none.db")
    return Catalog(Settings(default_output_tokens=77), database, Feed(database), now=clock)


def cost(catalog: Catalog, model: str = "o3", public: str = "", tier_micro: int = 1_000_000) -> int | None:
    price = catalog.price("openai", model, public or model, tier_micro)
    return None if price is None else price.cost(INPUT)


def dollars(text: str) -> dict:
    return {"standard": {"input_mtok": text, "output_mtok": text}}


async def stored(database: Database) -> dict[str, dict]:
    async with database.session(read_only=True) as session:
        return {row.version: row.price for row in await session.scalars(select(PriceUsed))}


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(input_tokens=1_000_000), 1_000_000_000),
        (Usage(cache_read_tokens=1_000_000), 100_000_000),
        (Usage(cache_write_5m_tokens=1_000_000), 1_250_000_000),
        (Usage(cache_write_1h_tokens=1_000_000), 2_000_000_000),
        (Usage(output_tokens=1_000_000, reasoning_tokens=10), 2_000_000_000),
        (Usage(images=2), 80_000_000),
        (Usage(characters=1_000_000), 15_000_000_000),
        (Usage(audio_seconds=60), 6_000_000),
        (Usage(), 0),
    ],
)
def test_the_demo_prices_any_model(catalog: Catalog, usage: Usage, cost: int) -> None:
    price = catalog.price("demo", "whatever", "whatever")
    assert price is not None
    assert price.cost(usage) == cost
    assert catalog.recall(price.version) is price
    assert catalog.recall("demo 1") is price


def test_the_same_question_has_the_same_answer(catalog: Catalog) -> None:
    assert catalog.price("openai", "o3", "o3") is catalog.price("openai", "o3", "o3")
    assert cost(catalog, "nonesuch") is None
    assert cost(catalog, "nonesuch") is None


def test_a_kept_price_ends_when_it_changes(catalog: Catalog, clock) -> None:
    assert cost(catalog) == 10_000_000
    clock.at_s += 1
    assert cost(catalog) == 2_000_000
    clock.at_s -= 1
    assert cost(catalog) == 10_000_000


def test_a_price_without_a_change_is_kept_through_those_of_others(catalog: Catalog, clock) -> None:
    assert catalog.price("openai", "tts-1", "tts-1") == catalog.price("openai", "tts-1", "tts-1")
    cost(catalog)
    clock.at_s += 86_400
    assert catalog.price("openai", "tts-1", "tts-1") is not None
    assert cost(catalog) == 2_000_000


def test_prices_of_another_time(catalog: Catalog, clock) -> None:
    later = catalog.price_at("openai", "o3", clock.ms() + 1000)
    assert later is not None
    assert later.cost(INPUT) == 2_000_000
    assert catalog.recall(later.version) == later


def test_what_is_kept_is_bounded(catalog: Catalog) -> None:
    for number in range(5_000):
        assert catalog.price("nonesuch", f"model-{number}", "x") is None
    assert len(catalog._shelf.kept) <= 4_096
    kept = len(catalog._shelf.kept)
    assert catalog.price("openai", "claude" * 100_000, "x") is None
    assert catalog.price("openai", "o3", "x" * 100_000) is not None
    assert len(catalog._shelf.kept) == kept


def test_the_output_cap_is_the_setting(catalog: Catalog) -> None:
    assert catalog.output_cap("openai", "gpt-4o") == 77


def test_a_membership_multiplies(catalog: Catalog) -> None:
    assert [cost(catalog, tier_micro=micro) for micro in (1_000_000, 900_000, 1, 0, 10**9)] == [10_000_000, 9_000_000, 10, 0, 10**10]


def test_price_data_is_not_read_before_it_is_needed() -> None:
    program = (
        "import sys; from penstock.catalog.door import Catalog; from penstock.settings import Settings;"
        "catalog = Catalog(Settings(), None, None); catalog.price('demo', 'x', 'x'); assert 'genai_prices' not in sys.modules;"
        "catalog.load(); assert 'genai_prices' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


async def test_what_was_decided_before_the_start_holds_from_the_start(prices, open_catalog) -> None:
    await prices.put(CLI, Wish("openai", "O3", rates=dollars("20"), output_cap=9), confirm=True)
    await prices.put_multiplier(CLI, "o*", 1_500_000)
    catalog = await open_catalog()
    assert cost(catalog) == 30_000_000
    assert cost(catalog, public="renamed") == 20_000_000
    assert cost(catalog, "openai/O3", public="O3", tier_micro=333_333) == 10_000_000, "1.5 x 0.333333 is rounded to 0.5"
    assert (catalog.output_cap("openai", "o3"), catalog.output_cap("anthropic", "o3")) == (9, 4096)


async def test_changes_are_seen_by_every_process(prices, open_catalog, until) -> None:
    catalogs = [await open_catalog(), await open_catalog()]
    assert [cost(catalog) for catalog in catalogs] == [10_000_000] * 2
    own = await prices.put(CLI, Wish("*", "o3", rates=dollars("20")), confirm=True)
    await until(lambda: [cost(catalog) for catalog in catalogs] == [20_000_000] * 2)
    await prices.put_multiplier(CLI, "o3", 2_000_000)
    await until(lambda: [cost(catalog) for catalog in catalogs] == [40_000_000] * 2)
    await prices.delete_multiplier(CLI, "O3")
    await prices.retire(CLI, own.row.id)
    await until(lambda: [cost(catalog) for catalog in catalogs] == [10_000_000] * 2)


async def test_a_price_of_later_takes_effect_at_its_moment(prices, open_catalog, clock) -> None:
    now_ms = clock.ms()
    await prices.put(CLI, Wish("openai", "tts-1", rates=dollars("3"), effective_at_ms=now_ms + DAY_MS), confirm=True)
    await prices.put(CLI, Wish("openai", "tts-1", rates=dollars("6"), effective_at_ms=now_ms + 2 * DAY_MS), confirm=True)
    await prices.put(CLI, Wish("openai", "tts-*", free=True, effective_at_ms=now_ms + 3 * DAY_MS))
    catalog = await open_catalog()
    seen = []
    for hours in (0, 23, 24, 47, 48, 73, 24, 0):
        clock.at_s = now_ms / 1000 + hours * 3600
        seen.append(cost(catalog, "tts-1"))
    assert seen == [0, 0, 3_000_000, 3_000_000, 6_000_000, 6_000_000, 3_000_000, 0]
    clock.at_s = now_ms / 1000 + 73 * 3600
    free = catalog.price("openai", "tts-2", "tts-2")
    assert free is not None
    assert (free.free, free.cost(INPUT), free.version.partition(" ")[0]) == (True, 0, "free")


async def test_what_is_charged_is_written_down_and_can_be_recalled(database, prices, open_catalog, until, clock) -> None:
    catalog = await open_catalog()
    own = await prices.put(CLI, Wish("openai", "mine", rates=dollars("7")))
    await until(lambda: cost(catalog, "mine"))
    charged = [catalog.price("openai", model, model, 1_200_000) for model in ("mine", "o3")] + [catalog.price("demo", "x", "x")]
    assert [catalog.recall(price.version).cost(INPUT) for price in charged] == [7_000_000, 10_000_000, 1_000_000], "at once"
    await until(lambda: len(catalog._shelf.snapshot.used) == 3)
    kept = await stored(database)
    assert {price.version for price in charged} == kept.keys()
    assert all(unpack(price.version, kept[price.version]).times(price.multiplier_micro) == price for price in charged)
    await prices.retire(CLI, own.row.id)
    later = await open_catalog()
    assert later.recall(charged[0].version) == charged[0].times(1_000_000)
    assert later.recall("own openai/mine prc_nonesuch 0") is None


async def test_what_is_noted_last_is_written_when_it_stops(database, open_catalog) -> None:
    catalog = await open_catalog()
    price = catalog.price("openai", "o3", "o3")
    await catalog.stop()
    assert list(await stored(database)) == [price.version]


async def test_an_official_price_that_jumps_waits_until_it_is_confirmed(database, prices, open_catalog, clock, until, caplog) -> None:
    catalog = await open_catalog()
    assert cost(catalog) == 10_000_000
    await until(lambda: catalog._shelf.snapshot.in_force)
    clock.at_s += 1
    assert cost(catalog) == 10_000_000, "it falls to a fifth"
    await until(lambda: catalog._shelf.snapshot.in_force["openai", "o3"].pending_version)
    (one,) = await prices.waiting()
    assert (one.id, one.in_force.cost(INPUT), one.waiting.cost(INPUT)) == ("official/openai/o3", 10_000_000, 2_000_000)
    assert "input_mtok (standard) from 10 to 2 dollars" in caplog.text
    assert cost(catalog, "o3", tier_micro=2_000_000) == 20_000_000
    await prices.confirm(CLI, one.id)
    await until(lambda: cost(catalog) == 2_000_000)
    assert await prices.waiting() == []


async def test_an_official_price_that_does_not_jump_is_in_force_at_once(database, prices, open_catalog, clock, until) -> None:
    catalog = await open_catalog(price_jump_factor=5)
    versions = []
    for _ in range(2):
        versions.append(catalog.price("openai", "o3", "o3").version)
        await until(lambda: catalog._shelf.snapshot.in_force.get(("openai", "o3"), ("",))[0] == versions[-1])
        clock.at_s += 1
    assert versions[0] != versions[1]
    assert await prices.waiting() == []


async def test_releases_that_disagree_do_not_write_without_end(database, prices, open_catalog, clock, until) -> None:
    """Two processes, whose data differs by what one's clock makes of it, each say once what they have found."""
    one, other = await open_catalog(), await open_catalog()
    other._now = lambda: clock.at_s + 1
    assert cost(one) == 10_000_000
    await until(lambda: other._shelf.snapshot.in_force)
    assert cost(other) == 10_000_000
    await until(lambda: one._shelf.snapshot.in_force.get(("openai", "o3"), ("", None))[1])
    for _ in range(3):
        assert (cost(one), cost(other)) == (10_000_000, 10_000_000)
        assert not (one._history.waits or other._history.waits)
        await prices.put_multiplier(CLI, "unrelated", 1)
        await asyncio.sleep(0.05)


async def test_readers_see_one_set_or_the_other_whole(prices, open_catalog, clock, until) -> None:
    """A hundred prices are swapped at once, again and again, under readers that compare them."""
    models = [f"model-{number}" for number in range(100)]
    catalog = await open_catalog()
    seen: set[frozenset[int | None]] = set()
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            seen.add(frozenset(cost(catalog, model) for model in models))
            await asyncio.sleep(0)

    readers = asyncio.gather(*(read() for _ in range(4)))
    for number in (1, 2, 3, 4):
        clock.at_s += 1
        wishes = tuple(Wish("openai", model, rates=dollars(str(number))) for model in models)
        await prices.bring_in(CLI, PriceSet(wishes, {"model-*": 1_000_000 * number}), confirm=True)
        await until(lambda wanted=frozenset([1_000_000 * number * number]): wanted in seen)
    done.set()
    await readers
    assert seen == {frozenset([None]), *(frozenset([1_000_000 * number * number]) for number in (1, 2, 3, 4))}


async def test_prices_go_on_while_the_database_is_away(database, prices, open_catalog, outage, until, caplog) -> None:
    catalog = await open_catalog()
    await prices.put(CLI, Wish("openai", "mine", rates=dollars("7")))
    await until(lambda: cost(catalog, "mine") == 7_000_000)
    await until(lambda: len(catalog._shelf.snapshot.used) == 1)
    async with outage():
        assert (cost(catalog, "mine"), cost(catalog)) == (7_000_000, 10_000_000)
        await until(lambda: "prices cannot be read or written" in caplog.text)
    await until(lambda: len(catalog._shelf.snapshot.used) == 2)
    async with database.session(read_only=True) as session:
        assert (await session.scalars(select(PriceInForce.model))).all() == ["o3"]


async def test_the_list_is_made_anew_when_prices_change(prices, open_catalog, clock, until) -> None:
    catalog = await open_catalog()
    assert await catalog.listing() == (), "nothing is sold"

    class Sold:
        models = ("o3",)

        def sellers(self, model: str) -> list[tuple[str, str]]:
            return [("openai", model)]

    sold = Sold()

    async def there() -> Sold:
        return sold

    catalog.sold = there
    rates = {entry.model: entry.rates["standard"] for entry in await catalog.listing()}
    assert rates["o3"]["input_mtok"] == "10"
    assert await catalog.listing() is await catalog.listing()
    clock.at_s += 1
    changed = {entry.model: entry for entry in await catalog.listing(500_000)}
    assert (changed["o3"].rates["standard"]["input_mtok"], changed["o3"].multiplier_micro) == ("1", 500_000)
    await prices.put(CLI, Wish("openai", "mine", free=True))
    await until(lambda: "mine" in catalog._shelf.snapshot.named)
    assert {entry.model: entry.free for entry in await catalog.listing()}["mine"] is True

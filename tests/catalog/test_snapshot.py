"""Snapshots: which override counts, which multiplier, when that changes, and what is read of the database."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.catalog.demo import DEMO
from penstock.catalog.models import Multiplier, PriceInForce, PriceOverride, PriceUsed
from penstock.catalog.prices import pack
from penstock.catalog.snapshot import EMPTY, InForce, Snapshot, load_snapshot, read_override, sorted_by_weight
from penstock.kit.globs import matches
from penstock.upstream.usage import Usage


def row(row_id: str, provider: str, model: str, effective_at_ms: int = 0, **more) -> PriceOverride:
    facts = {
        "free": False,
        "card": {"standard": {"input_mtok": "1"}},
        "created_at_ms": 0,
        "created_by": "acc_x",
        "confirmed_at_ms": 0,
    } | more
    return PriceOverride(id=row_id, provider=provider, model=model, effective_at_ms=effective_at_ms, **facts)


@pytest.fixture
def read(database):
    """The snapshot of what the database holds after these rows were added."""

    async def load(*rows, before=EMPTY):
        async with database.session() as session:
            session.add_all(rows)
        async with database.session(read_only=True) as session:
            return await load_snapshot(session, 4, before)

    return load


def counts(snapshot, provider: str, model: str, at_ms: int = 10) -> str | None:
    own = snapshot.override(provider, model, at_ms)
    return None if own is None else own.id


async def test_the_name_counts_before_globs_and_the_longest_glob_before_others(read):
    snapshot = await read(
        row("any", "*", "*"), row("short", "*", "gpt-*"), row("long", "*", "gpt-4*"), row("own", "openai", "gpt-*"),
        row("exact", "*", "gpt-4o"), row("mine", "openai", "GPT-4.1"), row("both", "*", "gpt-4.1"),
    )  # fmt: skip
    assert counts(snapshot, "openai", "gpt-4o") == "exact"
    assert counts(snapshot, "openai", "gpt-4o-mini") == "long"
    assert counts(snapshot, "openai", "gpt-5") == "own"
    assert counts(snapshot, "anthropic", "gpt-5") == "short"
    assert counts(snapshot, "anthropic", "claude") == "any"
    assert counts(snapshot, "openai", "gpt-4.1") == counts(snapshot, "openai", "openai/Gpt-4.1") == "mine"
    assert counts(snapshot, "anthropic", "gpt-4.1") == "both"


async def test_the_latest_that_has_come_into_effect_counts(read):
    snapshot = await read(row("a", "*", "x", 5), row("b", "*", "x", 9), row("c", "*", "x", 9), row("later", "*", "x", 20))
    assert [counts(snapshot, "openai", "x", at_ms) for at_ms in (4, 5, 8, 9, 19, 20)] == [None, "a", "a", "c", "c", "later"]
    assert [snapshot.window_ms(at_ms) for at_ms in (4, 5, 9, 20)] == [(-inf, 5), (5, 9), (9, 20), (20, inf)]
    assert EMPTY.window_ms(3) == (-inf, inf)


async def test_a_name_that_is_not_in_effect_yet_leaves_its_globs_in_force(read):
    snapshot = await read(row("exact", "*", "gpt-4o", 20), row("glob", "*", "gpt-*"))
    assert [counts(snapshot, "openai", "gpt-4o", at_ms) for at_ms in (19, 20)] == ["glob", "exact"]


async def test_what_waits_or_was_retired_does_not_count(read):
    snapshot = await read(row("waits", "*", "x", confirmed_at_ms=None), row("retired", "*", "x", retired_at_ms=3))
    assert counts(snapshot, "openai", "x") is None
    assert snapshot == EMPTY


async def test_an_override_is_in_place_of_the_official_price_and_of_the_demo(read):
    card = {"standard": {"input_mtok": "1000"}}
    snapshot = await read(row("own", "openai", "gpt-4o", card=card), row("gift", "*", "demo*", free=True, card=None))
    assert snapshot.find("openai", "gpt-4o", 10).price.cost(Usage(input_tokens=1)) == 1_000_000
    assert snapshot.find("demo", "demo", 10).price.free
    assert snapshot.find("demo", "other", 10).price is DEMO
    assert snapshot.find("openai", "nonesuch", 10) == (None, None, None)
    assert snapshot.find("nonesuch", "gpt-4o", 10).price is None


async def test_multipliers_go_by_the_name_then_the_longest_glob(read):
    rows = {"gpt-4o": 2, "gpt-*": 3, "gpt-4*": 4, "?": 5}
    snapshot = await read(*(Multiplier(model=model, multiplier_micro=micro, changed_at_ms=0) for model, micro in rows.items()))
    names = ("GPT-4o", "gpt-4.1", "gpt-5", "x", "xx")
    assert [snapshot.multiplier(name) for name in names] == [2, 4, 3, 5, 1_000_000]
    assert [snapshot.stated(name) for name in ("Gpt-4o", "gpt-*", "gpt-5")] == [2, 3, None]


async def test_an_official_price_that_jumps_is_held_back_and_one_that_does_not_is_not(read):
    before_ms, after_ms = 1_749_513_599_000, 1_749_513_600_000
    dear, cheap = (EMPTY.find("openai", "o3", at_ms).price for at_ms in (before_ms, after_ms))
    used = PriceUsed(version=dear.version, provider="openai", model="o3", price=pack(dear), first_used_at_ms=0)
    in_force = PriceInForce(provider="openai", model="o3", version=dear.version, pending_version=None, changed_at_ms=0)
    snapshot = await read(used, in_force)
    assert snapshot.in_force == {("openai", "o3"): InForce(dear.version, None)}
    found = snapshot.find("openai", "o3-2025-04-16", after_ms)
    assert (found.price.version, found.official.version) == (dear.version, cheap.version)
    assert (found.price.effective_at_ms, found.price.expires_at_ms) == (cheap.effective_at_ms, cheap.expires_at_ms)
    assert snapshot.find("openai", "o3", before_ms).price == dear


async def test_a_price_in_force_whose_rates_are_lost_holds_nothing_back(read):
    lost = PriceInForce(provider="openai", model="o3", version="genai-prices openai/o3 lost", pending_version=None, changed_at_ms=0)
    snapshot = await read(lost)
    assert snapshot.find("openai", "o3", 10).price == EMPTY.find("openai", "o3", 10).price


async def test_what_is_known_is_not_read_again(read):
    used = PriceUsed(version=DEMO.version, provider="demo", model="x", price=pack(DEMO), first_used_at_ms=0)
    before = await read(used, row("own", "*", "x"))
    same = await read(before=before)
    assert same == before
    assert same.used is before.used
    assert same.owns["own"] is before.owns["own"]
    other = PriceUsed(version="other", provider="demo", model="x", price=pack(DEMO), first_used_at_ms=0)
    more = await read(other, before=before)
    assert more.used[DEMO.version] is before.used[DEMO.version]
    assert more.recall("other").per == DEMO.per


def test_versions_of_overrides_are_of_the_row_and_its_rates():
    own = read_override(row("prc_1", "openai", "GPT-4o", 7))
    assert own.price.version.startswith("own openai/GPT-4o prc_1 ")
    assert (own.model, own.price.effective_at_ms) == ("gpt-4o", 7)
    other = read_override(row("prc_1", "openai", "GPT-4o", 7, card={"standard": {"input_mtok": "2"}}))
    assert own.price.version != other.price.version
    assert read_override(row("prc_2", "*", "x", free=True, card=None)).price.version.startswith("free */x prc_2 ")


NAMES = st.sampled_from(["a", "ab", "abc", "b"])
MODELS = st.one_of(NAMES, st.sampled_from(["*", "a*", "ab*", "?", "a?", "*c"]))
ROWS = st.lists(st.tuples(st.sampled_from(["*", "openai", "anthropic"]), MODELS, st.integers(0, 5)), max_size=8)


@given(ROWS, NAMES, st.integers(0, 6))
def test_which_counts_is_what_the_rule_says(rows, model, at_ms):
    owns = [read_override(row(f"prc_{number:02}", *facts)) for number, facts in enumerate(rows)]
    named, globs = sorted_by_weight(owns)
    snapshot = Snapshot(named=named, globs=globs)
    fits = [own for own in owns if own.provider in ("openai", "*") and own.effective_at_ms <= at_ms and matches((own.model,), model)]
    best = max(
        fits, key=lambda own: (own.model == model, len(own.model), own.provider == "openai", own.effective_at_ms, own.id), default=None
    )
    found = snapshot.override("openai", model, at_ms)
    if best is None or found is None:
        assert found is best
    else:  # globs of one length are told apart by nothing that matters
        assert (found.model == model, len(found.model), found.provider, found.effective_at_ms) == (
            best.model == model, len(best.model), best.provider, best.effective_at_ms,
        )  # fmt: skip

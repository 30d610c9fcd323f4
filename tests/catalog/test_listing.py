"""The public list: which models are on it, at what rates, and until when."""

from __future__ import annotations

import pytest

from penstock.catalog.listing import Entry, list_models
from penstock.catalog.prices import STANDARD, build_price, flat, free_price
from penstock.catalog.snapshot import EMPTY, Own, Snapshot, sorted_by_weight
from penstock.channels.roster import Roster
from penstock.settings import Settings, names
from penstock.upstream.demo.models import MODELS
from sold import roster_of

NOW_MS = 1_795_305_600_000  # 2026-11-22


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for field in Settings.model_fields:
        for name in names(field):
            monkeypatch.delenv(name, raising=False)


def own(row_id: str, provider: str, model: str, dollars: str | None, effective_at_ms: int = 0) -> Own:
    price = free_price("free") if dollars is None else build_price("own", {STANDARD: flat(input_mtok=dollars)}, effective_at_ms)
    return Own(row_id, provider, model, effective_at_ms, price, None)


def decided(*owns: Own, **more) -> Snapshot:
    named, globs = sorted_by_weight(owns)
    return Snapshot(named=named, globs=globs, **more)


def sold(**settings) -> Roster:
    """What the channels of these settings serve."""
    return roster_of(Settings(**settings))


def listed(snapshot: Snapshot = EMPTY, tier_micro: int = 1_000_000, **settings) -> dict[str, Entry]:
    entries = list_models(sold(**settings), snapshot, tier_micro, NOW_MS).entries
    assert [entry.model for entry in entries] == sorted(entry.model for entry in entries)
    return {entry.model: entry for entry in entries}


def test_the_demo_alone_lists_its_models_and_what_the_operator_has_named():
    snapshot = decided(
        own("a", "demo", "mine", "5"), own("b", "openai", "theirs", "5"), own("c", "*", "x-*", "5"), multipliers={"more": 2_000_000}
    )
    found = listed(snapshot, demo=True)
    assert found.keys() == {*MODELS, "mine", "theirs", "more"}, "the demo serves any name"
    assert {entry.provider for entry in found.values()} == {"demo"}
    assert found["mine"].rates == {"standard": {"input_mtok": "5"}}
    assert found["more"].rates["standard"]["output_mtok"] == "4"
    assert found["theirs"].rates == found["demo"].rates
    assert found["demo"].context_tokens is None


def test_a_provider_lists_what_the_data_prices():
    found = listed(openai_api_key="sk-test")
    assert {"gpt-4o", "o3", "tts-1"} <= found.keys()
    assert "claude-opus-4-5" not in found
    assert not [name for name in found if name.endswith("-") or "demo" in name]
    entry = found["gpt-4o"]
    assert (entry.provider, entry.free, entry.multiplier_micro, entry.context_tokens) == ("openai", False, 1_000_000, 128_000)
    assert entry.rates["standard"]["input_mtok"] == "2.5"
    assert entry.rates["batch"]["input_mtok"] == "1.25"
    assert all(entry.rates for entry in found.values())


def test_without_a_credential_both_providers_are_reached():
    assert {entry.provider for entry in listed().values()} == {"openai", "anthropic"}


def test_beside_a_provider_the_demo_has_only_its_own():
    found = listed(decided(own("a", "*", "mine", "5")), openai_api_key="sk-test", demo=True)
    assert (found["demo"].provider, found["demo-tool"].provider, found["mine"].provider) == ("demo", "demo", "openai")
    assert "claude-demo" not in found, "the provider has no price for it"


def test_rates_are_multiplied_by_the_model_and_the_membership_and_rounded_as_prices_are():
    found = listed(decided(multipliers={"gpt-4o": 1_500_001}, multiplier_globs=(("o*", 2_000_000),)), 500_000, openai_api_key="sk-test")
    assert found["gpt-4o"].multiplier_micro == 750_001
    assert found["gpt-4o"].rates["standard"]["input_mtok"] == "1.8750025"
    assert found["o3"].rates["standard"]["input_mtok"] == "2"
    assert found["tts-1"].multiplier_micro == 500_000


def test_what_is_given_away_says_so():
    found = listed(decided(own("a", "*", "gpt-4o", None)), openai_api_key="sk-test")
    assert (found["gpt-4o"].free, found["gpt-4o"].rates) == (True, {})


def test_a_renamed_model_is_listed_by_its_public_name():
    found = listed(decided(multipliers={"fast": 3_000_000}), openai_api_key="sk-test", api_model_rewrite="fast=>gpt-4o,none=>nonesuch")
    assert (found["fast"].rates["standard"]["input_mtok"], found["gpt-4o"].rates["standard"]["input_mtok"]) == ("7.5", "2.5")
    assert "none" not in found


def test_it_says_how_long_it_holds():
    made = list_models(sold(openai_api_key="sk-test"), EMPTY, 1_000_000, 1_749_513_599_000)
    assert made.until_ms == 1_749_513_600_000, "o3 becomes cheaper"
    later = list_models(sold(openai_api_key="sk-test"), EMPTY, 1_000_000, made.until_ms)
    assert later.since_ms == made.until_ms
    demo = list_models(sold(demo=True), EMPTY, 1_000_000, NOW_MS)
    assert (demo.since_ms, demo.until_ms) == (None, None)

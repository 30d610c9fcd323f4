"""The roster: every public name once, whose it is, and over which wires it can be asked for."""

from __future__ import annotations

import pytest

from penstock.channels.roster import Roster, reach
from penstock.kit.pulse import Pulse
from penstock.upstream.channel import Channel, Terms
from penstock.upstream.client.pool import Limits, Origin, Pool
from penstock.upstream.names import EVERY, Names
from penstock.upstream.offers import Offer
from penstock.upstream.providers import PROVIDERS


def channel(provider: str = "openai", names: Names = EVERY, offers: list[Offer] | None = None, **terms) -> Channel:
    url = "http://127.0.0.1:9/v1"
    made = Channel(
        provider, PROVIDERS[provider], url, Pool(Origin.of(url), Limits(), Pulse()), secret="s", names=names, terms=Terms(**terms)
    )
    made.offers = None if offers is None else {offer.name: offer for offer in offers}
    return made


def roster(*channels: Channel, rewrites: dict[str, str] | None = None, official: dict[str, list[str]] | None = None) -> Roster:
    return Roster(channels, rewrites or {}, lambda provider: (official or {}).get(provider, []))


def test_names_that_a_channel_gives():
    found = roster(channel(names=Names([("fast", "gpt-4o-mini"), ("gpt-4o", None)]), offers=[Offer("gpt-4o", title="GPT")]))
    assert list(found.models) == ["fast", "gpt-4o"]
    assert found.models["fast"].sellers == (("openai", "gpt-4o-mini"),)
    assert found.models["gpt-4o"].offer.title == "GPT" and found.models["gpt-4o"].owner == "openai"


def test_names_that_a_provider_offers():
    offers = [Offer("a/one", owner="a"), Offer("b/two"), Offer("other")]
    found = roster(channel("openrouter", Names([("router/*", "*")]), offers))
    assert list(found.models) == ["router/a/one", "router/b/two", "router/other"]
    assert found.models["router/a/one"].sellers == (("openrouter", "a/one"),) and found.models["router/a/one"].owner == "a"


def test_a_pattern_of_the_providers_is_turned_round():
    found = roster(
        channel(names=Names([("*-here", "eu.*.v1"), ("odd*", "always")]), offers=[Offer("eu.x.v1"), Offer("us.x.v1"), Offer("eu.v1")])
    )
    assert list(found.models) == ["x-here"]


def test_what_prices_know_where_nobody_has_said():
    found = roster(channel(), official={"openai": ["gpt-4o", "whisper-1"]})
    assert list(found.models) == ["gpt-4o", "whisper-1"]
    assert "demo" in roster(channel("demo")).models


def test_a_model_of_several_channels_is_listed_once():
    first, second = channel(names=Names([("m", None)])), channel("groq", Names([("m", "n")]))
    found = roster(first, second).models["m"]
    assert found.sellers == (("openai", "m"), ("groq", "n")) and found.owner == "openai"


def test_rewritten_names_are_names():
    assert roster(channel(names=Names([("gpt-4o", None)])), rewrites={"fast": "gpt-4o", "slow": "nothing"}).models["fast"].model == "fast"


def test_who_sells_what_nobody_lists():
    found = roster(channel(names=Names([("one", None)])), channel("groq"), channel("mistral", Names([("x-*", "*")])))
    assert found.sellers("one") == (("openai", "one"),)
    assert found.sellers("x-new") == (("groq", "x-new"), ("mistral", "new"))
    assert found.sellers("new") == (("groq", "new"),)


@pytest.mark.parametrize(("model", "on", "never"), [
    ("gpt-5", {"chat", "responses", "messages", "gemini", "count_tokens"}, {"embeddings", "images"}),
    ("text-embedding-3-small", {"embeddings"}, {"chat", "messages"}),
    ("gpt-image-1", {"images"}, {"chat"}),
    ("whisper-1", {"transcriptions"}, {"chat", "speech"}),
    ("gpt-4o-mini-tts", {"speech"}, {"chat"}),
])  # fmt: skip
def test_wires_by_the_name(model, on, never):
    wires = roster(channel(names=Names([(model, None)]))).models[model].wires
    assert on <= wires and not never & wires


def test_wires_that_the_provider_names():
    found = roster(channel(offers=[Offer("odd", wires=("images",))])).models["odd"]
    assert "images" in found.wires and "chat" not in found.wires


def test_reach_goes_over_bridges():
    assert {"chat", "messages", "responses"} <= reach(("chat",), ("chat",)) and reach(("embeddings",), ("chat",)) == frozenset()


def test_channels_that_serve_the_same_are_looked_at_once():
    names = Names([(f"m{number}", None) for number in range(2000)])
    assert len(roster(*(channel(names=names) for _ in range(50))).models) == 2000

"""Loading: rows made into channels, a little at a time."""

from __future__ import annotations

import asyncio

import pytest

from penstock.channels.configured import SHARES
from penstock.channels.drafts import Draft
from penstock.channels.loading import Loader, Maker
from penstock.channels.pools import Pools
from penstock.channels.service import Given
from penstock.infra.database import DatabaseAway
from penstock.kit.pulse import Pulse
from penstock.settings import Settings


@pytest.fixture
def loader(database, secrets) -> Loader:
    settings = Settings(on_disconnect="drain")
    return Loader(database, Maker(settings, secrets, Pools(settings, Pulse())))


async def test_all_of_a_row_is_in_the_channel(loader, channels, operator):
    draft = Draft(
        "main", "openai", models=[("fast", "gpt-4o-mini")], wires=["responses", "chat"], priority=4, weight=2, headers={"X-A": "b"},
        timeouts={"idle_s": 7.0}, tags=["eu"], cost_micro=5, proxy="http://proxy.example.com:3128",
    )  # fmt: skip
    whole = await channels.create(operator, draft, [Given("sk-placeholder-0123456789-wxyz")])
    (channel,) = (await loader.load()).channels
    terms = channel.terms
    assert (terms.id, terms.credential_id, terms.hint) == (whole.row.id, whole.credentials[0].id, "wxyz")
    assert (terms.priority, terms.weight, terms.cost_micro, terms.tags, terms.on_disconnect) == (4, 2 * SHARES, 5, ("eu",), "drain")
    assert channel.wires == ("responses", "chat") and channel.names.served("fast") == "gpt-4o-mini" and channel.pool.limits.idle_s == 7
    assert b"\r\nx-a: b\r\n" in channel.request(b"POST", "/v1/x", b"", b"")


@pytest.mark.parametrize(("weight", "count", "each"), [(1, 3, 280), (0, 2, 0), (1, 100, 8), (1000, 1, 840_000)])
async def test_a_weight_is_divided_among_credentials(loader, channels, operator, weight, count, each):
    await channels.create(operator, Draft("main", "openai", weight=weight), [Given(f"sk-{number}") for number in range(count)])
    await channels.add_credential(operator, "main", Given("sk-off", enabled=False))
    found = (await loader.load()).channels
    assert [channel.terms.weight for channel in found] == [each] * count


async def test_what_is_disabled_is_not_there(loader, channels, operator):
    await channels.create(operator, Draft("main", "ollama", enabled=False))
    assert (await loader.load()).channels == ()


async def test_those_with_the_same_models_share_them(loader, channels, operator):
    for name in ("a", "b"):
        await channels.create(operator, Draft(name, "ollama", models=[("one", None), ("two", None)]))
    one, two = (await loader.load()).channels
    assert one.names is two.names


async def test_while_the_database_is_away_nothing_is_lost(loader, channels, operator, outage):
    await channels.create(operator, Draft("main", "ollama"))
    (before,) = (await loader.load()).channels
    async with outage():
        with pytest.raises(DatabaseAway):
            await loader.load()
    assert (await loader.load()).channels == (before,)


async def test_others_have_their_turns(loader, channels, operator):
    """The loop runs on between slices: something else on it is called many times while much is read."""
    for number in range(12):
        models = [(f"{number}-{model}", None) for model in range(2000)]
        await channels.create(operator, Draft(f"c{number}", "ollama", models=models))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(other())
    assert len((await loader.load()).channels) == 12
    beside.cancel()
    assert turns > 12


@pytest.mark.parametrize(
    ("change", "forgotten"),
    [
        ({"headers": {"x-a": "b"}}, True),
        ({"allow_private": False}, True),
        ({"proxy": "http://proxy.example.com:3128"}, True),
        ({"base_url": "https://other.example.com/v1"}, True),
        ({"weight": 5}, False),
        ({"models": [("one", None)]}, False),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "ollama"])
async def test_what_has_failed_is_forgotten_where_something_else_is_called(loader, channels, operator, provider, change, forgotten):
    draft = Draft("main", provider, base_url="https://api.example.com/v1", allow_private=True)
    await channels.create(operator, draft, [Given("sk-placeholder")] if provider == "openai" else [])
    (before,) = (await loader.load()).channels
    await channels.change(operator, "main", change)
    (after,) = (await loader.load()).channels
    assert after is not before and (after.breakers is not before.breakers) is forgotten

"""The door: channels of settings and rows, kept up with whoever changes them."""

from __future__ import annotations

import asyncio

import pytest

from penstock.channels.door import ChannelDoor
from penstock.channels.drafts import Draft
from penstock.channels.service import Given
from penstock.infra.revisions import Feed
from penstock.kit.pulse import Pulse
from penstock.settings import Settings


class Opened:
    """A door over a database, and how often it has changed."""

    def __init__(self, database, secrets, **settings) -> None:
        self.feed = Feed(database, every_s=0.01)
        self.pulse = Pulse(0.01)
        self.changes = 0
        self.changed = asyncio.Event()
        known = {"openai_api_key": "sk-vendor"}
        self.door = ChannelDoor(Settings(**{**known, **settings}), database, secrets, self.pulse, self.feed, on_change=self._changed)

    def _changed(self) -> None:
        self.changes += 1
        self.changed.set()

    async def until(self, true) -> None:
        async with asyncio.timeout(10):
            while not true():
                self.changed.clear()
                await self.changed.wait()

    @property
    def names(self) -> list[str]:
        return [channel.name for channel in self.door.channels]

    async def __aenter__(self):
        await self.door.start()
        await self.feed.start()
        return self

    async def __aexit__(self, *_):
        await self.feed.stop()
        await self.door.stop()


async def test_rows_stand_beside_settings(database, secrets, channels, operator):
    await channels.create(operator, Draft("low", "deepseek", priority=-1), [Given("sk-a")])
    await channels.create(operator, Draft("high", "deepseek", priority=5), [Given("sk-b"), Given("sk-c")])
    async with Opened(database, secrets) as opened:
        assert opened.names == ["openai", "high", "high", "low"]
        high = opened.door.channels[1:3]
        assert {channel.terms.weight for channel in high} == {420}
        assert high[0].pool is high[1].pool is opened.door.channels[3].pool
        assert b"authorization: Bearer sk-b\r\n" in high[0].request(b"POST", "/v1/x", b"", b"")


async def test_changes_are_followed(database, secrets, channels, operator):
    async with Opened(database, secrets) as opened:
        assert opened.names == ["openai"]
        made = await channels.create(operator, Draft("one", "deepseek"), [Given("sk-a")])
        await opened.until(lambda: "one" in opened.names)
        first = opened.door.channels[1]
        await channels.change(operator, "one", {"weight": 3, "tags": ["eu"]})
        await opened.until(lambda: opened.door.channels[1].terms.tags == ("eu",))
        second = opened.door.channels[1]
        assert second is not first and second.pool is first.pool and second.breakers is first.breakers
        await channels.change_credential(operator, "one", made.credentials[0].id, {"secret": "sk-other"})
        await opened.until(lambda: opened.door.channels[1] is not second)
        assert opened.door.channels[1].breakers is not first.breakers, "another secret has not failed yet"
        await channels.disable(operator, "one")
        await opened.until(lambda: opened.names == ["openai"])
        await channels.enable(operator, "one")
        await opened.until(lambda: "one" in opened.names)
        await channels.delete(operator, "one")
        await opened.until(lambda: opened.names == ["openai"])


async def test_only_what_has_changed_is_made_again(database, secrets, channels, operator):
    await channels.create(operator, Draft("one", "deepseek"), [Given("sk-a")])
    async with Opened(database, secrets) as opened:
        (_, one) = opened.door.channels
        await channels.create(operator, Draft("two", "ollama"))
        await opened.until(lambda: "two" in opened.names)
        assert opened.door.channels[1] is one


async def test_a_pool_that_nobody_uses_is_closed(database, secrets, channels, operator):
    await channels.create(operator, Draft("one", "deepseek"), [Given("sk-a")])
    async with Opened(database, secrets) as opened:
        assert len(opened.door.pools.all()) == 2
        await channels.change(operator, "one", {"timeouts": {"idle_s": 7}})
        await opened.until(lambda: opened.door.channels[1].pool.limits.idle_s == 7)
        assert len(opened.door.pools.all()) == 2


async def test_what_cannot_be_used_says_why_and_does_not_stop_the_others(database, secrets, channels, operator, caplog):
    bare = await channels.create(operator, Draft("bare", "deepseek"))
    await channels.create(operator, Draft("good", "ollama"))
    async with Opened(database, secrets) as opened:
        assert opened.names == ["openai", "good"]
        assert opened.door.problems == {bare.row.id: "it has no credential that is enabled"}
    assert "bare cannot be used" in caplog.text


async def test_with_another_secret_key_it_says_so(database, secrets, channels, operator, caplog):
    made = await channels.create(operator, Draft("one", "deepseek"), [Given("sk-a")])
    from penstock.infra.secrets import Secrets  # noqa: PLC0415

    async with Opened(database, Secrets(bytes(32))) as opened:
        assert opened.names == ["openai"]
        assert "PENSTOCK_SECRET_KEY" in opened.door.problems[made.row.id]


async def test_where_clients_show_the_providers_keys_nobody_gets_the_operators(database, secrets, channels, operator):
    await channels.create(operator, Draft("one", "deepseek"), [Given("sk-a")])
    async with Opened(database, secrets, openai_api_key=None) as opened:
        assert opened.names == ["openai", "anthropic"]


async def test_it_starts_while_the_database_is_away(database, secrets, channels, operator, outage, caplog):
    await channels.create(operator, Draft("one", "ollama"))
    opened = Opened(database, secrets)
    async with outage():
        await opened.door.start()
        assert opened.names == ["openai"]
    await opened.until(lambda: opened.names == ["openai", "one"])
    await opened.door.stop()


async def test_stop_without_start(database, secrets):
    await Opened(database, secrets).door.stop()


@pytest.mark.parametrize("count", [30])
async def test_the_loop_has_its_turns_while_many_models_are_read(database, secrets, channels, operator, count):
    models = [(f"model-{number}", None) for number in range(2000)]
    for number in range(count):
        await channels.create(operator, Draft(f"c{number}", "ollama", models=[*models, (f"own-{number}", None)]))
    async with Opened(database, secrets) as opened:
        assert len(opened.door.channels) == count + 1
        assert all(channel.names.served("model-7") == "model-7" for channel in opened.door.channels[1:])

"""Discovery: what providers say they have is kept, told to all, and not lost when one is silent."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fake_answers import answer
from fake_provider import FakeProvider
from penstock.channels.discovery import Discovery
from penstock.channels.door import ChannelDoor
from penstock.channels.drafts import Draft
from penstock.channels.service import Given
from penstock.infra.revisions import Feed, Revision
from penstock.kit.errors import PenstockError
from penstock.kit.pulse import Pulse
from penstock.settings import Settings

HOUR_MS = 3_600_000


def models(*names: str) -> bytes:
    return answer({"object": "list", "data": [{"id": name, "object": "model", "owned_by": "vendor"} for name in names]})


@pytest.fixture
async def provider():
    async with FakeProvider() as made:
        yield made


@pytest.fixture
async def world(database, secrets, channels, provider):
    """A discovery whose clock is set by hand, with OpenAI in the settings."""
    pulse = Pulse(0.02)
    pulse.start()
    made = SimpleNamespace(now_ms=1_800_000_000_000)
    made.settings = Settings(openai_api_key="sk-vendor", openai_base_url=f"{provider.url}/settings/v1")
    made.discovery = Discovery(made.settings, database, channels, pulse, lambda: made.now_ms)
    made.door = ChannelDoor(made.settings, database, secrets, pulse, Feed(database))
    yield made
    await made.door.stop()
    pulse.stop()


async def make(channels, operator, provider, **changes):
    draft = Draft("main", "openai-compatible", base_url=f"{provider.url}/v1", allow_private=True, **changes)
    return await channels.create(operator, draft, [Given("sk-x")])


async def revision(database) -> int:
    async with database.session(read_only=True) as session:
        found = await session.get(Revision, "channels")
    return 0 if found is None else found.number


async def test_what_is_said_is_loaded_by_every_process(channels, operator, provider, world, database):
    made = await make(channels, operator, provider)
    provider.script(models("b", "a", "b"))
    before = await revision(database)
    assert await world.discovery.ask("main") == (made.row.id, 2, None)
    assert await revision(database) == before + 1
    await world.door.start()
    (_, main) = world.door.channels
    assert list(main.offers) == ["a", "b"] and main.offers["a"].owner == "vendor"


async def test_the_same_again_is_no_news(channels, operator, provider, world, database):
    await make(channels, operator, provider)
    provider.always(models("a"))
    await world.discovery.ask("main")
    before = await revision(database)
    await world.discovery.ask("main")
    assert await revision(database) == before


@pytest.mark.parametrize("failing", [answer({}, 500), answer(b"<html>", kind="text/html"), answer({"data": 1})])
async def test_what_was_said_before_stays(channels, operator, provider, world, failing, caplog):
    made = await make(channels, operator, provider)
    provider.script(models("a"))
    provider.script(failing)
    await world.discovery.ask("main")
    found = await world.discovery.ask("main")
    assert (found.models, found.failure is None) == (1, False)
    told = (await channels.get("main")).told
    assert (told.failure, told.models) == (found.failure, 1)
    assert made.row.id in caplog.text


async def test_each_has_its_turn(channels, operator, provider, world, caplog):
    await make(channels, operator, provider)
    await channels.create(
        operator, Draft("named", "openai-compatible", base_url=f"{provider.url}/v2/v1", models=[("a", None)], allow_private=True)
    )

    async def asked() -> list[str]:
        before = len(provider.requests)
        await world.discovery.run()
        return sorted(request.target for request in provider.requests[before:])

    provider.always(models("a"))
    assert await asked() == ["/settings/v1/models", "/v1/models"]
    assert await asked() == []
    world.now_ms += HOUR_MS
    provider.always(answer({}, 500))
    assert await asked() == ["/settings/v1/models", "/v1/models"]
    world.now_ms += 300_000
    assert await asked() == ["/settings/v1/models", "/v1/models"], "after a failure sooner"


async def test_channels_from_settings_are_known_by_their_names(provider, world):
    provider.script(models("gpt-x"))
    assert await world.discovery.ask("openai") == ("openai", 1, None)
    await world.door.start()
    assert list(world.door.channels[0].offers) == ["gpt-x"]


async def test_it_can_be_switched_off(database, channels, provider):
    quiet = Discovery(Settings(openai_api_key="sk-x", openai_base_url=f"{provider.url}/v1", discover_s=0), database, channels, Pulse())
    await quiet.run()
    assert provider.requests == []


async def test_a_provider_without_a_list(channels, operator, world):
    made = await channels.create(
        operator, Draft("main", "azure-openai", base_url="https://name.openai.azure.com/openai/v1"), [Given("sk-x")]
    )
    assert await world.discovery.ask("main") == (made.row.id, 0, None)


async def test_without_a_credential(channels, operator, world, caplog):
    await channels.create(operator, Draft("main", "openai"))
    assert "credential" in (await world.discovery.ask("main")).failure


async def test_nobody_of_that_name(world):
    for name in ("none", "anthropic"):
        with pytest.raises(PenstockError):
            await world.discovery.ask(name)

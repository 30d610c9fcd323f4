"""Channels from settings: what each way of configuring the program leads to."""

from __future__ import annotations

import pytest

from fake_provider import FakeProvider
from penstock.channels.configured import BY_KEY, channels_from
from penstock.channels.pools import Pools
from penstock.kit.pulse import Pulse
from penstock.settings import Settings
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.providers.provider import ANTHROPIC_WIRES, OPENAI_WIRES

KEYS = {"openai_api_key": "sk-openai", "anthropic_api_key": "sk-anthropic"}


def channels(demo_port: int | None = None, **settings):
    known = Settings(**settings)
    return channels_from(known, Pools(known, Pulse()), demo_port)


def served_by(found, wire: str, model: str | None) -> list[str]:
    """The names of the channels, in the order in which they are asked."""
    return [channel.name for channel in found if channel.speaks(wire, model) and channel.names.served(model or "") is not None]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAPI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_with_nothing_configured_both_are_reached_with_the_clients_own_credential():
    found = channels()
    assert [(channel.name, channel.transparent) for channel in found] == [("openai", True), ("anthropic", True)]
    assert served_by(found, "chat", "gpt-4o") == ["openai"]
    assert served_by(found, "messages", "claude") == ["anthropic"]
    assert served_by(found, "passthrough", None) == ["openai", "anthropic"]


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_with_one_key_only_that_provider_is_there(name):
    found = channels(**{f"{name}_api_key": "sk-test"})
    assert [(channel.name, channel.transparent) for channel in found] == [(name, False)]
    assert b"sk-test" in found[0].request(b"POST", "/v1/x", b"", b"")


def test_with_both_keys():
    found = channels(**KEYS)
    assert [channel.name for channel in found] == ["openai", "anthropic"]
    assert [channel.pool.origin.host for channel in found] == ["api.openai.com", "api.anthropic.com"]
    assert all(channel.pool.origin.secure for channel in found)


@pytest.mark.parametrize("key", ["", "sk-test\n"])
def test_keys_from_files(key):
    """An empty one is none; the line end after one is not part of it."""
    found = channels(openai_api_key=key)
    assert found[0].transparent == (key == "")


@pytest.mark.parametrize(
    "settings",
    [
        {"openai_base_url": "api.openai.com/v1"},
        {"openai_base_url": "https://api.openai.com/v1?x=y"},
        {"anthropic_base_url": "ftp://api.anthropic.com"},
        {"openai_api_key": "sk\r\nx-evil: 1"},
        {"openai_api_key": " "},
    ],
)
def test_what_cannot_work_is_refused_at_the_start(settings):
    with pytest.raises(ValueError):
        channels(**settings)


def test_base_urls():
    found = channels(**KEYS, openai_base_url="http://127.0.0.1:9000/openai/v1/", anthropic_base_url="http://127.0.0.1:9001")
    starts = [channel.request(b"POST", "/v1/x", b"", b"").split(b"\r\n")[:2] for channel in found]
    assert starts == [[b"POST /openai/v1/x HTTP/1.1", b"host: 127.0.0.1:9000"], [b"POST /v1/x HTTP/1.1", b"host: 127.0.0.1:9001"]]


def test_the_demo_provider_alone_serves_everything():
    found = channels(9, demo=True)
    assert [channel.name for channel in found] == ["demo"]
    assert all(served_by(found, wire, "gpt-4o") == ["demo"] for wire in (*OPENAI_WIRES, *ANTHROPIC_WIRES))
    assert served_by(found, "passthrough", None) == ["demo"]


def test_beside_a_real_provider_the_demo_never_takes_its_place():
    """What is made up must not be the answer when a real provider fails."""
    found = channels(9, demo=True, openai_api_key="sk-test")
    assert served_by(found, "chat", "gpt-4o") == ["openai"]
    assert served_by(found, "passthrough", None) == ["openai"]
    assert served_by(found, "chat", "demo")[0] == "demo"
    assert served_by(found, "complete", "claude-2") == ["demo-else"]
    assert served_by(found, "messages", "claude") == [], "OpenAI can be asked over a bridge"


def test_beside_two_real_ones_it_serves_its_own_models():
    found = channels(9, demo=True, **KEYS)
    assert [channel.name for channel in found] == ["demo", "openai", "anthropic"]
    assert served_by(found, "messages", "demo-slow")[0] == "demo"
    assert served_by(found, "messages", "claude") == ["anthropic"]


def test_each_provider_with_a_key_is_there():
    keys = {f"{name}_api_key": "sk-test" for name in BY_KEY}
    found = channels(**keys)
    assert [channel.name for channel in found] == list(BY_KEY)
    assert channels(groq_api_key="sk-test")[0].base_url == "https://api.groq.com/openai/v1"


def test_their_order_is_kept_by_priority():
    found = channels(**KEYS)
    assert found[0].terms.priority > found[1].terms.priority


def test_limits_come_from_the_settings():
    limits = channels(
        connect_s=1, first_byte_s=2, idle_s=3, total_s=4, upstream_keep_alive_s=5, upstream_head_limit=2048, upstream_connections=7
    )[0].pool.limits
    assert limits == (1, 2, 3, 4, 5, 2048, 7)


async def test_the_ca_file_says_whom_to_trust(authority, stranger, ca_file):
    async with FakeProvider(authority.server()) as good, FakeProvider(stranger.server()) as bad:
        found = channels(**KEYS, openai_base_url=f"{good.url}/v1", anthropic_base_url=bad.url, ca_file=ca_file)
        connection = await found[0].pool.connect()
        connection.abort()
        with pytest.raises(UpstreamError) as caught:
            await found[1].pool.connect()
        assert caught.value.kind == "refused"
        await good.until_closed()

"""The control API of channels: administrators alone, secrets never shown, clear refusals."""

from __future__ import annotations

import json
import tomllib
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import select

from control_plane import ControlPlane
from fake_answers import answer, chat_answer
from fake_provider import FakeProvider
from penstock.channels.api import routes
from penstock.channels.discovery import Discovery
from penstock.channels.door import ChannelDoor
from penstock.channels.models import BreakerRow
from penstock.channels.service import Channels
from penstock.channels.trial import Trials
from penstock.infra.database import Database
from penstock.infra.revisions import Feed
from penstock.infra.secrets import Secrets
from penstock.kit.pulse import Pulse

SECRET = "sk-placeholder-0123456789-wxyz"


@pytest.fixture
async def plane(database: Database, secrets: Secrets) -> AsyncIterator[ControlPlane]:
    async with ControlPlane(database, routes, openai_api_key="sk-vendor") as made:
        state = made.app.state
        pulse = Pulse(0.02)
        pulse.start()
        state.channels = Channels(database, secrets)
        state.channel_door = ChannelDoor(state.settings, database, secrets, pulse, Feed(database))
        state.trials = Trials(state.settings, state.channels, pulse)
        state.discovery = Discovery(state.settings, database, state.channels, pulse)
        await state.channel_door.start()
        yield made
        await state.channel_door.stop()
        pulse.stop()


@pytest.fixture
async def admin(plane: ControlPlane) -> httpx.AsyncClient:
    return await plane.browser(await plane.account("admin"))


def refused(answered: httpx.Response) -> tuple[int, str, str | None]:
    found = answered.json()["error"]
    return answered.status_code, found["code"], found["param"]


async def made(admin: httpx.AsyncClient, **given) -> dict:
    body = {"name": "main", "provider": "deepseek", "credentials": [{"label": "first", "secret": SECRET}], **given}
    answered = await admin.post("/api/channels", json=body)
    assert answered.status_code == 201, answered.text
    return answered.json()


async def test_only_administrators_see_channels(plane):
    member = await plane.browser(await plane.account())
    assert refused(await member.get("/api/channels"))[:2] == (403, "forbidden")
    assert refused(await plane.client().get("/api/providers"))[:2] == (401, "not_signed_in")


async def test_a_channel_lives(admin):
    one = await made(admin, models=["deepseek-*", {"name": "fast", "served": "deepseek-chat"}], headers={"X-Team": "blue"}, weight=3)
    assert (one["base_url"], one["model_count"], one["discover"]) == ("https://api.deepseek.com/v1", 2, True)
    assert one["models"] == [{"name": "deepseek-*", "served": None}, {"name": "fast", "served": "deepseek-chat"}]
    assert (one["headers"], one["credentials"][0]["hint"], one["credentials"][0]["label"]) == (["X-Team"], "wxyz", "first")
    path = f"/api/channels/{one['id']}"
    changed = (
        await admin.patch(path, json={"weight": 0, "tags": ["eu"], "proxy": "http://user:hidden-word@proxy.example.com:3128"})
    ).json()
    assert (changed["weight"], changed["tags"], changed["proxy"]) == (0, ["eu"], "http://...@proxy.example.com:3128")
    assert changed["headers"] == ["X-Team"]
    assert (await admin.get("/api/channels/main")).json() == changed
    assert (await admin.post(f"{path}/disable")).json()["enabled"] is False
    assert (await admin.post(f"{path}/enable")).json()["enabled"] is True
    page = (await admin.get("/api/channels")).json()
    assert [each["name"] for each in page["data"]] == ["main"]
    assert [each["name"] for each in page["configured"]] == ["openai"]
    for text in (json.dumps(page), json.dumps(changed)):
        assert SECRET not in text and "hidden-word" not in text and "blue" not in text
    assert (await admin.delete(path)).status_code == 204
    assert refused(await admin.get(path))[:2] == (404, "not_found")


async def test_credentials(admin):
    one = await made(admin)
    path = f"/api/channels/{one['id']}/credentials"
    second = (await admin.post(path, json={"secret": "sk-short", "label": "second"})).json()
    assert (second["hint"], second["enabled"]) == ("", True)
    changed = (await admin.patch(f"{path}/{second['id']}", json={"enabled": False, "secret": SECRET})).json()
    assert (changed["hint"], changed["enabled"], changed["label"]) == ("wxyz", False, "second")
    assert (await admin.delete(f"{path}/{second['id']}")).status_code == 204
    assert refused(await admin.delete(f"{path}/{second['id']}"))[:2] == (404, "not_found")
    assert len((await admin.get("/api/channels/main")).json()["credentials"]) == 1


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"provider": "nobody"}, "invalid_request", "provider"),
        ({"base_url": "http://127.0.0.1:9/v1"}, "private_address", "base_url"),
        ({"base_url": "ftp://example.com"}, "invalid_request", "base_url"),
        ({"headers": {"Authorization": "Bearer x"}}, "invalid_request", "headers"),
        ({"headers": {"Content-Length": "5"}}, "invalid_request", "headers"),
        ({"wires": ["smoke"]}, "invalid_request", "wires"),
        ({"options": {"x": 1}}, "invalid_request", "options"),
        ({"proxy": "socks5://example.com"}, "invalid_request", "proxy"),
        ({"credentials": [{"secret": "two words"}]}, "invalid_request", "secret"),
        ({"models": ["a", "a"]}, "invalid_request", "models"),
        ({"weight": 1001}, "invalid_request", "weight"),
        ({"timeouts": {"idle_s": 0}}, "invalid_request", "timeouts.idle_s"),
        ({"name": "a/b"}, "invalid_request", "name"),
    ],
)
async def test_what_cannot_be_is_refused(admin, given, code, param):
    body = {"name": "main", "provider": "deepseek", "credentials": [{"secret": SECRET}], **given}
    assert refused(await admin.post("/api/channels", json=body)) == (400, code, param)


async def test_a_name_is_taken_once(admin):
    await made(admin)
    body = {"name": "main", "provider": "ollama"}
    assert refused(await admin.post("/api/channels", json=body)) == (409, "conflict", "name")


async def test_trials_and_discovery(admin):
    async with FakeProvider() as provider:
        provider.script(answer({"data": [{"id": "big-70b"}, {"id": "small-8b"}]}))
        provider.script(answer(chat_answer()))
        url = f"{provider.url}/v1"
        one = await made(admin, name="local", provider="openai-compatible", base_url=url, allow_private=True)
        tried = (await admin.post(f"/api/channels/{one['id']}/test")).json()
        assert tried["works"] is True
        (trial,) = tried["data"]
        assert (trial["code"], trial["model"], trial["wire"], trial["status"]) == ("works", "small-8b", "chat", 200)
        provider.script(answer({"data": [{"id": "big-70b"}]}))
        found = (await admin.post(f"/api/channels/{one['id']}/discover")).json()
        assert found == {"channel_id": one["id"], "models": 1, "failure": None}
        assert (await admin.get("/api/channels/local")).json()["offered"] == 1
        provider.script(answer({"error": {"message": f"Incorrect API key provided: {SECRET}"}}, 401))
        tried = (await admin.post(f"/api/channels/{one['id']}/test", json={"model": "big-70b"})).json()
        assert tried["works"] is False and tried["data"][0]["code"] == "wrong_key"
        assert SECRET not in json.dumps(tried)


async def test_sets_go_out_without_secrets_and_come_back(admin):
    await made(admin, models=["a", {"name": "b", "served": "c"}], tags=["eu"])
    await made(admin, name="local", provider="ollama", credentials=[])
    as_toml = await admin.get("/api/channels/export", params={"format": "toml"})
    as_json = await admin.get("/api/channels/export")
    assert SECRET not in as_toml.text + as_json.text
    assert tomllib.loads(as_toml.text)["channels"] == as_json.json()["channels"]
    dry = (await admin.post("/api/channels/import?dry_run=true", content=as_toml.content)).json()
    assert dry == {"dry_run": True, "created": [], "changed": ["local", "main"], "lacking": []}
    await admin.delete("/api/channels/main")
    back = (await admin.post("/api/channels/import", content=as_json.content)).json()
    assert back == {"dry_run": False, "created": ["main"], "changed": ["local"], "lacking": ["main: first"]}
    main = (await admin.get("/api/channels/main")).json()
    assert (main["tags"], main["models"][1], main["credentials"]) == (["eu"], {"name": "b", "served": "c"}, [])


async def test_an_import_is_whole_or_nothing(admin):
    text = '[[channels]]\nname = "a"\nprovider = "ollama"\n[[channels]]\nname = "b"\nprovider = "openai"\nweight = 5000\n'
    answered = await admin.post("/api/channels/import", content=text)
    assert refused(answered) == (400, "invalid_request", "weight") and "'b'" in answered.text
    assert (await admin.get("/api/channels")).json()["data"] == []
    assert refused(await admin.post("/api/channels/import", content="what = ["))[:2] == (400, "invalid_request")


async def test_providers(admin):
    found = {each["name"]: each for each in (await admin.get("/api/providers")).json()["data"]}
    assert found["openai"]["base_url"] == "https://api.openai.com/v1"
    assert found["ollama"]["local"] and not found["ollama"]["needs_secret"]
    assert "api_version" in found["azure-openai"]["options"]


async def test_what_has_failed_is_shown_and_reset(admin, plane):
    one = await made(admin)
    state = plane.app.state
    async with state.channels._database.session() as session:
        about = {"state": "open", "until_ms": 2 * 10**12, "failures": 1, "reason": "401 Unauthorized", "at_ms": 1}
        for name in (one["id"], "openai"):
            session.add(BreakerRow(channel_id=name, credential_id="", model="", **about))
    assert (await admin.post("/api/channels/main/reset")).status_code == 204
    assert (await admin.post("/api/channels/openai/reset")).status_code == 204
    async with state.channels._database.session(read_only=True) as session:
        assert list(await session.scalars(select(BreakerRow))) == []
    assert refused(await admin.post("/api/channels/nobody/reset"))[:2] == (404, "not_found")
    member = await plane.browser(await plane.account())
    assert refused(await member.post("/api/channels/main/reset"))[:2] == (403, "forbidden")

"""A team that shares one provider key: members and their keys by URL, and the keys in the SDKs of both providers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from live_gateway import LiveGateway
from penstock.upstream.demo.audio import wav
from penstock.upstream.demo.images import png
from sdk_judges import nowhere
from wiretap import Wiretap

TOKEN = "Une9f2ijwe"
TEAM_KEY = "sk-of-the-team"
TALK: Any = [{"role": "user", "content": "Hello"}]
PICTURE = ("picture.png", png(64, 64, b"123456789012"), "image/png")


@pytest.fixture(scope="module")
def team(make_gateway: Callable[..., LiveGateway], tap: Wiretap) -> LiveGateway:
    """The team's gateway: an OpenAI key, an Anthropic key, a token to make members with."""
    providers = {"openai_base_url": f"{tap.url}/v1", "anthropic_base_url": tap.url}
    return make_gateway(openai_api_key=TEAM_KEY, anthropic_api_key=TEAM_KEY, access_token=TOKEN, **providers)


def said(http: httpx.Client, team: LiveGateway, path: str, method: str = "GET", **headers: str) -> str:
    """What is answered by one of the team's URLs."""
    answer = http.request(method, team.url + path, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.endswith("\n")
    return answer.text[:-1]


def refused(http: httpx.Client, team: LiveGateway, path: str, method: str = "GET", **headers: str) -> str:
    """The word of why something is refused."""
    answer = http.request(method, team.url + path, headers=headers)
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


def client(team: LiveGateway, key: str) -> OpenAI:
    return OpenAI(base_url=f"{team.url}/v1", api_key=key, max_retries=0)


def until_refused(team: LiveGateway, key: str) -> str | None:
    """Ask until the key is refused, as it must be soon; the error's code."""
    end = time.monotonic() + 10
    with client(team, key) as member:
        while time.monotonic() < end:
            try:
                member.models.list()
            except openai.AuthenticationError as refusal:
                return refusal.code
            time.sleep(0.02)
    raise AssertionError("the key goes on working")


# members


def test_a_member_from_beginning_to_end(team: LiveGateway, http: httpx.Client):
    first = said(http, team, f"/{TOKEN}/register/janlay")
    assert re.fullmatch("sk-cfw[A-Za-z0-9]{45}", first)
    with client(team, first) as member:
        assert member.chat.completions.create(model="demo", messages=TALK).choices
    second = said(http, team, f"/{TOKEN}/reset/janlay")
    assert second != first
    assert until_refused(team, first) == "invalid_key"
    third = said(http, team, f"/{TOKEN}/register/janlay")
    assert until_refused(team, second) == "invalid_key"
    with client(team, third) as member:
        assert member.chat.completions.create(model="demo", messages=TALK).choices
    assert said(http, team, f"/{TOKEN}/janlay", "DELETE") == "ok"
    assert until_refused(team, third) == "invalid_key"
    assert refused(http, team, f"/{TOKEN}/janlay", "DELETE") == "User not found"


def test_the_token_in_a_header(team: LiveGateway, http: httpx.Client):
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert said(http, team, "/team/register/header", "POST", **bearer).startswith("sk-cfw")
    assert said(http, team, "/team/reset/header", "POST", **{"x-access-token": TOKEN}).startswith("sk-cfw")
    assert said(http, team, "/team/header", "DELETE", **bearer) == "ok"
    assert refused(http, team, "/team/register/header", "POST", authorization="Bearer wrong") == "Access forbidden"


def test_what_the_original_refuses(team: LiveGateway, http: httpx.Client):
    assert refused(http, team, "/wrong/register/x") == "Access forbidden"
    assert refused(http, team, "/favicon.ico") == "Access forbidden"
    assert refused(http, team, f"/{TOKEN}") == "Invalid action"
    assert refused(http, team, f"/{TOKEN}/list") == "Invalid action"
    assert refused(http, team, f"/{TOKEN}/register") == "Invalid username1"
    assert refused(http, team, f"/{TOKEN}", "DELETE") == "Invalid username2"
    assert refused(http, team, f"/{TOKEN}/register/x?days=0") == "Invalid days"


def test_a_key_for_some_days(team: LiveGateway, http: httpx.Client):
    key = said(http, team, f"/{TOKEN}/register/guest?days=30")
    with client(team, key) as member:
        assert member.models.list().data
    (made,) = [made for made in team.run(team.parts.keys.list()) if made.name == "guest"]
    assert made.kind == "team" and made.expires_at_ms > made.created_at_ms + 29 * 86_400_000


# keys


@pytest.fixture(scope="module")
def key(team: LiveGateway, http: httpx.Client) -> str:
    """A member's key."""
    return said(http, team, f"/{TOKEN}/register/someone")


def test_openai_s_sdk(team: LiveGateway, key: str, tap: Wiretap):
    tap.heard.clear()
    with client(team, key) as member:
        assert member.chat.completions.create(model="demo", messages=TALK).usage
        assert len(list(member.chat.completions.create(model="demo", messages=TALK, stream=True))) > 3
        assert member.responses.create(model="demo", input="Hello").output_text
        assert member.embeddings.create(model="demo", input="Hello").data
        assert member.audio.transcriptions.create(model="demo", file=("a.wav", wav(2400))).text  # the original breaks on forms
        assert member.images.edit(model="demo", image=PICTURE, prompt="Bluer", size="64x64").data
        file = member.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
        assert member.files.delete(file.id).deleted  # and on DELETE without a body
    assert {heard.header("authorization") for heard in tap.heard} == {f"Bearer {TEAM_KEY}".encode()}
    nowhere(key, *tap.heard)


def test_anthropic_s_sdk(team: LiveGateway, key: str, tap: Wiretap):
    tap.heard.clear()
    for credential in ({"api_key": key}, {"auth_token": key}):
        with Anthropic(base_url=team.url, max_retries=0, **credential) as member:
            assert member.messages.create(model="demo", max_tokens=9, messages=TALK).content
            with member.messages.stream(model="demo", max_tokens=9, messages=TALK) as stream:
                assert stream.get_final_text()
            assert member.messages.count_tokens(model="demo", messages=TALK).input_tokens
            assert list(member.models.list())
    assert {heard.header("x-api-key") for heard in tap.heard} == {TEAM_KEY.encode()}
    nowhere(key, *tap.heard)


def test_programs_as_people_set_them_up(team: LiveGateway, key: str, http: httpx.Client):
    """With and without /v1, with a slash too many, with any header or the query."""
    for path in ("/v1/chat/completions", "/chat/completions", "//v1//chat/completions/", "/v1/v1/chat/completions"):
        for headers, query in (
            ({"authorization": f"Bearer {key}"}, ""),
            ({"authorization": key}, ""),
            ({"api-key": key, "x-api-key": key}, ""),
            ({}, f"?key={key}"),
        ):
            answer = http.post(team.url + path + query, headers=headers, json={"model": "demo", "messages": TALK})
            assert answer.status_code == 200, (path, headers, answer.text)


def test_a_key_that_does_not_open(team: LiveGateway, key: str, http: httpx.Client):
    for wrong in ("sk-cfw" + "a" * 45, key[:-1] + ("b" if key.endswith("a") else "a"), TOKEN, TEAM_KEY, "x"):
        with client(team, wrong) as stranger, pytest.raises(openai.AuthenticationError) as failed:
            stranger.chat.completions.create(model="demo", messages=TALK)
        assert failed.value.code == "invalid_key"
        with Anthropic(base_url=team.url, api_key=wrong, max_retries=0) as other, pytest.raises(anthropic.AuthenticationError):
            other.messages.create(model="demo", max_tokens=9, messages=TALK)
    answer = http.post(f"{team.url}/v1/chat/completions", json={"model": "demo", "messages": TALK})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "missing_key")
    assert "www-authenticate" not in answer.headers


def test_the_operator_s_keys_are_not_the_team_s(team: LiveGateway, http: httpx.Client):
    """The token makes members; it does not take keys that were made on the command line."""
    assert refused(http, team, f"/{TOKEN}/register/test") == "Invalid username1"
    assert refused(http, team, f"/{TOKEN}/test", "DELETE") == "User not found"
    with client(team, team.key) as operator:
        assert operator.models.list().data


# browsers


ORIGIN = "https://chat.example.com"


def test_a_page_in_a_browser(team: LiveGateway, key: str, http: httpx.Client):
    wanted = "authorization,content-type,x-stainless-lang,anthropic-dangerous-direct-browser-access"
    asking = {"origin": ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": wanted}
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/files/file-1", "/models"):
        preflight = http.options(team.url + path, headers=asking)  # without a key: browsers never send one here
        assert preflight.status_code in (200, 204)
        assert preflight.headers["access-control-allow-origin"] in ("*", ORIGIN)
        assert preflight.headers["access-control-allow-headers"] == wanted
        assert "POST" in preflight.headers["access-control-allow-methods"]
    for token, status in ((key, 200), ("sk-wrong", 401)):
        for streamed in (False, True):
            headers, ask = {"origin": ORIGIN, "authorization": f"Bearer {token}"}, {"model": "demo", "messages": TALK, "stream": streamed}
            answer = http.post(f"{team.url}/v1/chat/completions", headers=headers, json=ask)
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, "*")
            exposed = answer.headers["access-control-expose-headers"].lower()
            assert "x-request-id" in exposed and "retry-after" in exposed

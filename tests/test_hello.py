"""The greeting: everything that the first minutes need, and no secret but the first key."""

from __future__ import annotations

import json
import shlex

import pytest

from penstock.hello import First, hello
from penstock.settings import Settings

KEY = "sk-abcdef"


def greet(token: str | None = None, port: int = 8080, administrator: str | None = None, **given) -> list[str]:
    first, *rest = hello(Settings(**given), port, First(token, administrator)).splitlines()
    assert first.startswith("Penstock ")
    return [first.rpartition(" ")[2], *rest]


def parts(curl: str) -> tuple[str, str, dict]:
    """The URL, the credential and the body of a curl line, as a shell would split it."""
    command, url, _, credential, _, _, _, body = shlex.split(curl)
    assert command == "curl"
    return url, credential, json.loads(body)


def test_the_first_start_shows_the_key_and_a_line_to_try():
    where, key, _, curl = greet(KEY, demo=True)
    assert key.endswith(f": {KEY}")
    url, credential, body = parts(curl)
    assert (url, credential) == (f"{where}/v1/chat/completions", f"authorization: Bearer {KEY}")
    assert (body["model"], body["messages"][0]["role"]) == ("demo", "user")


def test_later_starts_show_no_key():
    _, made, curl = greet(demo=True)
    assert "penstock key create NAME" in made
    assert parts(curl)[1] == "authorization: Bearer $PENSTOCK_KEY"
    assert '"authorization: Bearer $PENSTOCK_KEY"' in curl  # a shell puts the key in


@pytest.mark.parametrize(
    ("given", "path", "model"),
    [
        ({"openai_api_key": "x"}, "/v1/chat/completions", "gpt-"),
        ({"anthropic_api_key": "x"}, "/v1/messages", "claude-"),
        ({"openai_api_key": "x", "anthropic_api_key": "x"}, "/v1/chat/completions", "gpt-"),
        ({"anthropic_api_key": "x", "demo": True}, "/v1/chat/completions", "demo"),
    ],
)
def test_the_line_is_for_a_provider_that_is_there(given, path, model):
    where, *_, curl = greet(KEY, **given)
    url, _, body = parts(curl)
    assert url == where + path
    assert body["model"].startswith(model)
    assert ("max_tokens" in body) == (path == "/v1/messages")


def test_a_transparent_proxy_has_no_key():
    where, said, urls = greet()
    assert "each client's own key" in said
    assert urls.split() == [f"OPENAI_BASE_URL={where}/v1", f"ANTHROPIC_BASE_URL={where}"]


def test_a_team_makes_members():
    where, _, curl = greet(openai_api_key="x", access_token="Une9f2ijwe")
    assert curl == f"  curl {where}/$ACCESS_TOKEN/register/NAME"


def test_a_team_without_a_provider_key_is_warned():
    assert "ACCESS_TOKEN needs OPENAI_API_KEY" in greet(access_token="Une9f2ijwe")[-1]


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("fd00::1", "[fd00::1]"), ("gate.lan", "gate.lan")],
)
def test_the_address_can_be_reached_from_here(host, shown):
    assert greet(KEY, port=9, host=host)[0] == f"http://{shown}:9"


def test_the_way_in_for_an_administrator_is_the_last_line():
    where, *_, curl, way_in = greet(KEY, administrator="0123", demo=True)
    assert curl.startswith("  curl ")
    assert way_in == f"First administrator, if you want accounts: POST {where}/api/setup with token 0123"
    assert "https://gate.example.com/api/setup " in greet(administrator="0123", demo=True, public_url="https://gate.example.com")[-1]

"""Drafts: what a channel may be, and how it is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.channels.drafts import (
    MODELS_LIMIT,
    Draft,
    allows_private,
    check_base_url,
    check_draft,
    check_headers,
    check_proxy,
    check_secret,
    discovers,
    provider_of,
    settled_url,
)  # fmt: skip
from penstock.kit.errors import PenstockError
from penstock.kit.pulse import Pulse
from penstock.upstream.channel import Channel, Terms
from penstock.upstream.client.pool import Limits, Origin, Pool
from penstock.upstream.providers import PROVIDERS

GOOD = Draft("main", "openai")
OPENAI, LOCAL = PROVIDERS["openai"], PROVIDERS["ollama"]


def refused(draft: Draft) -> tuple[str, str | None]:
    with pytest.raises(PenstockError) as caught:
        check_draft(draft)
    return caught.value.code, caught.value.param


@pytest.mark.parametrize("name", [name for name, provider in PROVIDERS.items() if provider.base_url])
def test_a_name_and_a_provider_are_enough(name):
    check_draft(Draft("main", name))


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"name": ""}, "name"), ({"name": "a\n"}, "name"), ({"name": "x" * 101}, "name"), ({"name": " a"}, "name"),
        ({"provider": "nobody"}, "provider"),
        ({"base_url": "https://user:word@example.com/v1"}, "base_url"), ({"base_url": "https://example.com/v1?a=b"}, "base_url"),
        ({"base_url": "https://example.com/v1#"}, "base_url"), ({"base_url": "https://exa mple.com"}, "base_url"),
        ({"base_url": "https://example.com:0"}, "base_url"), ({"base_url": "https://example.com:x"}, "base_url"),
        ({"base_url": "https://"}, "base_url"),
        ({"base_url": "https://example.com/v1/chat/completions"}, "base_url"),
        ({"base_url": "https://example.com/v1/messages/"}, "base_url"),
        ({"provider": "openai-compatible"}, "base_url"),
        ({"models": []}, "models"), ({"models": [("a", None), ("a", "b")]}, "models"), ({"models": [("", None)]}, "models"),
        ({"models": [(" a", None)]}, "models"), ({"models": [("a", "b*")]}, "models"), ({"models": [("a*b*", "c*")]}, "models"),
        ({"models": [("m", None)] * (MODELS_LIMIT + 1)}, "models"), ({"models": [("a*", "b?")]}, "models"),
        ({"wires": []}, "wires"), ({"wires": ["chat", "chat"]}, "wires"), ({"wires": ["smoke"]}, "wires"),
        ({"weight": -1}, "weight"), ({"weight": 1001}, "weight"), ({"priority": 1001}, "priority"), ({"cost_micro": -1}, "cost_micro"),
        ({"timeouts": {"idle_s": 0.0}}, "timeouts"), ({"timeouts": {"nap_s": 1.0}}, "timeouts"),
        ({"timeouts": {"idle_s": float("nan")}}, "timeouts"),
        ({"on_disconnect": "sulk"}, "on_disconnect"), ({"tags": ["a b"]}, "tags"), ({"options": {"x": 1}}, "options"),
        ({"proxy": "https://proxy.example.com"}, "proxy"), ({"proxy": "http://proxy.example.com/path"}, "proxy"),
        ({"proxy": "http://"}, "proxy"), ({"proxy": "http://a.example:0"}, "proxy"), ({"proxy": "http://a\\b:3128"}, "proxy"),
        ({"base_url": "https://%31%30.0.0.1/v1"}, "base_url"), ({"base_url": "https://a\\b.example/v1"}, "base_url"),
    ],
)  # fmt: skip
def test_what_cannot_be(changes, param):
    assert refused(replace(GOOD, **changes)) == ("invalid_request", param)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "a.localhost", "10.1.2.3", "192.168.1.1", "169.254.169.254", "[::1]", "[fd00::1]", "[::ffff:10.0.0.1]",
     "2130706433",
     "127.1", "0x7f000001", "printer.local", "metadata.google.internal", "LOCALHOST."],
)  # fmt: skip
def test_private_networks_need_leave(host):
    draft = replace(GOOD, base_url=f"http://{host}/v1")
    assert refused(draft) == ("private_address", "base_url")
    check_draft(replace(draft, allow_private=True))


def test_those_who_usually_are_at_home_need_none():
    check_draft(Draft("local", "ollama"))
    assert refused(Draft("local", "ollama", allow_private=False)) == ("private_address", "base_url")
    assert allows_private(Draft("local", "vllm"), PROVIDERS["vllm"])


@pytest.mark.parametrize(
    ("name", "given_url", "settled"),
    [
        ("openai", "", "https://api.openai.com/v1"),
        ("openai", " https://example.com/v1 ", "https://example.com/v1"),
        ("anthropic", "https://example.com/v1/", "https://example.com"),
        ("anthropic", "https://example.com/api", "https://example.com/api"),
    ],
)
def test_base_urls_settle(name, given_url, settled):
    assert settled_url(Draft("x", name, base_url=given_url), PROVIDERS[name]) == settled


def test_globs_are_discovered_unless_told_otherwise():
    assert discovers(GOOD) and not discovers(replace(GOOD, models=[("a", None)]))
    assert discovers(replace(GOOD, models=[("a", None)], discover=True)) and not discovers(replace(GOOD, discover=False))


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "authorization", "X-Api-Key", "cookie", "a b", "", "x:y"])
def test_headers_that_are_not_for_channels(name):
    with pytest.raises(PenstockError):
        check_headers({name: "x"})


@given(name=st.text(max_size=12), value=st.text(max_size=12))
def test_headers_that_pass_are_one_line(name, value):
    try:
        check_headers({name: value})
    except PenstockError:
        return
    terms = Terms(headers=((name.lower().encode("ascii"), value.encode("ascii")),))
    channel = Channel(
        "x", OPENAI, "http://example.com/v1", Pool(Origin.of("http://example.com"), Limits(), Pulse()), secret="s", terms=terms
    )
    head = channel.request(b"POST", "/v1/x", b"", b"")
    assert head.count(b"\r\n") == 5
    assert b"\r\n%b: %b\r\n" % terms.headers[0] in head


def test_a_header_is_given_once():
    with pytest.raises(PenstockError, match="once"):
        check_headers({"X-A": "1", "x-a": "2"})


@given(url=st.text(max_size=30) | st.from_regex(r"https?://[a-z\[\]:0-9.@/?#%]{0,30}", fullmatch=True))
def test_whatever_url_is_given(url):
    for check in (lambda: check_base_url(url, OPENAI, allow_private=True), lambda: check_proxy(url)):
        try:
            check()
        except PenstockError:
            continue
    try:
        check_base_url(url, OPENAI, allow_private=True)
    except PenstockError:
        return
    Origin.of(url)


def test_secrets():
    assert check_secret(OPENAI, " sk-x\n") == "sk-x"
    for secret in ("", "two words", "é", "x" * 9000):
        with pytest.raises(PenstockError):
            check_secret(OPENAI, secret)


def test_an_unknown_provider_is_told_which_there_are():
    with pytest.raises(PenstockError, match="openai"):
        provider_of("nobody")


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**400, "a\r\nb", [], None])
def test_an_option_is_a_text_or_a_number(value):
    draft = Draft("main", "azure-openai", "https://name.openai.azure.com/openai/v1", options={"api_version": value})
    assert refused(draft) == ("invalid_request", "options")


def test_a_proxy_of_another_kind_is_told_what_one_is():
    with pytest.raises(PenstockError, match="A proxy is http://host:port"):
        check_proxy("socks5://user:hidden-word@proxy.example.com:1080")

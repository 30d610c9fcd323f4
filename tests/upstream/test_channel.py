"""Channels: what is written to a provider, and which asks a channel serves."""

from __future__ import annotations

import ssl

import pytest

from penstock.kit.pulse import Pulse
from penstock.upstream.channel import PATHS_KEPT, PLAIN, Channel, Terms
from penstock.upstream.client.pool import Limits, Origin, Pool
from penstock.upstream.offers import Offer
from penstock.upstream.providers import PROVIDERS


def channel(provider: str = "openai", url: str = "https://api.example/v1", secret: str | None = "sk-test", terms: Terms = PLAIN) -> Channel:
    origin = Origin.of(url)
    pool = Pool(origin, Limits(), Pulse(), ssl.create_default_context() if origin.secure else None)
    return Channel("test", PROVIDERS[provider], url, pool, secret=secret, terms=terms)


def test_the_beginning_of_a_request():
    assert channel().request(b"POST", "/v1/chat/completions", b"", b"user-agent: x\r\n").split(b"\r\n") == [
        b"POST /v1/chat/completions HTTP/1.1",
        b"host: api.example",
        b"accept-encoding: identity",
        b"authorization: Bearer sk-test",
        b"user-agent: x",
        b"",
    ]


def test_method_query_port_and_base_path():
    found = channel(url="http://127.0.0.1:9000/openai/v1/").request(b"DELETE", "/v1/files/a%2Fb", b"beta=true&x", b"")
    assert found.startswith(b"DELETE /openai/v1/files/a%2Fb?beta=true&x HTTP/1.1\r\nhost: 127.0.0.1:9000\r\n")


def test_without_a_secret_the_channel_is_transparent():
    found = channel(secret=None)
    assert found.transparent
    assert b"authorization" not in found.request(b"GET", "/v1/models", b"", b"")
    assert not channel().transparent


VERSION = b"anthropic-version: 2023-06-01\r\n"


@pytest.mark.parametrize(
    ("sent", "added"),
    [
        (b"", True),
        (b"user-agent: x\r\n", True),
        (b"anthropic-version: 2024-01-01\r\n", False),
        (b"user-agent: x\r\nanthropic-version: 2024-01-01\r\nx: y\r\n", False),
        (b"x-anthropic-version: 2024-01-01\r\n", True),
        (b"x-odd: anthropic-version: 2024-01-01\r\n", True),
        (b"anthropic-version-x: 1\r\n", True),
    ],
)
def test_extra_headers_are_sent_unless_the_client_sends_them(sent, added):
    found = channel("anthropic", "https://api.example").request(b"POST", "/v1/messages", b"", sent)
    assert found.startswith(
        b"POST /v1/messages HTTP/1.1\r\nhost: api.example\r\naccept-encoding: identity\r\nx-api-key: sk-test\r\n" + sent
    )
    assert found.endswith(VERSION) == added
    assert found.count(b"\r\nanthropic-version: ") == 1


def test_remembered_paths_are_bounded_and_later_ones_still_work():
    found = channel()
    for number in range(PATHS_KEPT * 2 + 5):
        assert found.request(b"GET", f"/v1/files/{number}", b"", b"").startswith(b"GET /v1/files/%d HTTP/1.1\r\n" % number)
    assert len(found._paths) <= PATHS_KEPT


def test_a_channel_speaks_the_wires_of_its_provider_or_its_own():
    assert channel().speaks("chat", "gpt-4o") and not channel().speaks("messages", "gpt-4o")
    assert channel("anthropic", "https://api.example").speaks("messages", None)
    own = channel(terms=Terms(wires=("messages",)))
    assert own.speaks("messages", "x") and not own.speaks("chat", "x")


def test_what_a_provider_says_of_a_model_counts():
    found = channel()
    found.offers = {"painter": Offer("painter", wires=("images",)), "any": Offer("any")}
    assert [found.speaks("chat", model) for model in ("painter", "any", "new")] == [False, True, True]
    assert found.speaks("images", "painter")


def test_a_channels_own_headers_take_the_place_of_the_clients():
    found = channel(terms=Terms(headers=((b"x-title", b"ours"), (b"openai-project", b"p"))))
    sent = found.request(b"POST", "/v1/chat/completions", b"", b"X-Title: theirs\r\nx-titles: kept\r\n")
    assert sent.count(b"x-title: ours\r\n") == 1 and b"theirs" not in sent and b"x-titles: kept" in sent and b"openai-project: p" in sent


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "azure-openai"])
def test_what_is_the_operators_is_not_in_a_head_that_is_shown(provider):
    found = channel(provider, terms=Terms(headers=((b"ocp-apim-subscription-key", b"hunter2"), (b"x-title", b"ours"))))
    sent = found.request(b"POST", "/v1/chat/completions", b"", b"x-title: theirs\r\nx-other: theirs\r\n", "m")
    shown = found.as_shown(sent)
    assert b"hunter2" in sent and b"sk-test" in sent
    assert not any(secret in shown for secret in (b"hunter2", b"ours", b"sk-test"))
    assert b"\r\nocp-apim-subscription-key: [redacted]\r\nx-title: [redacted]\r\nx-other: theirs\r\n" in shown
    assert [line.partition(b":")[0] for line in shown.split(b"\r\n")[1:]] == [line.partition(b":")[0] for line in sent.split(b"\r\n")[1:]]


def test_a_head_with_the_clients_own_credential_is_shown_as_it_is():
    found = channel(secret=None)
    sent = found.request(b"POST", "/v1/chat/completions", b"", b"x-other: theirs\r\n")
    assert found.as_shown(sent) == sent


@pytest.mark.parametrize(
    "url", ["https://host/a b", "https://host/\xe9", "https://host/v1?x=y", "https://host/v1#x", "ftp://host", "https://"]
)
def test_base_urls_that_cannot_be_written_into_a_request_are_refused(url):
    with pytest.raises(ValueError):
        channel(url=url)


@pytest.mark.parametrize("secret", ["", " ", "sk-\r\nx-evil: 1", "sk-a\nb", "sk a", "sk-\xe9", "sk-\x00"])
def test_secrets_that_a_header_cannot_carry_are_refused_without_being_shown(secret):
    with pytest.raises(ValueError) as caught:
        channel(secret=secret)
    assert "sk" not in str(caught.value)


def test_the_line_end_of_a_secret_file_is_not_part_of_the_secret():
    assert b"\r\nauthorization: Bearer sk-test\r\n" in channel(secret="sk-test\n").request(b"GET", "/v1/models", b"", b"")


def test_where_the_connections_go():
    assert Channel.origin("https://api.example/v1") == Origin(secure=True, host="api.example", port=443)


def test_its_credential_is_taken_out_of_what_repeats_it():
    mine = channel(secret="sk-placeholder")
    assert mine.without_secret(b"no such key: sk-placeholder!") == b"no such key: **************!"
    assert channel(secret="sk-ok").without_secret(b"sk-ok is a word") == b"sk-ok is a word"
    assert channel(secret=None).without_secret(b"None") == b"None"

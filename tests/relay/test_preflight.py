"""CORS preflight, over a real socket: answered before any key is looked at, with whatever headers were asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from live_gateway import LiveGateway
from raw_client import RawClient, request

ORIGIN = "origin: https://app.example"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory) -> Iterator[LiveGateway]:
    with LiveGateway(tmp_path_factory.mktemp("gateway"), demo=True) as gateway:
        yield gateway


@pytest.fixture
def client(gateway) -> Iterator[RawClient]:
    with RawClient(gateway.port) as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions", "//v1/messages", "/v1/none/such"])
def test_a_preflight_is_answered_without_a_key(client, path):
    answer = client.ask(request(f"OPTIONS {path}", ORIGIN, "access-control-request-method: POST"))
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("content-length") is None
    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("access-control-allow-credentials") is None
    assert answer.header("access-control-max-age") == "86400"
    assert (answer.header("x-request-id") or "").startswith("req_")
    allowed = (answer.header("access-control-allow-methods") or "").split(", ")
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(allowed)


def test_the_headers_that_are_asked_for_are_allowed(client):
    wanted = "authorization,x-stainless-lang,x-stainless-retry-count,anthropic-dangerous-direct-browser-access,x-anything"
    answer = client.ask(request("OPTIONS /v1/messages", ORIGIN, f"access-control-request-headers: {wanted}"))
    assert answer.header("access-control-allow-headers") == wanted
    assert answer.header("vary") == "access-control-request-headers"


def test_headers_asked_for_in_several_lines_are_all_allowed(client):
    lines = ["access-control-request-headers: x-a", "access-control-request-headers: x-b"]
    answer = client.ask(request("OPTIONS /v1/messages", ORIGIN, *lines))
    assert answer.header("access-control-allow-headers") == "x-a, x-b"


@pytest.mark.parametrize("lines", [[], ["access-control-request-headers: "]])
def test_the_usual_headers_are_allowed_when_none_are_asked_for(client, lines):
    allowed = (client.ask(request("OPTIONS /v1/messages", ORIGIN, *lines)).header("access-control-allow-headers") or "").split(", ")
    assert {"authorization", "content-type", "x-api-key", "api-key", "anthropic-version", "anthropic-beta", "openai-beta"} <= set(allowed)


def test_private_networks_are_allowed_only_when_asked_for(client):
    asked = client.ask(request("OPTIONS /v1/models", ORIGIN, "access-control-request-private-network: true"))
    assert asked.header("access-control-allow-private-network") == "true"
    assert client.ask(request("OPTIONS /v1/models", ORIGIN)).header("access-control-allow-private-network") is None


def test_without_an_origin_it_is_answered_too(client):
    answer = client.ask(request("OPTIONS /v1/models"))
    assert (answer.status, answer.header("access-control-allow-origin")) == (204, "*")


def test_the_connection_stays_for_the_request_itself(client, gateway):
    assert client.ask(request("OPTIONS /v1/models", ORIGIN)).status == 204
    answer = client.ask(request("GET /v1/models", ORIGIN, f"authorization: Bearer {gateway.key}"))
    assert (answer.status, answer.header("access-control-allow-origin")) == (200, "*")

"""Estimates over real sockets: what they say is what happens."""

from __future__ import annotations

import json

import httpx
import pytest

from live_gateway import LiveGateway
from member import join
from penstock.catalog.demo import DEMO
from raw_client import RawClient, bearer, request

BODY = {"model": "demo", "max_tokens": 500, "messages": [{"role": "user", "content": "Hello there, how are you?"}]}


@pytest.fixture(scope="module")
def paying(make_gateway) -> LiveGateway:
    """A gateway with the demo provider that does not wait long for funds."""
    return make_gateway(demo=True, funds_wait_s=0.2)


def estimate(gateway, token, body=BODY, query=""):
    answer = httpx.post(f"{gateway.url}/v1/estimate{query}", json=body, headers={"authorization": f"Bearer {token}"})
    return answer.status_code, answer.json()


def call(gateway, token, body=BODY):
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {token}"})


def test_what_is_allowed_costs_no_more_than_it_was_said_to(paying):
    member = join(paying, paid_nano=5_000_000, free_nano=1_000)
    _, found = estimate(paying, member.token)
    assert (found["allowed"], found["balance_nano"]) == (True, 5_001_000)
    assert found["at_most_nano"] == DEMO.at_most(found["input_tokens_estimated"], 500)
    assert call(paying, member.token).status_code == 200
    (row,) = member.charges()
    assert 0 < row["cost_nano"] <= found["at_most_nano"]
    assert estimate(paying, member.token)[1]["balance_nano"] == 5_001_000 - row["cost_nano"]


def test_asking_costs_nothing_and_reaches_nobody(paying):
    member = join(paying, paid_nano=5_000_000)
    taken, asked = paying.plane.holds.taken, sum(channel.pool.idle + channel.pool.busy for channel in paying.plane.channels)
    for _ in range(20):
        assert estimate(paying, member.token)[1]["allowed"]
    assert paying.plane.holds.taken == taken
    assert sum(channel.pool.idle + channel.pool.busy for channel in paying.plane.channels) == asked
    assert member.charges() == [] and member.left() == 5_000_000


@pytest.mark.parametrize(("money", "limits", "code", "status"), [
    (0, {}, "insufficient_funds", 402),
    (5_000_000, {"total_nano": 0}, "budget_exceeded", 402),
    (5_000_000, {"rpm": 0}, "too_many_requests", 429),
])  # fmt: skip
def test_a_refusal_is_foretold(paying, money, limits, code, status):
    member = join(paying, paid_nano=money, **({"limits": limits} if limits else {}))
    answered, found = estimate(paying, member.token)
    assert answered == 200 and found["allowed"] is False
    assert (found["refusal"]["code"], found["refusal"]["status"], found["balance_nano"]) == (code, status, money)
    assert found["at_most_nano"] > 0
    real = call(paying, member.token)
    assert (real.status_code, real.json()["error"]["code"], real.json()["error"]["message"]) == (status, code, found["refusal"]["message"])


def test_estimates_do_not_use_up_the_limits(paying):
    member = join(paying, paid_nano=5_000_000, limits={"rpm": 1})
    assert [estimate(paying, member.token)[1]["allowed"] for _ in range(5)] == [True] * 5


def test_a_model_without_a_price_is_refused_to_who_pays(make_gateway):
    gateway = make_gateway(openai_api_key="sk-vendor", openai_base_url="http://127.0.0.1:9/v1", funds_wait_s=0.2)
    member = join(gateway, paid_nano=5_000_000)
    _, found = estimate(gateway, member.token, {"model": "nobody-knows-me", "messages": []})
    assert (found["allowed"], found["refusal"]["code"], found["refusal"]["param"]) == (False, "model_not_priced", "model")
    assert found["balance_nano"] == 5_000_000


def test_where_no_balance_is_kept_none_is_shown(paying):
    _, found = estimate(paying, paying.key)
    assert (found["allowed"], found["balance_nano"]) == (True, None)


def test_a_connection_goes_on_afterwards(paying):
    body = json.dumps(BODY).encode()
    head = (bearer(paying.key), "content-type: application/json")
    with RawClient(paying.port) as client:
        for _ in range(3):
            assert client.ask(request("POST /v1/estimate", *head, body=body)).json["allowed"]
            assert client.ask(request("POST /v1/chat/completions", *head, body=body)).status == 200
        pair = request("POST /v1/estimate", *head, body=body) + request("POST /v1/chat/completions", *head, body=body)
        assert client.send(pair).answer().json["object"] == "estimate"
        assert client.answer().json["object"] == "chat.completion"
        assert client.ask(request("GET /v1/estimate", bearer(paying.key))).header("allow") == "POST"

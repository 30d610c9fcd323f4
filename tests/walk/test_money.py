"""Money over real sockets: what an account can pay for is served, to the nano, and what it cannot is refused in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from live_gateway import LiveGateway
from member import Member, join

CENT = 10_000_000


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def bank_gateway(request, make_gateway) -> LiveGateway:
    """A gateway on either engine."""
    if request.param == "sqlite":
        return make_gateway(demo=True, funds_wait_s=5)
    server = request.getfixturevalue("postgres")
    url = server.create(migrated=True)
    return make_gateway(demo=True, funds_wait_s=5, database_url=url)


@pytest.fixture
def client(bank_gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=bank_gateway.url, timeout=20) as opened:
        yield opened


def chat(client: httpx.Client, member: Member, **fields) -> httpx.Response:
    body = {"model": "demo", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}], **fields}
    return client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {member.token}"})


def messages(client: httpx.Client, member: Member, **fields) -> httpx.Response:
    body = {"model": "demo", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}], **fields}
    return client.post("/v1/messages", json=body, headers={"x-api-key": member.token})


def test_what_is_charged_leaves_the_balance(bank_gateway, client):
    member = join(bank_gateway, paid_nano=CENT)
    assert chat(client, member).status_code == 200
    assert messages(client, member).status_code == 200
    costs = [row["cost_nano"] for row in member.charges()]
    assert len(costs) == 2 and all(cost > 0 for cost in costs)
    assert member.left() == CENT - sum(costs)


def test_free_money_goes_first_and_the_charge_says_so(bank_gateway, client):
    member = join(bank_gateway, paid_nano=CENT, free_nano=CENT)
    chat(client, member)
    (row,) = member.charges()
    assert row["free_nano"] == row["cost_nano"] > 0


def test_without_money_both_dialects_say_402(bank_gateway, client):
    member = join(bank_gateway)
    answer = chat(client, member)
    assert answer.status_code == 402 and answer.json()["error"]["code"] == "insufficient_funds"
    answer = messages(client, member)
    assert answer.status_code == 402 and answer.json()["type"] == "error" and "Top it up" in answer.json()["error"]["message"]
    assert member.charges() == []


def test_a_request_may_end_below_zero_and_the_next_is_refused(bank_gateway, client):
    member = join(bank_gateway, paid_nano=1)
    assert chat(client, member).status_code == 200
    assert member.left() < 0
    assert chat(client, member).status_code == 402


def test_failures_before_any_output_cost_nothing(bank_gateway, client):
    member = join(bank_gateway, paid_nano=CENT)
    assert chat(client, member, model="demo-fail500").status_code == 500
    assert member.left() == CENT


@pytest.mark.parametrize(
    ("limits", "status", "code"),
    [
        ({"rpm": 2}, 429, "too_many_requests"),
        ({"total_nano": 1}, 402, "budget_exceeded"),
        ({"day_nano": 1, "window": "rolling"}, 402, "budget_exceeded"),
        ({"tpm": 1}, 429, "too_many_requests"),
    ],
)
def test_limits_of_a_key(bank_gateway, client, limits, status, code):
    member = join(bank_gateway, paid_nano=CENT, limits=limits)
    answers = [chat(client, member) for _ in range(6)]
    served = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert 1 <= len(served) <= 4  # a minute may end in between
    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in refused} == {(status, code)}
    assert all(("retry-after" in answer.headers) == (status == 429) for answer in refused)


def test_limits_of_the_minute_are_shown(bank_gateway, client):
    member = join(bank_gateway, paid_nano=CENT, limits={"rpm": 50, "tpm": 100_000})
    headers = chat(client, member).headers
    assert headers["x-ratelimit-limit-requests"] == "50" and int(headers["x-ratelimit-remaining-requests"]) == 49
    assert headers["x-ratelimit-limit-tokens"] == "100000" and headers["x-ratelimit-reset-requests"].endswith("s")
    headers = messages(client, member).headers
    assert headers["anthropic-ratelimit-requests-limit"] == "50" and int(headers["anthropic-ratelimit-requests-remaining"]) <= 49


def test_wires_and_networks_of_a_key(bank_gateway, client):
    member = join(bank_gateway, paid_nano=CENT, wires=["messages"])
    assert chat(client, member).json()["error"]["code"] == "wire_not_allowed"
    assert messages(client, member).status_code == 200
    member = join(bank_gateway, paid_nano=CENT, networks=["10.0.0.0/8"])
    assert chat(client, member).json()["error"]["code"] == "address_not_allowed"


def test_what_cannot_be_charged_is_not_for_those_who_pay(bank_gateway, client):
    member = join(bank_gateway, paid_nano=CENT)
    answer = client.post("/v1/batches", json={"input_file_id": "x"}, headers={"authorization": f"Bearer {member.token}"})
    assert answer.status_code == 403 and answer.json()["error"]["code"] == "wire_not_allowed"


def test_two_hundred_at_once_on_money_for_fifty(bank_gateway, client):
    probe = join(bank_gateway, paid_nano=CENT)
    # What is held is more than what it costs, so that nobody is let through on the rest of another's hold.
    assert chat(client, probe, max_tokens=400).json()["usage"]["completion_tokens"] < 390
    (row,) = probe.charges()
    member = join(bank_gateway, paid_nano=50 * row["cost_nano"])

    def one(_: int) -> int:
        return chat(client, member, max_tokens=400).status_code

    with ThreadPoolExecutor(40) as pool:
        statuses = list(pool.map(one, range(200)))
    assert (statuses.count(200), statuses.count(402)) == (50, 150)
    assert member.left() == 0
    assert sum(row["cost_nano"] for row in member.charges()) == 50 * row["cost_nano"]


def test_a_stream_is_paid_for_and_ends_well(bank_gateway, client):
    member = join(bank_gateway, paid_nano=CENT)
    body = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    with client.stream("POST", "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {member.token}"}) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[0].removeprefix("data: "))["object"] == "chat.completion.chunk"
    assert member.left() == CENT - member.charges()[0]["cost_nano"]


def test_the_books_agree_in_the_end(bank_gateway):
    bank = join(bank_gateway).bank
    bank_gateway.run(bank.check())

"""Prices over real sockets: what the operator decides is what the next request is charged at, and the charge can be explained."""

from __future__ import annotations

import time

import httpx
import pytest

from penstock.accounts.identity import CLI
from penstock.catalog.service import Prices
from penstock.catalog.sets import Wish
from penstock.upstream.usage import Usage


@pytest.fixture(scope="module")
def gateway(make_gateway):
    return make_gateway(demo=True, api_model_rewrite="fast=>demo-n3")


@pytest.fixture
def prices(gateway):
    return Prices(gateway.parts.database)


@pytest.fixture
def charged(gateway):
    """Asks for a model and gives the row of its charge, which is there when the answer is."""

    def ask(model: str) -> dict:
        answer = httpx.post(
            f"{gateway.url}/v1/chat/completions",
            headers={"authorization": f"Bearer {gateway.key}"},
            json={"model": model, "messages": [{"role": "user", "content": "Hello"}]},
        )
        assert answer.status_code == 200, answer.text
        (row,) = (row for row in gateway.charges() if row["id"] == answer.headers["x-request-id"])
        return row

    return ask


def until(true) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def explained(gateway, row: dict) -> int:
    """The cost, worked out again from what the charge says and nothing else."""
    usage = Usage(**{name: row[name] for name in ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens")})
    price = gateway.plane.catalog.recall(row["price_version"])
    return price.times(row["multiplier_micro"]).cost(usage)


def test_an_override_and_a_multiplier_by_the_public_name(gateway, prices, charged):
    before = charged("fast")
    assert (before["price_version"].partition(" ")[0], before["multiplier_micro"]) == ("demo", 1_000_000)
    rates = {"standard": {"input_mtok": "3", "cache_read_mtok": "0.3", "cache_write_mtok": "3", "output_mtok": "4"}}
    gateway.run(prices.put(CLI, Wish("demo", "demo-n3", rates=rates), confirm=True))
    gateway.run(prices.put_multiplier(CLI, "fast", 1_500_000))
    until(lambda: gateway.plane.catalog._shelf.snapshot.multipliers)
    after = charged("fast")
    assert (after["price_version"].partition(" ")[0], after["multiplier_micro"]) == ("own", 1_500_000)
    exact = (after["input_tokens"] * 3_000 + after["output_tokens"] * 4_000) * 3
    assert after["cost_nano"] == (exact + 1) // 2 == explained(gateway, after)
    assert explained(gateway, before) == before["cost_nano"]


def test_a_model_that_is_given_away(gateway, prices, charged):
    gateway.run(prices.put(CLI, Wish("demo", "gift-*", free=True)))
    until(lambda: gateway.plane.catalog._shelf.snapshot.globs)
    row = charged("gift-demo")
    assert (row["cost_nano"], row["price_version"].partition(" ")[0]) == (0, "free")
    assert explained(gateway, row) == 0


def test_the_list_is_what_is_charged(gateway, charged):
    listed = {entry["model"]: entry for entry in httpx.get(f"{gateway.url}/api/price-list").json()["data"]}
    row = charged("demo")
    rates = listed["demo"]["rates"]["standard"]
    dollars_in, dollars_out = int(rates["input_mtok"]), int(rates["output_mtok"])
    assert row["cost_nano"] == (row["input_tokens"] * dollars_in + row["output_tokens"] * dollars_out) * 1_000

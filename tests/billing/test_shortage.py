"""Shortage: what is empty, what may come back, and what a refused request is told."""

from __future__ import annotations

import pytest

from penstock.billing.funds import Funds, Share
from penstock.billing.purses import Want
from penstock.billing.shortage import Need, empty_of, may_return, needs, refusal


def share(kind: str, amount: int = 0, **given) -> Share:
    made = Share(Want(f"{given.pop('owner', 'acc_a')}/{kind}", "acc_a", kind, None if kind in ("paid", "free") else 100))
    made.lease_id, made.amount = "lse_a", amount
    for name, value in given.items():
        setattr(made, name, value)
    return made


def funds(*shares: Share) -> Funds:
    made = Funds(None, tuple(one.want for one in shares))
    made.take(list(shares))
    return made


def test_a_request_needs_money_tokens_and_one_of_the_rest():
    shares = {kind: share(kind) for kind in ("paid", "free", "day", "tpm", "rpm", "concurrency")}
    found = {need.share.want.kind: need.units for need in needs(funds(*shares.values()), 7, 30)}
    assert found == {"paid": 7, "free": 7, "day": 7, "tpm": 30, "rpm": 1, "concurrency": 1}


@pytest.mark.parametrize(
    ("free", "paid", "empty"),
    [(0, 0, ["free", "paid"]), (1, 0, []), (0, 1, []), (1, 1, [])],
)
def test_money_is_empty_when_both_purses_are(free, paid, empty):
    both = funds(share("free", free), share("paid", paid))
    short = [Need(one, 5) for one in (both.free, both.paid)]
    assert [one.want.kind for one in empty_of(both, short, 5)] == empty


def test_what_costs_nothing_needs_no_money():
    both = funds(share("free"), share("paid", -5))
    assert empty_of(both, [Need(one, 0) for one in (both.free, both.paid)], 0) == []


def test_something_may_return_of_either_money_and_of_every_limit():
    assert may_return([share("free"), share("paid", held=1)])
    assert may_return([share("free", elsewhere=3), share("paid")])
    assert not may_return([share("free"), share("paid")])
    assert not may_return([share("paid", held=1), share("rpm")])
    assert may_return([share("concurrency", held=1)])


@pytest.mark.parametrize(
    ("shares", "code", "wait_s"),
    [
        ([share("paid"), share("free")], "insufficient_funds", None),
        ([share("paid"), share("rpm", until_ms=61_500)], "too_many_requests", 2),
        ([share("tpm", until_ms=60_000)], "too_many_requests", 1),
        ([share("concurrency")], "too_many_requests", 1),
        ([share("day", until_ms=86_400_000)], "budget_exceeded", None),
    ],
)
def test_refusals(shares, code, wait_s):
    error = refusal(shares, 60_000)
    assert (error.code, error.retry_after_s) == (code, wait_s)


def test_a_used_up_cap_says_whose_and_when_it_is_renewed():
    assert "account's" in refusal([share("total")], 0).message
    message = refusal([share("day", owner="key_a", until_ms=86_400_000)], 0).message
    assert "key's" in message and "1970-01-02" in message

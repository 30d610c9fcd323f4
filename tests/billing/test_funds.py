"""Funds: what covers a request, in memory."""

from __future__ import annotations

import pytest

from penstock.billing.funds import UNCOUNTED, Funds, Share
from penstock.billing.purses import Want


def share(kind: str, amount: int, **given) -> Share:
    made = Share(Want(f"acc_a/{kind}", "acc_a", kind, None if kind in ("paid", "free") else 100))
    made.lease_id, made.amount = "lse_a", amount
    for name, value in given.items():
        setattr(made, name, value)
    return made


def funds(*shares: Share) -> Funds:
    made = Funds(None, tuple(one.want for one in shares))
    made.take(list(shares))
    return made


@pytest.mark.parametrize(
    ("shares", "nano", "tokens", "covered"),
    [
        ([share("paid", 100)], 100, 0, True),
        ([share("paid", 100)], 101, 0, False),
        ([share("paid", 100, held=1)], 100, 0, False),
        ([share("paid", 100, spent=1)], 100, 0, False),
        ([share("paid", 60), share("free", 40)], 100, 0, True),
        ([share("paid", 60), share("free", 40, spent=50)], 60, 0, True),
        ([share("paid", 0, spent=50)], 0, 0, True),
        ([share("paid", 100), share("day", 99)], 100, 0, False),
        ([share("paid", 100), share("tpm", 9)], 100, 10, False),
        ([share("paid", 100), share("rpm", 1)], 100, 10, True),
        ([share("paid", 100), share("rpm", 1, spent=1)], 100, 10, False),
        ([share("paid", 100), share("concurrency", 1, held=1)], 100, 10, False),
        ([share("paid", 100, until_ns=5)], 1, 0, False),
        ([share("paid", 100, lease_id=None)], 1, 0, False),
    ],
)
def test_covers(shares, nano, tokens, covered):
    assert funds(*shares).covers(nano, tokens, 10) is covered


def test_who_pays_nothing_is_always_covered():
    assert UNCOUNTED.covers(10**18, 10**9, 0)
    assert not UNCOUNTED.counted

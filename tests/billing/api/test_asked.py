"""What is asked of the bill: moments as people write them, and the account that is meant."""

from __future__ import annotations

import pytest

from penstock.accounts.identity import Identity
from penstock.billing.api.asked import Scope, Wanted
from penstock.billing.selection import ALWAYS, Selection, Span
from penstock.kit.clock import now_ms
from penstock.kit.errors import PenstockError

ADMIN = Identity("acc_operator", "admin", "session", "")
MEMBER = Identity("acc_a", "member", "session", "")
DAY_MS = 86_400_000


def test_nothing_is_everything_one_may_see():
    assert Scope().selection(ADMIN) == Selection()
    assert Scope().selection(MEMBER) == Selection(account_id="acc_a")
    assert Scope().span() == ALWAYS


def test_whose_is_meant():
    assert Scope(account_id="acc_b").selection(ADMIN).account_id == "acc_b"
    assert Scope(account_id="acc_a").selection(MEMBER).account_id == "acc_a"
    with pytest.raises(PenstockError) as refused:
        Scope(account_id="acc_b").selection(MEMBER)
    assert refused.value.code == "not_found"


def test_everything_that_may_be_wanted():
    given = {
        "key_id": "k", "model": "m*", "channel": "c", "free": True, "estimated": False, "status": 200, "outcome": "complete",
        "cost_from_nano": 1, "cost_to_nano": 2,
    }  # fmt: skip
    assert Wanted(account_id="acc_a", **given).selection(MEMBER) == Selection(account_id="acc_a", **given)


@pytest.mark.parametrize(
    ("since", "until", "span"),
    [
        ("2025-10-09", "2025-10-09", Span(1_759_968_000_000, 1_759_968_000_000 + DAY_MS)),
        ("2025-10-09T00:00:00Z", "2025-10-09T02:00:00+01:00", Span(1_759_968_000_000, 1_759_968_000_000 + 3_600_000)),
        (" 1970-01-01 ", None, Span(0, ALWAYS.until_ms)),
        ("1000-01-01", "9998-01-01", Span(0, 253_339_315_200_000)),
    ],
)
def test_moments(since, until, span):
    assert Scope(since=since, until=until).span() == span


def test_spans_are_before_now():
    since_ms, until_ms = Scope(since="30d", until="1h").span()
    assert abs(now_ms() - 30 * DAY_MS - since_ms) < 60_000
    assert abs(now_ms() - 3_600_000 - until_ms) < 60_000
    assert Scope(since="99999999999999d").span().since_ms == 0


@pytest.mark.parametrize("text", ["", "now", "2026-02-30", "30 days", "-5d", "1e3"])
def test_what_is_no_moment(text):
    with pytest.raises(PenstockError) as refused:
        Scope(until=text).span()
    assert (refused.value.code, refused.value.param) == ("invalid_request", "until")

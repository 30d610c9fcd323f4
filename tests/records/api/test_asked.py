"""What is asked: parameters as the service takes them."""

from __future__ import annotations

import pytest

from penstock.accounts.identity import Identity
from penstock.kit.errors import PenstockError
from penstock.records.api.asked import Wanted, shelf_meant
from penstock.records.service import Filters

MEMBER, ADMIN = Identity("acc_1", "member", "session", ""), Identity("acc_2", "admin", "session", "")


def test_nothing_is_nothing():
    assert Wanted().filters() == Filters()


def test_each_is_asked():
    wanted = Wanted(
        since="2027-01-01", until="2027-01-02", key_id="key_1", model="gpt-*", wire="chat", status="404", outcome="complete", channel="a",
        cost_from_nano=5, record_id="req_1", rule_id="rul_1", text="x",
    )  # fmt: skip
    assert wanted.filters() == Filters(
        from_ms=1_798_761_600_000, until_ms=1_798_934_400_000, key_id="key_1", model="gpt-*", wire="chat", status=404, outcome="complete",
        channel="a", least_cost_nano=5, record_id="req_1", rule_id="rul_1", text="x",
    )  # fmt: skip
    assert Wanted(status="5xx").filters().status == "5xx"


def test_time_goes_forward():
    with pytest.raises(PenstockError) as refused:
        Wanted(since="2027-01-03", until="2027-01-01").filters()
    assert refused.value.param == "since"


def test_shelves():
    assert [shelf_meant(who, "own") for who in (MEMBER, ADMIN)] == ["acc_1", "acc_2"]
    assert shelf_meant(ADMIN, "operator") == "operator"
    with pytest.raises(PenstockError) as refused:
        shelf_meant(MEMBER, "operator")
    assert refused.value.code == "forbidden"

"""Identities: on whose account they may act."""

from __future__ import annotations

import pytest

from penstock.accounts.identity import CLI, Identity
from penstock.kit.errors import PenstockError

MEMBER = Identity("acc_1", "member", "session", "10.0.0.1")
ADMIN = Identity("acc_2", "admin", "key_1", "10.0.0.1")


def test_members_act_on_their_own_account() -> None:
    assert MEMBER.acting_on(None) == MEMBER.acting_on("acc_1") == "acc_1"
    assert not MEMBER.may_see("acc_2") and not MEMBER.may_see(None)
    with pytest.raises(PenstockError) as refused:
        MEMBER.acting_on("acc_2")
    assert (refused.value.code, refused.value.param) == ("not_found", "account_id")


def test_administrators_act_on_any() -> None:
    assert ADMIN.acting_on(None) == "acc_2"
    assert ADMIN.acting_on("acc_1") == "acc_1"
    assert ADMIN.may_see(None) and CLI.is_admin

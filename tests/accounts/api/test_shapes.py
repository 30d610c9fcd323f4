"""Shapes: what may be left out is not in the schema as null, secrets are not printed, every body has an example that holds."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from penstock.accounts.api import accounts, joining, me, password_resets, sessions, setup, shapes, tiers
from penstock.accounts.api.shapes import AccountLimitsGiven, account_shown, given, limits_shown
from penstock.accounts.models import Account

MODULES = (accounts, joining, me, password_resets, sessions, setup, shapes, tiers)
BODIES = sorted(
    {
        thing
        for module in MODULES
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, BaseModel) and thing.model_config.get("extra") == "forbid"
    },
    key=lambda body: body.__name__,
)


@pytest.mark.parametrize("body", BODIES)
def test_every_body_has_an_example_that_holds(body):
    (example,) = body.model_json_schema()["examples"]
    assert body.model_validate(example, strict=False)


def test_secrets_are_not_printed():
    body = sessions.Credentials(email="ada@example.com", password="correct horse")
    assert "horse" not in repr(body) + str(body)


def test_what_is_left_out():
    assert given(AccountLimitsGiven(rpm=None)) == {"rpm": None}
    assert "default" not in AccountLimitsGiven.model_json_schema()["properties"]["rpm"]


def test_states():
    columns = {"id": "acc_1", "name": "x", "email": None, "role": "member", "prepaid": True, "limits": {}, "created_at_ms": 0}
    dates = {"confirmed_at_ms": None, "disabled_at_ms": None, "deleted_at_ms": None}
    for changes, state in (({}, "active"), ({"disabled_at_ms": 1}, "disabled"), ({"disabled_at_ms": 1, "deleted_at_ms": 2}, "deleted")):
        shown = account_shown(Account(**columns, **(dates | changes)))
        assert (shown.state, shown.created_at, shown.confirmed_at) == (state, "1970-01-01T00:00:00Z", None)


def test_limits():
    shown = limits_shown({"rpm": 5, "window": "rolling"})
    assert (shown.rpm, shown.tpm, shown.window) == (5, None, "rolling")

"""Services: every one that routes ask for is put where they look for it."""

from __future__ import annotations

from typing import get_args

from fastapi import Request

from penstock.accounts.api import services


def test_every_service_is_there(app):
    request = Request({"type": "http", "app": app})
    asked = {name: get_args(value) for name, value in vars(services).items() if name.startswith("The")}
    assert asked
    for kind, depends in asked.values():
        assert isinstance(depends.dependency(request), kind)

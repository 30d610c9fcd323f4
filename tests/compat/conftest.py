"""What the tests of compat share: an application with only the routes under test, and a client that speaks to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from penstock.settings import Settings


def secrets_of(**given: Any) -> Settings:
    return Settings(**({"api_sec_key": None, "access_token": None} | given))


@pytest.fixture
def new_settings() -> Callable[..., Settings]:
    """Makes settings, without any secrets but those that are given."""
    return secrets_of


@pytest.fixture
def new_client() -> Callable[..., httpx.AsyncClient]:
    """Makes a client of an application with the given routes, mounted in this order."""

    def make(*routers: APIRouter) -> httpx.AsyncClient:
        app = FastAPI()
        for router in routers:
            app.include_router(router)
        app.openapi()
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://penstock")

    return make

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

import penstock
from penstock.compat import operations


@pytest.fixture
def checks():
    return {}


@pytest.fixture
async def client(checks):
    app = FastAPI()
    app.include_router(operations.router(checks, lambda: b"penstock_workers 1.0\n", check_s=0.2))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://penstock") as client:
        yield client


async def well():
    return None


async def test_root_says_what_this_is(client):
    answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.json()["name"] == "penstock"
    assert answer.json()["version"] == penstock.__version__


@pytest.mark.parametrize("path", ["/", "/api/hello", "/healthz"])
async def test_probes_are_answered_without_a_body(client, path):
    answer = await client.head(path)
    assert answer.status_code == 200
    assert answer.content == b""


async def test_healthz_answers_whatever_the_checks_say(client, checks):
    checks["database"] = lambda: asyncio.sleep(0, "it does not answer")
    assert (await client.get("/healthz")).json() == {"alive": True}


async def test_ready_when_every_check_is_well(client, checks):
    checks.update(database=well, books=well)
    answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "reasons": {}}


async def test_not_ready_with_the_reasons_by_check(client, checks):
    checks.update(database=lambda: asyncio.sleep(0, "it does not answer"), books=well, stopping=lambda: asyncio.sleep(0, "stopping"))
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "reasons": {"database": "it does not answer", "stopping": "stopping"}}


async def test_a_check_that_hangs_has_failed(client, checks):
    checks["database"] = lambda: asyncio.sleep(60, None)
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == {"database": "no answer within 0.2 s"}


async def test_metrics_are_prometheus_text(client):
    answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.content == b"penstock_workers 1.0\n"

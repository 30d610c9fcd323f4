"""Tracing: ids, bounds, and nothing kept by anyone on the way."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI, Request

from penstock.accounts.api.errors import install
from penstock.accounts.api.tracing import BODY_LIMIT, request_id_of
from penstock.infra import logs


@pytest.fixture
async def client():
    app = FastAPI()
    install(app)

    @app.post("/api/echo")
    async def echo(request: Request) -> dict[str, str | int | None]:
        return {"size": len(await request.body()), "request_id": request_id_of(request), "logged": logs.request_id.get()}

    @app.get("/healthz")
    async def healthz() -> str:
        return "ok"

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway.test") as client:
        yield client


async def test_every_request_has_an_id_of_its_own(client):
    answers = [await client.post("/api/echo") for _ in range(2)]
    for answer in answers:
        body = answer.json()
        assert answer.headers["x-request-id"] == body["request_id"] == body["logged"]
        assert answer.headers["cache-control"] == "no-store"
    assert answers[0].headers["x-request-id"] != answers[1].headers["x-request-id"]
    assert logs.request_id.get() is None
    assert "x-request-id" not in (await client.get("/healthz")).headers


async def test_bodies_are_bounded(client):
    assert (await client.post("/api/echo", content=b"x" * BODY_LIMIT)).json()["size"] == BODY_LIMIT

    async def pieces():
        for _ in range(3):
            yield b"x" * (BODY_LIMIT // 2)

    for content in (b"x" * (BODY_LIMIT + 1), pieces()):
        answer = await client.post("/api/echo", content=content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("url", ["/api/echo?a=%00", "/api/%00", "/api/echo%00"])
async def test_nul_goes_no_further(client, url):
    answer = await client.post(url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")

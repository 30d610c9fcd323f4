"""Errors: one shape under /api, others where they are installed, nothing of what was sent."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, StrictInt

from penstock.accounts.api.errors import install, refusals
from penstock.infra.database import DatabaseAway
from penstock.kit.errors import PenstockError


class Body(BaseModel, extra="forbid"):
    amount_nano: StrictInt
    inner: dict[str, StrictInt] = {}


def platform(error: PenstockError) -> JSONResponse:
    return JSONResponse({"statusCode": error.status}, error.status)


@pytest.fixture
async def client():
    app = FastAPI()
    install(app, {"/api/v1": platform})

    async def fail(what: str) -> None:
        raise {
            "known": PenstockError("overloaded", "Wait.", param="x", retry_after_s=7),
            "away": DatabaseAway("secret host"),
            "bug": RuntimeError("secret"),
            "http": HTTPException(418, "tea", {"x-tea": "1"}),
        }[what]

    async def take(body: Body) -> Body:
        return body

    for prefix in ("/api", "/api/v1", "/other"):
        app.get(f"{prefix}/fail/{{what}}")(fail)
        app.post(f"{prefix}/take")(take)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        yield client


async def shown(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "param", "request_id"} and error["message"]
    assert error["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, error["code"], error["param"]


async def test_the_one_shape(client):
    answer = await client.get("/api/fail/known")
    assert await shown(answer) == (503, "overloaded", "x")
    assert answer.headers["retry-after"] == "7"
    answer = await client.get("/api/fail/away")
    assert await shown(answer) == (503, "database_away", None) and "secret" not in answer.text
    answer = await client.get("/api/fail/bug")
    assert await shown(answer) == (500, "internal_error", None) and "secret" not in answer.text
    answer = await client.get("/api/fail/http")
    assert await shown(answer) == (400, "invalid_request", None) and answer.headers["x-tea"] == "1"


async def test_paths_and_methods_that_are_not_there(client):
    assert await shown(await client.get("/api/nothing")) == (404, "not_found", None)
    answer = await client.delete("/api/take")
    assert await shown(answer) == (405, "method_not_allowed", None) and answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "invalid_request", "amount_nano"),
        ({"amount_nano": "s3cret"}, "invalid_request", "amount_nano"),
        ({"amount_nano": 1.5}, "invalid_request", "amount_nano"),
        ({"amount_nano": 1, "s3cret": 2}, "invalid_request", "s3cret"),
        ({"amount_nano": 1, "inner": {"a": True}}, "invalid_request", "inner.a"),
        ([1], "invalid_json", None),
        ("s3cret", "invalid_json", None),
    ],
)
async def test_bodies_that_are_wrong(client, body, code, param):
    answer = await client.post("/api/take", json=body)
    assert await shown(answer) == (400, code, param)
    assert param == "s3cret" or "s3cret" not in answer.text


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b'{"amount_nano": NaN}', b'{"amount_nano": ' + b"9" * 5000 + b"}"])
async def test_bodies_that_are_no_json(client, content):
    answer = await client.post("/api/take", content=content, headers={"content-type": "application/json"})
    status, code, _ = await shown(answer)
    assert status == 400 and code.startswith("invalid_")


async def test_a_body_that_says_nothing_of_json_is_none(client):
    answer = await client.post("/api/take", content=b'{"amount_nano": 1}', headers={"content-type": "text/plain"})
    assert (await shown(answer))[0] == 400


async def test_others_have_their_own_shape(client):
    for path, status in (("fail/known", 503), ("fail/away", 503), ("fail/bug", 500), ("nothing", 404)):
        answer = await client.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()) == (status, {"statusCode": status})
    assert (await client.post("/api/v1/take", json={})).json() == {"statusCode": 400}
    assert (await client.get("/api/v1/fail/known")).headers["retry-after"] == "7"


async def test_elsewhere_as_ever(client):
    assert (await client.get("/other/nothing")).json() == {"detail": "Not Found"}
    assert (await client.post("/other/take", json={})).status_code == 422
    assert (await client.get("/other/fail/known")).json()["error"]["code"] == "overloaded"


def test_refusals_are_documented():
    documented = refusals("not_found", "model_not_found", "conflict")
    assert list(documented) == [404, 409]
    assert "`not_found`" in documented[404]["description"] and "`model_not_found`" in documented[404]["description"]

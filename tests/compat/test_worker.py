"""`/logs` and `/clear-logs`, on both engines."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.compat.worker import COLUMNS, PIECE, router
from penstock.infra.database import Database
from penstock.infra.secrets import Secrets
from penstock.records.keeping import Keeper
from penstock.records.policies import Policies
from penstock.records.record import Record
from penstock.records.recorder import Recorder
from penstock.records.service import Records
from penstock.records.vault import Vault, open_store

SECRET = "s3cret of mine"
KEY = "sk-" + "a1B2" * 12


def new_record(number: int = 1, **given: Any) -> Record:
    fields: dict[str, Any] = {
        "id": f"req_{number}",
        "created_at_ms": 1_700_000_000_123,
        "key_id": None,
        "method": "POST",
        "path": "/v1/chat/completions",
        "wire": "chat_completions",
        "original_model": "gpt-4o",
        "rewritten_model": "gpt-4o-mini",
        "request_headers": [(b"content-type", b"application/json"), (b"authorization", f"Bearer {KEY}".encode())],
        "request_body": b'{"model":"gpt-4o"}',
        "response_status": 200,
        "response_headers": [(b"content-type", b"application/json")],
        "response_body": [b'{"id":', b'"chatcmpl-1"}'],
        "duration_ms": 12,
        "is_stream": False,
        "outcome": "complete",
        "channel": "second",
        "attempts": ("first: 500 Internal Server Error", "other: busy"),
    }
    return Record(**(fields | given))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(open_store(tmp_path), Secrets(bytes(32)))


@pytest.fixture
async def recorder(database: Database, vault: Vault) -> AsyncIterator[Recorder]:
    recorder = Recorder(database, vault, 1 << 26)
    await recorder.start()
    yield recorder
    await recorder.stop()


@pytest.fixture
def records(database: Database, vault: Vault, recorder: Recorder) -> Records:
    return Records(database, vault, recorder, Policies(database), Keeper(database, vault))


@pytest.fixture
async def client(recorder: Recorder, records: Records, new_client, new_settings) -> AsyncIterator[httpx.AsyncClient]:
    async with new_client(router(recorder, records, new_settings(api_sec_key=SECRET))) as client:
        yield client


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text, newline=""), strict=True))


EXPECTED = {
    "id": "req_1",
    "timestamp": "2023-11-14T22:13:20.123Z",
    "method": "POST",
    "path": "/v1/chat/completions",
    "request_body": '{"model":"gpt-4o"}',
    "response_status": "200",
    "response_body": '{"id":"chatcmpl-1"}',
    "original_model": "gpt-4o",
    "rewritten_model": "gpt-4o-mini",
    "duration_ms": "12",
    "is_stream": "false",
    "channel": "second",
    "attempts": "first: 500 Internal Server Error; other: busy",
}


@pytest.mark.parametrize("query", [{}, {"format": "csv"}, {"format": "CSV "}])
async def test_logs_are_csv(client: httpx.AsyncClient, recorder: Recorder, query: dict[str, str]) -> None:
    recorder.put(new_record())

    answer = await client.get("/logs", params={"key": SECRET, **query})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="penstock-logs-')
    assert answer.headers["content-disposition"].endswith('.csv"')
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert answer.text.splitlines()[0] == ",".join(COLUMNS)
    (row,) = rows(answer)
    assert json.loads(row.pop("request_headers")) == {"content-type": "application/json", "authorization": "[redacted]"}
    assert json.loads(row.pop("response_headers")) == {"content-type": "application/json"}
    assert row == EXPECTED


async def test_logs_are_json(client: httpx.AsyncClient, recorder: Recorder) -> None:
    recorder.put(new_record())
    recorder.put(new_record(2, is_stream=True, original_model=None, rewritten_model=None, response_status=None))

    answer = await client.get("/logs", params={"key": SECRET, "format": "json"})

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"].endswith('.json"')
    first, second = answer.json()
    assert tuple(first) == COLUMNS
    headers = {
        "request_headers": {"content-type": "application/json", "authorization": "[redacted]"},
        "response_headers": {"content-type": "application/json"},
    }
    assert first == {**EXPECTED, **headers, "response_status": 200, "duration_ms": 12, "is_stream": False}
    assert (second["id"], second["is_stream"], second["original_model"], second["response_status"]) == ("req_2", True, None, None)


async def test_nothing_was_recorded(client: httpx.AsyncClient) -> None:
    assert (await client.get("/logs", params={"key": SECRET})).text == ",".join(COLUMNS) + "\r\n"
    assert (await client.get("/logs", params={"key": SECRET, "format": "json"})).json() == []


async def test_more_than_one_piece_and_segment(client: httpx.AsyncClient, recorder: Recorder) -> None:
    for number in range(9):
        recorder.put(new_record(number, request_body=b"x" * (PIECE // 3)))
        if number % 4 == 3:
            await recorder.flush()
    ids = [f"req_{number}" for number in range(9)]

    assert [row["id"] for row in rows(await client.get("/logs", params={"key": SECRET}))] == ids
    assert [row["id"] for row in (await client.get("/logs", params={"key": SECRET, "format": "json"})).json()] == ids


@pytest.mark.parametrize("shape", ["csv", "json"])
async def test_no_secret_is_shown(client: httpx.AsyncClient, recorder: Recorder, shape: str) -> None:
    recorder.put(
        new_record(
            path=f"/v1/models?key={KEY}&x=1",
            request_headers=[(b"X-API-Key", b"hidden"), (b"cookie", b"hidden=1")],
            request_body=f'{{"prompt":"{KEY}"}}'.encode(),
            response_headers=[(b"set-cookie", b"hidden=2"), (b"content-encoding", b"gzip")],
            response_body=[gzip.compress(f"no such key: {KEY}".encode())],
        )
    )

    answer = await client.get("/logs", params={"key": SECRET, "format": shape})

    assert KEY not in answer.text
    assert "hidden" not in answer.text
    assert "no such key: [redacted]" in answer.text
    assert "/v1/models?key=[redacted]&x=1" in answer.text


async def test_a_spreadsheet_runs_nothing(client: httpx.AsyncClient, recorder: Recorder) -> None:
    bodies = [b"=1+1", b'+cmd|" /C calc"!A0', b"-2", b"@SUM(A1)", b"\tx", b"\rx", b'a,b\r\n"quoted"', "你好".encode()]
    for number, body in enumerate(bodies):
        recorder.put(new_record(number, request_body=body))

    shown = [row["request_body"] for row in rows(await client.get("/logs", params={"key": SECRET}))]

    assert shown == [f"'{body.decode()}" for body in bodies[:6]] + [body.decode() for body in bodies[6:]]


async def test_bodies_that_are_no_text_or_not_whole(client: httpx.AsyncClient, recorder: Recorder) -> None:
    recorder.put(new_record(request_body=b"\xff\xd8", response_body=[b"{"], response_truncated=True))

    (row,) = rows(await client.get("/logs", params={"key": SECRET}))

    assert (row["request_body"], row["response_body"]) == ("[base64] /9g=", "{[truncated]")


@pytest.mark.parametrize("headers", [{"authorization": f"Bearer {SECRET}"}, {"x-api-key": SECRET}])
async def test_the_key_may_be_in_a_header(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    for method, path in (("GET", "/logs"), ("GET", "/clear-logs"), ("POST", "/clear-logs"), ("DELETE", "/clear-logs")):
        assert (await client.request(method, path, headers=headers)).status_code == 200


async def test_a_wrong_key_is_refused(client: httpx.AsyncClient, recorder: Recorder) -> None:
    recorder.put(new_record())
    ways = [("GET", "/logs"), ("GET", "/clear-logs"), ("POST", "/clear-logs"), ("DELETE", "/clear-logs")]
    for (method, path), key in itertools.product(ways, [None, "", "wrong", SECRET[:-1], SECRET + "x", SECRET.upper()]):
        answer = await client.request(method, path, params={} if key is None else {"key": key})

        assert answer.status_code == 401
        said = answer.json()
        assert (said["success"], set(said["message"])) == (False, {"en", "zh"})
        assert "www-authenticate" not in answer.headers
        assert SECRET not in answer.text
    assert len(rows(await client.get("/logs", params={"key": SECRET}))) == 1


@pytest.mark.parametrize("path", ["/logs", "/clear-logs"])
async def test_without_a_secret_nobody_is_let_in(records, recorder, new_client, new_settings, path: str) -> None:
    async with new_client(router(recorder, records, new_settings())) as client:
        for params in ({}, {"key": ""}, {"key": "x"}):
            answer = await client.get(path, params=params)
            assert answer.status_code == 403
            assert all("API_SEC_KEY" in text for text in answer.json()["message"].values())


async def test_an_unknown_format(client: httpx.AsyncClient) -> None:
    answer = await client.get("/logs", params={"key": SECRET, "format": "xml"})

    assert answer.status_code == 400
    assert "csv" in answer.json()["message"]["zh"]
    assert (await client.get("/logs", params={"format": "xml"})).status_code == 401, "who has no key learns nothing"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_clear_logs(client: httpx.AsyncClient, recorder: Recorder, method: str) -> None:
    recorder.put(new_record())

    answer = await client.request(method, "/clear-logs", params={"key": SECRET})

    assert answer.status_code == 200
    assert answer.json() == {"success": True, "message": {"en": "Logs cleared successfully", "zh": "日志已成功清除"}}
    assert rows(await client.get("/logs", params={"key": SECRET})) == []


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("HEAD", {}, 405), ("OPTIONS", {}, 405), ("GET", {"sec-purpose": "prefetch"}, 403), ("GET", {"purpose": "prefetch"}, 403)],
)
async def test_what_clears_nothing(
    client: httpx.AsyncClient, recorder: Recorder, method: str, headers: dict[str, str], status: int
) -> None:
    recorder.put(new_record())

    assert (await client.request(method, "/clear-logs", params={"key": SECRET}, headers=headers)).status_code == status

    assert len(rows(await client.get("/logs", params={"key": SECRET}))) == 1

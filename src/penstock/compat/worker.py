"""The logging worker's URLs: `/logs` downloads what was recorded, `/clear-logs` deletes it; both guarded by `API_SEC_KEY`."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse  # noqa: TID251  a download: nothing hangs on its end

from penstock.compat.admission import is_prefetch, shows_secret
from penstock.kit.sheets import csv_lines
from penstock.records.door import Record, Recorder
from penstock.records.readable import body_shown, headers_shown
from penstock.records.service import OPERATOR_SHELF, Opened, Records
from penstock.settings import Settings

COLUMNS = (
    "id", "timestamp", "method", "path", "request_headers", "request_body", "response_status", "response_headers",
    "response_body", "original_model", "rewritten_model", "duration_ms", "is_stream", "channel", "attempts",
)  # fmt: skip
PIECE = 256 * 1024
"""Characters of an export that are made and sent at a time."""
_HEADERS = {
    # The key is in the URL, and what is shown is private.
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_log = logging.getLogger("penstock.records")
_SAID = {
    "unset": (403, "Set API_SEC_KEY to use this address.", "请先设置 API_SEC_KEY，才能使用此地址。"),
    "refused": (401, "The key is missing or wrong: pass API_SEC_KEY as ?key=.", "密钥缺失或错误，请通过 ?key= 传入 API_SEC_KEY。"),
    "format": (400, "The format is not known; it can be csv or json.", "未知的导出格式，仅支持 csv 或 json。"),
    "prefetch": (403, "Logs are not cleared by a prefetch.", "预加载请求不会清除日志。"),
    "cleared": (200, "Logs cleared successfully", "日志已成功清除"),
}


def router(recorder: Recorder, service: Records, settings: Settings) -> APIRouter:
    """`GET /logs`, and `/clear-logs` by GET, POST and DELETE. Answers are in English and Chinese."""
    routes = APIRouter(tags=["logs"])
    secret = settings.api_sec_key.get_secret_value() if settings.api_sec_key else ""

    def refusal(request: Request, key: str) -> Response | None:
        if not secret:
            return _say("unset")
        admitted = shows_secret(request, secret, "x-api-key", key)
        return None if admitted else _say("refused")

    @routes.get("/logs", response_class=StreamingResponse)
    async def logs(request: Request, key: str = "", format: str = "csv") -> Response:  # noqa: A002  the parameter's known name
        """Download all records, oldest first."""
        if refused := refusal(request, key):
            return refused
        shape = format.strip().lower()
        if shape not in _EXPORTS:
            return _say("format")
        await recorder.flush()
        now = datetime.now(UTC)
        headers = {**_HEADERS, "content-disposition": f'attachment; filename="penstock-logs-{now:%Y%m%dT%H%M%SZ}.{shape}"'}
        media_type, export = _EXPORTS[shape]
        return StreamingResponse(export(_batches(service.read(OPERATOR_SHELF))), media_type=media_type, headers=headers)

    @routes.get("/clear-logs", operation_id="clear_logs_by_get")
    @routes.post("/clear-logs", operation_id="clear_logs_by_post")
    @routes.delete("/clear-logs", operation_id="clear_logs")
    async def clear_logs(request: Request, key: str = "") -> Response:
        """Delete all records."""
        if refused := refusal(request, key):
            return refused
        if is_prefetch(request):
            return _say("prefetch")
        await recorder.flush()
        await service.clear(OPERATOR_SHELF)
        return _say("cleared")

    return routes


def _say(what: str) -> JSONResponse:
    status, english, chinese = _SAID[what]
    return JSONResponse({"success": status == 200, "message": {"en": english, "zh": chinese}}, status, headers=_HEADERS)


def _facts(record: Record) -> dict[str, Any]:
    when = datetime.fromtimestamp(record.created_at_ms / 1000, UTC)
    response_body = b"".join(record.response_body)
    values = (
        record.id,
        when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        record.method,
        record.path,
        headers_shown(record.request_headers),
        body_shown(record.request_body, record.request_headers, truncated=record.request_truncated),
        record.response_status,
        headers_shown(record.response_headers),
        body_shown(response_body, record.response_headers, truncated=record.response_truncated),
        record.original_model,
        record.rewritten_model,
        record.duration_ms,
        record.is_stream,
        record.channel,
        "; ".join(record.attempts),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _csv_line(record: Record) -> str:
    cells = (json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value for value in _facts(record).values())
    return csv_lines([list(cells)])


def _json_text(record: Record) -> str:
    return json.dumps(_facts(record), ensure_ascii=False)


async def _batches(opened: AsyncIterator[Opened]) -> AsyncIterator[list[Record]]:
    """Records that can be read, some at a time: not so many that they take much memory."""
    batch: list[Record] = []
    size = 0
    async for one in opened:
        if one.record is None:
            _log.warning("record %s is left out: %s", one.entry.id, one.missing)
            continue
        batch.append(one.record)
        size += one.entry.request_bytes + one.entry.response_bytes
        if size >= PIECE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _csv(batches: AsyncIterator[list[Record]]) -> AsyncIterator[str]:
    yield csv_lines([COLUMNS])
    async for batch in batches:
        async for piece in _pieces(_csv_line(record) for record in batch):
            yield piece


async def _json(batches: AsyncIterator[list[Record]]) -> AsyncIterator[str]:
    before = "["
    async for batch in batches:
        async for piece in _pieces(f",\n{_json_text(record)}" for record in batch):
            yield before + piece.removeprefix("," if before else "")
            before = ""
    yield f"{before}\n]\n"


async def _pieces(texts: Iterable[str]) -> AsyncIterator[str]:
    """The texts in pieces of moderate size, made in a thread: neither the loop nor the memory is taken up by a long export."""
    rest = iter(texts)
    while piece := await asyncio.to_thread(_piece, rest):
        yield piece


def _piece(texts: Iterator[str]) -> str:
    piece: list[str] = []
    size = 0
    for text in texts:
        piece.append(text)
        size += len(text)
        if size >= PIECE:
            break
    return "".join(piece)


_EXPORTS = {"csv": ("text/csv; charset=utf-8", _csv), "json": ("application/json", _json)}

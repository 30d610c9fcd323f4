"""Errors of the control API: one shape for everything that is refused under `/api`, with the request's id."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from penstock.accounts.api.document import correct
from penstock.accounts.api.tracing import Tracing, is_api, request_id_of
from penstock.infra.database import DatabaseAway
from penstock.kit.errors import CODES, PenstockError

Shape = Callable[[PenstockError], Response]
"""Makes the answer of a refusal, in one dialect."""

_CODES = {
    400: "invalid_request", 401: "not_signed_in", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large",
    415: "invalid_request", 422: "invalid_request", 429: "too_many_requests", 503: "overloaded",
}  # fmt: skip
_MESSAGES = {
    "not_found": "There is nothing at this path.",
    "method_not_allowed": "This path has no such method; the allow header names those it has.",
    "body_too_large": "The body is larger than the control API takes.",
}
_INVALID = {
    "description": f"`invalid_request`: {CODES['invalid_request'].meaning}",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refused"}}},
}
_log = logging.getLogger("penstock.api")


class Refusal(BaseModel):
    """What was refused, why, and what to do about it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"code": "invalid_request", "message": "Name an account.", "param": "account_id", "request_id": "req_..."}],
            "required": ["code", "message", "param"],
        }
    )

    code: str
    """One of docs/errors.md."""
    message: str
    param: str | None
    """The field, parameter or header that is wrong."""
    request_id: str
    """Finds the log lines of the request; it is in the header `x-request-id` too. What is not HTTP, or no URL, has it only there."""


class Refused(BaseModel):
    """Every answer of the control API that is not a success."""

    error: Refusal


def refusals(*codes: str) -> dict[int | str, dict[str, Any]]:
    """What a route says of its refusals, for `responses=`: by status, with the codes that have it."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code].status, []).append(f"`{code}`: {CODES[code].meaning}")
    return {status: {"model": Refused, "description": "\n\n".join(lines)} for status, lines in sorted(by_status.items())}


def install(app: FastAPI, others: Mapping[str, Shape] | None = None) -> None:
    """Answer what goes wrong under `/api` in the one shape, under each prefix of `others` in its own, elsewhere as FastAPI does.

    A PenstockError and an absent database are told in the one shape elsewhere too.
    """
    shapes = dict(sorted((others or {}).items(), key=lambda pair: -len(pair[0])))

    def answer(request: Request, error: PenstockError) -> Response:
        path = request.url.path
        shape = next((shape for prefix, shape in shapes.items() if path.startswith(prefix)), None)
        response = shape(error) if shape else _in_the_one_shape(request, error)
        if error.retry_after_s is not None:
            response.headers.setdefault("retry-after", str(error.retry_after_s))
        return response

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, PenstockError)  # noqa: S101  it is registered for nothing else
        return answer(request, error)

    async def away(request: Request, error: Exception) -> Response:
        _log.warning("the database is away: %s", error)
        return answer(request, PenstockError("database_away", "The database cannot be reached at the moment. Try again.", retry_after_s=2))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        if not is_api(request.url.path):
            return await request_validation_exception_handler(request, error)
        return answer(request, _in_words(error))

    async def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        if not is_api(request.url.path):
            return await http_exception_handler(request, error)
        code = _CODES.get(error.status_code, "invalid_request" if error.status_code < 500 else "internal_error")
        response = answer(request, PenstockError(code, _MESSAGES.get(code, str(error.detail))))
        response.headers.update(error.headers or {})
        return response

    async def broken(request: Request, _: Exception) -> Response:
        response = answer(request, PenstockError("internal_error", "Penstock failed. The request id finds the log line."))
        response.headers["x-request-id"] = request_id_of(request)  # this is sent from outside of everything that adds headers
        return response

    correct(app, _INVALID)
    app.add_middleware(Tracing, refuse=answer)
    app.add_exception_handler(PenstockError, refused)
    app.add_exception_handler(DatabaseAway, away)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, failed)
    app.add_exception_handler(Exception, broken)


def sendable(text: str) -> str:
    """Words that may repeat what was sent, without what is no character: half of a surrogate pair cannot be sent back."""
    return text.encode(errors="replace").decode()


def _in_the_one_shape(request: Request, error: PenstockError) -> Response:
    message, param = sendable(error.message), None if error.param is None else sendable(error.param)
    shown = {"code": error.code, "message": message, "param": param, "request_id": request_id_of(request)}
    return JSONResponse({"error": shown}, error.status)


def _in_words(error: RequestValidationError) -> PenstockError:
    """The first thing that is wrong, by its place. What was sent is not shown: it may be a secret."""
    first = error.errors()[0]
    where, *path = first["loc"]
    if first["type"] == "json_invalid" or first["type"] == "model_attributes_type":
        return PenstockError("invalid_json", "The body is not a JSON object that can be read. Send one, as application/json.")
    name = ".".join(str(part) for part in path)
    if first["type"] == "missing":
        words = f"{name or f'The {where}'} is missing."
    elif first["type"] == "extra_forbidden":
        words = f"There is no field '{name}' here."
    else:
        words = f"{name or f'The {where}'}: {str(first['msg']).removeprefix('Value error, ')}."
    return PenstockError("invalid_request", words, param=name or None)

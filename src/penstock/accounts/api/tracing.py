"""Tracing: gives every request of the control API an id, bounds it, and has no answer kept by anyone on the way."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.infra import logs
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id

BODY_LIMIT = 1024 * 1024
"""Bytes of the largest body that the control API takes."""


class Tracing:
    """ASGI middleware for the paths under `/api`. `refuse` makes the answer to a request that goes no further."""

    def __init__(self, app: ASGIApp, refuse: Callable[[Request, PenstockError], Response]) -> None:
        self._app = app
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_api(scope["path"]):
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        scope["penstock.request_id"] = request_id
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > BODY_LIMIT:
                raise HTTPException(413)
            return message

        async def traced(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
            await send(message)

        token = logs.request_id.set(request_id)
        app = self._app
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:  # no database takes it
            app = self._refuse(Request(scope), PenstockError("invalid_request", "There is a NUL character in the URL."))
        try:
            await app(scope, bounded, traced)
        finally:
            logs.request_id.reset(token)


def is_api(path: str) -> bool:
    """Whether a path is of the control API."""
    return path == "/api" or path.startswith("/api/")


def request_id_of(request: Request) -> str:
    """The id that the request has been given."""
    found: str | None = request.scope.get("penstock.request_id")
    return found or new_id("req")

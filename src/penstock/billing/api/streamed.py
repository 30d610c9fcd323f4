"""Streamed: an answer that is made while it is sent, and ends when the client has left."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from fastapi import Response
from starlette.types import Receive, Scope, Send

from penstock.kit.tasks import spawn


class Streamed(Response):
    """Sends pieces as they are made, no faster than they are taken, as a file to be saved."""

    def __init__(self, pieces: AsyncGenerator[bytes, None], name: str, media_type: str) -> None:
        headers = {
            "cache-control": "no-store",
            "content-disposition": f'attachment; filename="{name}"',
            "x-content-type-options": "nosniff",
        }
        super().__init__(None, headers=headers, media_type=media_type)
        del self.headers["content-length"]  # nobody knows it yet
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = spawn(_gone(receive), name="client of an export", awaited=True)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for piece in self._pieces:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await self._pieces.aclose()


async def _gone(receive: Receive) -> None:
    """Ends when the client has left: what is sent to it then is thrown away without a word."""
    while (await receive())["type"] != "http.disconnect":
        pass

"""Download: an answer that is a file on disk, sent a piece at a time."""

from __future__ import annotations

import asyncio
import os
from typing import IO

from fastapi import Response
from starlette.types import Receive, Scope, Send

PIECE = 64 * 1024


class Download(Response):
    """Sends a file from where it stands, then closes it, also when the client leaves."""

    def __init__(self, file: IO[bytes], name: str, media_type: str) -> None:
        start = file.tell()
        size = file.seek(0, os.SEEK_END) - start
        file.seek(start)
        headers = {
            "content-length": str(size),
            "content-disposition": f'attachment; filename="{name}"',
            "x-content-type-options": "nosniff",
        }
        super().__init__(None, headers=headers, media_type=media_type)
        self._file = file
        self._size = size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            left, more = self._size, True
            while more:
                piece = await asyncio.to_thread(self._file.read, PIECE)
                left -= len(piece)
                # The last piece is the end: a client that has all of it may ask for something else at once.
                more = left > 0 and bool(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": more})
        finally:
            self._file.close()

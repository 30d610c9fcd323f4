"""Streamed answers: no faster than they are taken, and over when the client has left."""

from __future__ import annotations

import asyncio

import httpx
from fastapi import FastAPI

from penstock.billing.api.streamed import Streamed


class Source:
    """Pieces without end, or some, and whether somebody still wants them."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count
        self.made = 0
        self.closed = False

    async def pieces(self):
        try:
            while self.count is None or self.made < self.count:
                self.made += 1
                yield b"piece %d\n" % self.made
                await asyncio.sleep(0)
        finally:
            self.closed = True


async def test_all_of_it_arrives():
    source, app = Source(3), FastAPI()

    @app.get("/")
    async def export() -> Streamed:
        return Streamed(source.pieces(), "a.txt", "text/plain")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://penstock") as client:
        answer = await client.get("/")
    assert answer.text == "piece 1\npiece 2\npiece 3\n"
    assert answer.headers["content-disposition"] == 'attachment; filename="a.txt"'
    assert answer.headers["cache-control"] == "no-store"
    assert "content-length" not in answer.headers
    assert source.closed


async def test_a_client_that_leaves_ends_it():
    source, gone = Source(), asyncio.Event()
    asked: list[object] = []

    async def receive():
        asked.append(None)
        if len(asked) == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    sent = []

    async def send(message):
        sent.append(message)
        if len(sent) == 5:
            gone.set()

    await Streamed(source.pieces(), "a.txt", "text/plain")({"type": "http"}, receive, send)
    assert source.closed
    assert source.made < 20
    assert sent[-1]["more_body"] is True


async def test_what_fails_on_the_way_is_not_a_whole_answer():
    async def pieces():
        yield b"a"
        raise OSError("no more")

    async def receive():
        await asyncio.sleep(3600)

    sent = []

    async def send(message):
        sent.append(message)

    try:
        await Streamed(pieces(), "a.txt", "text/plain")({"type": "http"}, receive, send)
    except OSError:
        pass
    assert [message.get("more_body") for message in sent] == [None, True]

"""A whole gateway in a thread of the test process: real sockets, real database, and its insides to look at afterwards."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import uvicorn
import uvloop
from sqlalchemy import text

from penstock.app import build, server_config
from penstock.settings import Settings, load


class LiveGateway:
    """A gateway that serves. Use as a context manager; leaving it checks that nothing was left behind."""

    def __init__(self, data: Path, **settings: Any) -> None:
        settings.setdefault("discover_s", 0)  # providers are asked what a test asks them, and nothing more
        self._key_name = settings.pop("key_name", "test")
        self.settings: Settings = load(data=data, port=0, stop_s=settings.pop("stop_s", 5), **settings)
        self.app, self.parts = build(self.settings)
        self.key = "sk-none"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server = uvicorn.Server(server_config(self.settings, self.app))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failed: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._until(lambda: self._server.started or self._failed is not None or not self._thread.is_alive())
        if self._failed is not None:
            raise self._failed
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        if self.parts.plane.keys is not None:
            self.key = self.run(self.parts.keys.create(self._key_name)).token
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self.check_quiet()
        finally:
            self.stop()
        if self._failed is not None:
            raise self._failed

    @property
    def running(self) -> bool:
        """It has been started and not been stopped."""
        return self._thread.is_alive() and not self._server.should_exit

    @property
    def url(self) -> str:
        """The base address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def plane(self) -> Any:
        """The relay's insides."""
        return self.parts.plane

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine on the gateway's own loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def stop(self) -> None:
        """Stop gracefully and wait."""
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive(), "the gateway does not stop"

    def check_quiet(self, within_s: float = 5) -> None:
        """Nothing is left behind: no hold, no open exchange, no busy connection, nothing queued."""

        def quiet() -> bool:
            plane = self.plane
            return (
                plane.holds.open == 0
                and all(getattr(connection, "active", None) is None for connection in plane.connections)
                and all(channel.pool.busy == 0 for channel in plane.channels)
                and plane.books.depth == 0
            )

        async def look() -> bool:
            return quiet()

        # On the loop, between two callbacks: in the middle of one, a hold may be settled and not charged yet.
        if not self._until(lambda: bool(self.run(look())) if self.running else quiet(), within_s):
            plane = self.plane
            busy = {channel.name: channel.pool.busy for channel in plane.channels}
            active = [c.active.target for c in plane.connections if getattr(c, "active", None) is not None]
            raise AssertionError(f"left behind: holds {plane.holds.open}, busy {busy}, active {active}, books {plane.books.depth}")
        holds = self.parts.plane.holds
        assert holds.taken == holds.settled + holds.released

    def charges(self, want: int | None = None, within_s: float = 3) -> list[dict[str, Any]]:
        """The rows of the charge table, oldest first; waits until there are `want`."""

        async def read() -> list[dict[str, Any]]:
            async with self.parts.database.session(read_only=True) as session:
                rows = await session.execute(text("select * from charge order by created_at_ms, id"))
                return [dict(row._mapping) for row in rows]

        end = time.monotonic() + within_s
        while True:
            rows = self.run(read())
            if want is None or len(rows) >= want or time.monotonic() > end:
                return rows
            time.sleep(0.02)

    def _until(self, true: Callable[[], bool], within_s: float = 20) -> bool:
        end = time.monotonic() + within_s
        while not true():
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def _run(self) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await self._server.serve()

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())
        except BaseException as exc:  # noqa: BLE001  raised again where the test waits
            self._failed = exc

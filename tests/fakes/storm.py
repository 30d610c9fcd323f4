"""A storm: many clients on few accounts, while workers are killed, the database comes and goes, the provider misbehaves, clients leave."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from sqlalchemy import select

from bank import Bank
from penstock.billing.models import Worker
from penstock.infra import schema
from penstock.infra.database import Database
from penstock.keys.service import Keys
from program import Program

LEASE_S = "3"
MODELS = (
    ("demo", False), ("demo", False), ("demo", False), ("demo", True), ("demo-n20d10", True), ("demo-n40d40", True),
    ("demo-slow200", False), ("demo-fail500", False), ("demo-fail429", True), ("demo-cut", False), ("demo-cut", True),
    ("demo-reset", False), ("demo-error", True), ("demo-nousage", True),
)  # fmt: skip
"""What is asked for, and whether as a stream; each as often as it stands here."""
ANSWER_S = 10
COMPLAINT_LINES = 40
SWEPT_S = 60


@dataclass
class Seen:
    """What the clients saw."""

    complete: list[str] = field(default_factory=list)
    """The ids of requests whose answers were whole."""
    counts: Counter[str] = field(default_factory=Counter)


@dataclass
class Purse:
    """An account with little money, as its programs know it."""

    account_id: str
    tokens: list[str]
    paid_nano: int


class Storm:
    """The nodes of one gateway on one database, and what is done to them."""

    def __init__(self, folder: Path, database_url: str | None, *, nodes: int, workers: int) -> None:
        self.folder = folder
        self._urls = [database_url] * nodes
        self._workers = workers
        self.url = database_url or f"sqlite:///{folder / 'node0' / 'penstock.db'}"
        self.programs: list[Program] = []
        self.purses: list[Purse] = []
        self.seen = Seen()
        self.kills = self.outages = 0
        self.random = random.Random(7)

    async def __aenter__(self) -> Self:
        (self.folder / "node0").mkdir(parents=True, exist_ok=True)
        self.database = Database(self.url)
        await schema.migrate(self.database)
        self.bank = Bank(self.database, self.url)
        for number, url in enumerate(self._urls):
            given = {"PENSTOCK_DATABASE_URL": url} if url else {}
            program = Program(
                self.folder / f"node{number}", "--port", "0", "--demo", "--workers", str(self._workers), PENSTOCK_LEASE_S=LEASE_S,
                PENSTOCK_STOP_S="5", PENSTOCK_FUNDS_WAIT_S="2", PENSTOCK_FIRST_BYTE_S="5", **given,
            )  # fmt: skip
            self.programs.append(program)
        try:
            for program in self.programs:
                await asyncio.to_thread(program.__enter__)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for program in self.programs:
            program.process.kill()
        for pid in self.workers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for program in self.programs:
            program.__exit__(None, None, None)
        await self.database.close()

    async def account(self, paid_nano: int, keys: int = 3) -> Purse:
        """An account with money and keys."""
        account_id, _ = await self.bank.account(paid_nano)
        made = [await Keys(self.database).create(f"key {number}", account_id=account_id) for number in range(keys)]
        purse = Purse(account_id, [key.token for key in made], paid_nano)
        self.purses.append(purse)
        return purse

    # clients

    async def rain(self, seconds: float, clients: int) -> None:
        """Requests of all kinds from so many clients."""
        until = time.monotonic() + seconds
        await asyncio.gather(*(self._client(random.Random(number), until) for number in range(clients)))

    async def _client(self, chance: random.Random, until: float) -> None:
        while time.monotonic() < until:
            purse = chance.choice(self.purses)
            model, stream = chance.choice(MODELS)
            leaves = chance.random() < 0.1
            await self.ask(chance.choice(purse.tokens), model, stream=stream, leaves=leaves, wire=chance.choice(("chat", "messages")))

    async def ask(self, token: str, model: str = "demo", *, stream: bool = False, leaves: bool = False, wire: str = "chat") -> int:
        """One request over a connection of its own; its status, 0 when there was none."""
        port = urlsplit(self.random.choice(self.programs).url).port
        self.seen.counts["requests"] += 1
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    return await self._exchange(reader, writer, _request(token, model, stream=stream, wire=wire), leaves=leaves)
                finally:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as failure:
            self.seen.counts[f"broken: {type(failure).__name__}"] += 1
            return 0

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, *, leaves: bool) -> int:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        self.seen.counts[f"status {status}"] += 1
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        if leaves:
            await asyncio.sleep(0.05)
            self.seen.counts["left"] += 1
            return status
        if b"content-length" in fields:
            await reader.readexactly(int(fields[b"content-length"]))
        else:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
        if status == 200:
            self.seen.complete.append(fields[b"x-request-id"].decode())
        return status

    # weather

    async def thunder(self, seconds: float, every_s: float, outage: Callable[[], None] | None = None) -> None:
        """Kill a worker now and then, and once in between have an outage of the database."""
        until = time.monotonic() + seconds
        strikes = 0
        while time.monotonic() < until:
            await asyncio.sleep(every_s)
            strikes += 1
            if outage is not None and strikes % 3 == 2:
                await asyncio.to_thread(outage)
                self.outages += 1
            else:
                await asyncio.to_thread(self._kill)

    def _kill(self) -> None:
        workers = self.workers()
        if workers:
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(workers), signal.SIGKILL)
                self.kills += 1

    def workers(self) -> list[int]:
        """The processes that serve, children of those that watch over them."""
        found: list[int] = []
        for program in self.programs:
            pid = program.process.pid
            with suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                found += [int(child) for child in children if b"spawn_main" in _command(child)]
        return found

    # afterwards

    async def clear_up(self) -> list[str]:
        """Let everybody finish, be swept and stop; what the programs complained about."""
        await self._until_swept()
        for program in self.programs:
            program.tell()
        statuses = [await asyncio.to_thread(program.end) for program in self.programs]
        assert statuses == [0] * len(self.programs), [program.err[-3000:] for program in self.programs]
        lines = [line for program in self.programs for line in program.err.splitlines()]
        # A worker that starts while the database is away says so and ends; the next one may be luckier.
        found = [place for place, line in enumerate(lines) if "Traceback" in line and "DatabaseAway" not in line]
        return ["\n".join(lines[max(0, place - 2) : place + COMPLAINT_LINES]) for place in found]

    async def _until_swept(self) -> None:
        """Until every process has a successor, and the dead are swept."""
        until = time.monotonic() + SWEPT_S
        wanted = len(self.programs) * self._workers
        while time.monotonic() < until:
            await asyncio.sleep(0.5)
            async with self.database.session(read_only=True) as session:
                present = sorted(await session.scalars(select(Worker.pid)))
            if len(present) == wanted and present == sorted(self.workers()):
                return


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""  # it has just ended


def _request(token: str, model: str, *, stream: bool, wire: str) -> bytes:
    said = [{"role": "user", "content": "hello there"}]
    body = json.dumps({"model": model, "max_tokens": 200, "stream": stream, "messages": said}).encode()
    path = "/v1/chat/completions" if wire == "chat" else "/v1/messages"
    lines = (
        f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {token}", "content-type: application/json",
        f"content-length: {len(body)}", "connection: close",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

"""Settle before finish: no client sees an answer as complete whose charge is not durable, whatever happens to the database or to us."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import threading
import time
from pathlib import Path
from typing import Self

import asyncpg
import pytest

from fake_answers import DONE, answer, chat_events, chat_usage, chunk, chunked, head, stream
from fake_faults import PLAIN
from live_gateway import LiveGateway
from penstock.billing.door import Books
from penstock.infra.database import sqlite_path
from program import Program
from raw_client import RawClient, chat, request
from stage import EVENTS, Stage, begun, check_broken_end, plain

ENDS = (b"[DONE]", b"response.completed", b"message_stop")
"""What tells a client that a stream is complete."""
SOUND = os.urandom(300_000)
LONG = json.dumps({"filler": "x" * 3_000_000} | plain("chat")).encode()


CASES = {
    "chat": (lambda stage: stage.raw("chat"), answer(plain("chat"))),
    "responses": (lambda stage: stage.raw("responses"), answer(plain("responses"))),
    "messages": (lambda stage: stage.raw("messages"), answer(plain("messages"))),
    "a chat stream": (lambda stage: stage.raw("chat", stream=True), stream(*EVENTS["chat"](10))),
    "a responses stream": (lambda stage: stage.raw("responses", stream=True), stream(*EVENTS["responses"](10))),
    "a messages stream": (lambda stage: stage.raw("messages", stream=True), stream(*EVENTS["messages"](10))),
    "a chat stream without [DONE]": (lambda stage: stage.raw("chat", stream=True), stream(*chat_events()[:-1])),
    "a chat stream in one piece": (lambda stage: stage.raw("chat", stream=True), stream(b"".join(chat_events()))),
    "a long answer": (lambda stage: stage.raw("chat"), answer(LONG)),
    "a long answer in chunks": (lambda stage: stage.raw("chat"), head(200, "transfer-encoding: chunked") + chunked(LONG)),
    "sound": (Stage.speech, answer(SOUND, kind="audio/mpeg")),
}


class Lock:
    """Somebody else's lock on the table of charges, for as long as the block lasts."""

    def __init__(self, gateway: LiveGateway) -> None:
        self._url = str(gateway.settings.database_url)

    def __enter__(self) -> Self:
        path = sqlite_path(self._url)
        if path is not None:
            self._file = sqlite3.connect(path, isolation_level=None)
            self._file.execute("BEGIN IMMEDIATE")
            self._release = self._file.close
        else:
            self._loop = asyncio.Runner()
            server = self._loop.run(asyncpg.connect(self._url))
            self._loop.run(server.execute("BEGIN; LOCK TABLE charge IN ACCESS EXCLUSIVE MODE"))
            self._release = lambda: (self._loop.run(server.close()), self._loop.close())
        return self

    def release(self) -> None:
        """Let go of it before the block ends."""
        release, self._release = self._release, lambda: None
        release()

    def __exit__(self, *_: object) -> None:
        self.release()


@pytest.fixture
def patient(module_vendor, vendor, loop_thread, database_url, tmp_path):
    """A gateway whose books wait for the database, however long it takes: nothing goes to the journal."""
    keys = {"openai_api_key": "sk-openai", "anthropic_api_key": "sk-anthropic"}
    gateway = LiveGateway(
        tmp_path / "data", database_url=database_url, openai_base_url=f"{vendor.url}/v1", anthropic_base_url=vendor.url, **keys
    )
    settings = gateway.settings
    gateway.plane.books = Books(str(settings.database_url), settings.durability, settings.data, grace_s=60)
    with gateway:
        yield Stage(gateway, vendor, loop_thread)


def test_no_end_is_shown_before_the_charge_is_in_the_database(patient):
    """While somebody else has the table, nothing that says "complete" leaves; then the charge is there before it."""
    books = patient.gateway.plane.books
    for name, (ask, steps) in CASES.items():
        with patient.client() as client, Lock(patient.gateway) as lock:
            patient.script(steps)
            client.send(ask(patient))
            assert patient.gateway._until(lambda: books.depth == 1), name
            before = shown_so_far(client)
            assert not any(end in before for end in ENDS), name
            assert not before.endswith(b"0\r\n\r\n"), name
            size = int(steps.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            if "stream" in name:
                assert b"word9" in before, name
            elif "long" in name or name == "sound":
                assert 1000 < len(before) - before.index(b"\r\n\r\n") - 4 < (size or len(LONG)), name
            else:
                assert before == b"", name
            lock.release()
            client._buffer += before
            answered = client.answer()
            row = patient.charge(answered)
            assert (answered.status, row["outcome"]) == (200, "complete"), name
            whole = steps[steps.index(b"\r\n\r\n") + 4 :]
            if "chat stream" in name:
                gone = [chat_usage(), DONE] if "without" in name else [chat_usage()]
                assert answered.body == b"".join(one for one in chat_events() if one not in gone), name
            elif "stream" in name:
                assert answered.body == b"".join(EVENTS[name.split()[1]](10)), name
            else:
                assert answered.body == (LONG if "chunks" in name else whole), name
    assert books.journalled == 0
    assert len(patient.gateway.charges()) == len(CASES)


def shown_so_far(client: RawClient) -> bytes:
    """All that the gateway has written by now: it has nothing more to write until the charge is durable."""
    client._socket.settimeout(0.1)
    got = b""
    with contextlib.suppress(TimeoutError):
        while True:
            got += client._socket.recv(1_000_000)
    client._socket.settimeout(10)
    return got


@pytest.mark.parametrize("wire", EVENTS)
def test_a_broken_stream_too_ends_only_after_its_charge(patient, wire):
    with patient.client() as client, Lock(patient.gateway) as lock:
        patient.script(begun(wire) + b"zz\r\n")
        client.send(patient.raw(wire, stream=True))
        assert patient.gateway._until(lambda: patient.gateway.plane.books.depth == 1)
        before = shown_so_far(client)
        assert b"word3" in before
        assert b"upstream_invalid" not in before and b"api_error" not in before
        lock.release()
        client._buffer += before
        answered = client.answer()
        check_broken_end(wire, [event + b"\n\n" for event in answered.body.split(b"\n\n")[:-1]], "upstream_invalid")
        assert patient.charge(answered)["outcome"] == "upstream_died"


def journalled(data: Path) -> set[str]:
    """The ids of the charges in the journals of a data folder."""
    lines = [line for path in (data / "journal").glob("*.journal") for line in path.read_text().splitlines() if line]
    return {json.loads(line.partition(" ")[2])["id"] for line in lines}


def test_the_journal_is_durable_enough(stage):
    """The database is locked for longer than anybody waits: the end is shown once the charge is in the journal, and posted once."""
    gateway = stage.gateway
    data = gateway.settings.data
    seen = set()
    with Lock(gateway):
        for ask, steps in CASES.values():
            stage.script(steps)
            with stage.client() as client:
                answered = client.ask(ask(stage))
            id_ = answered.header("x-request-id")
            assert id_ in journalled(data)
            seen.add(id_)
            assert stage.row(answered) is None
        assert gateway.plane.books.available
    assert gateway._until(lambda: gateway.plane.books.journalled == 0)
    rows = [row["id"] for row in gateway.charges() if row["id"] in seen]
    assert sorted(rows) == sorted(seen)
    assert journalled(data) == set()


def test_a_client_that_leaves_while_its_charge_waits_is_charged_all_the_same(patient):
    with Lock(patient.gateway) as lock:
        patient.script(PLAIN)
        with patient.client() as client:
            client.send(patient.raw("chat"))
            assert patient.gateway._until(lambda: patient.gateway.plane.books.depth == 1)
        assert patient.gateway._until(lambda: not patient.gateway.plane.connections)
        lock.release()
    [row] = patient.gateway.charges(1)
    assert (row["outcome"], row["input_tokens"], row["output_tokens"], row["estimated"]) == ("complete", 19, 10, 0)
    patient.check_quiet()


# kill -9


class Crowd:
    """Clients that ask one thing after the other until the gateway is gone; `complete` has the ids of the answers they saw whole."""

    def __init__(self, port: int, key: str, size: int) -> None:
        self._port = port
        self._key = key
        self.complete: set[str] = set()
        self.begun: set[str] = set()
        self._threads = [threading.Thread(target=self._ask_on, args=(number,)) for number in range(size)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()

    def _requests(self, number: int) -> list[bytes]:
        streamed = chat(self._key, model="demo-n5d1", stream=True)
        head_lines = (f"x-api-key: {self._key}", "content-type: application/json")
        said = {"model": "demo-n5d1", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}], "stream": True}
        messages = request("POST /v1/messages", *head_lines, body=json.dumps(said).encode())
        asked = {"model": "demo-n5d1", "input": "Hello", "stream": True}
        responses = request("POST /v1/responses", *head_lines, body=json.dumps(asked).encode())
        kinds = [chat(self._key), streamed, messages, responses]
        return kinds[number % 4 :] + kinds[: number % 4]

    def _ask_on(self, number: int) -> None:
        with contextlib.suppress(EOFError, ConnectionError), RawClient(self._port) as client:
            while True:
                for asked in self._requests(number):
                    self._ask(client, asked)

    def _ask(self, client: RawClient, asked: bytes) -> None:
        client.send(asked)
        answered = client.head()
        assert answered.status == 200
        id_ = answered.header("x-request-id")
        self.begun.add(id_)
        if answered.header("content-length"):
            client.exactly(int(answered.header("content-length")))
            self.complete.add(id_)
            return
        while part := client.chunk():
            if any(end in part for end in ENDS):
                self.complete.add(id_)
        self.complete.add(id_)


@pytest.mark.parametrize("locked", [False, True])
def test_kill_9_loses_no_charge_of_an_answer_that_was_seen_whole(tmp_path, locked):
    """Twenty clients, a plain kill -9 in the middle; with the database locked, what they saw last is in the journal alone."""
    data = tmp_path / "data"
    with Program(data, "--demo", "--port", "0") as program:
        port, key = int(program.url.rpartition(":")[2]), program.key
        with Crowd(port, key, 20) as crowd:
            wait_for(lambda: len(crowd.complete) >= 200)
            other = sqlite3.connect(data / "penstock.db", isolation_level=None)
            if locked:
                other.execute("BEGIN IMMEDIATE")
                wait_for(lambda: len(journalled(data)) >= 100)
            program.tell(signal.SIGKILL)
        program.end()
        other.close()
    if locked:
        assert len(journalled(data)) >= 100
    with Program(data, "--demo", "--port", "0") as program, contextlib.closing(sqlite3.connect(data / "penstock.db")) as database:

        def rows() -> dict[str, int]:
            found = database.execute("SELECT id, cost_nano FROM charge WHERE outcome = 'complete'").fetchall()
            assert len(found) == len(dict(found))
            return dict(found)

        program.until(lambda: crowd.complete <= rows().keys())
        charged = rows()
        assert all(charged[id_] > 0 for id_ in crowd.complete)
        assert all(id_ in crowd.begun for id_ in charged if id_ not in crowd.complete) or len(charged) - len(crowd.complete) <= 20
        program.tell()
        assert program.end() == 0


def wait_for(true) -> None:
    """Wait until something is true; it must be within half a minute."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


# memory


def resident(program: Program, name: str) -> int:
    """A line of the process's status, in bytes: VmRSS is what it has now, VmHWM the most it had."""
    lines = Path(f"/proc/{program.process.pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def test_50_megabytes_to_and_from_the_slow_take_little_memory(tmp_path, remote_provider, loop_thread):
    """A slow client of a long answer, then a slow provider of a long upload: what the process grows by is a few buffers."""
    vendor, piece, count = remote_provider, os.urandom(65536), 800
    given = {"OPENAI_API_KEY": "sk-openai", "OPENAI_BASE_URL": f"{vendor.url}/v1"}
    vendor._server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # its connections inherit it
    gate = asyncio.Event()
    sent = received = 0

    async def feed(line) -> None:
        nonlocal sent
        for _ in range(count):
            await line.send(piece)
            sent += 1

    async def read_late(line) -> None:
        nonlocal received
        await gate.wait()
        while received < count * len(piece):
            received += len(await line.reader.read(65536))

    with Program(tmp_path / "data", "--port", "0", **given) as program:
        with RawClient(int(program.url.rpartition(":")[2]), window_bytes=65536) as client:
            lines = (f"authorization: Bearer {program.key}", "content-type: application/json")
            vendor.script(PLAIN)
            assert client.ask(chat(program.key, model="gpt-4o")).status == 200
            before = resident(program, "VmRSS")
            vendor.script(head(200, f"content-length: {count * len(piece)}", kind="application/octet-stream"), feed)
            client.send(request("GET /v1/files/file-1/content", *lines))
            assert client.head().status == 200
            seen = -1
            while seen != sent:
                seen = sent
                loop_thread.run(asyncio.sleep(0.1))
            assert sent < count
            for _ in range(count):
                client.exactly(len(piece))
            vendor.script(read_late, chunk(b""), PLAIN, early=True)
            headers = (lines[0], "content-type: application/octet-stream", f"content-length: {count * len(piece)}")
            client.send(request("POST /v1/files", *headers))
            taken = client.send_some(piece * count)
            assert taken < count * len(piece)
            loop_thread._loop.call_soon_threadsafe(gate.set)
            client.send((piece * count)[taken:])
            wait_for(lambda: received == count * len(piece))
        grown = resident(program, "VmHWM") - before
        assert grown < 8 * 2**20, f"{grown / 2**20:.1f} MiB"
        program.tell()
        assert program.end() == 0

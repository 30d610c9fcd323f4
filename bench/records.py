"""What recording costs, and how long lists, single records and clearing take with five million of them.

    .venv/bin/python bench/records.py [--count 200000] [--many 5000000] [--database sqlite:///...] [--encrypt] [--profile]

First the recorder is fed with exchanges of 1 KB + 1 KB of chat, as the relay would: microseconds of the processor per record, all
threads together and of the loop alone, and what they take on the disk, in percent of the bodies; the latter, too, of exchanges that
have no sentence in common. Then, unless `--many 0`, so many small records are written as a day of traffic, and listed, read, searched,
exported and cleared: milliseconds until done, and how much memory a search and an export take at two lengths, of which the one is five
times the other. Everything is in a temporary folder, which `--folder` may name, but for the database if that is another. Ends with 1
if a figure is beyond its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from sqlalchemy import func, select, text

from penstock.infra import schema
from penstock.infra.database import Database
from penstock.infra.secrets import Secrets
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id
from penstock.records.entries import OPERATOR_SHELF
from penstock.records.filters import Filters
from penstock.records.index import Index
from penstock.records.keeping import DAY_MS, Keeper
from penstock.records.models import PageRow
from penstock.records.pages import make_segment
from penstock.records.policies import Policies
from penstock.records.record import Record
from penstock.records.recorder import Recorder
from penstock.records.redact import without_secrets
from penstock.records.segments import Draft
from penstock.records.service import BOUNDS, Bounds, Records
from penstock.records.vault import Vault, open_store

CPU_LIMIT_US, DISK_LIMIT, LIST_LIMIT_MS, GET_LIMIT_MS, CLEAR_LIMIT_MS = 15.0, 40.0, 50.0, 20.0, 1000.0
MEMORY_LIMIT_MB, GROWTH_LIMIT_MB = 64.0, 8.0
"""Of a search or an export, and of the longer one more than of the shorter one."""
LENGTHS = 100_000, 500_000
"""Records that are searched and exported; in proportion where there are too few."""
NO_BOUNDS = Bounds(sys.maxsize, sys.maxsize, 3600.0)
DIFFERENT = 2000
"""Exchanges that are made in advance and recorded in turns: a group has none of them twice."""
TOGETHER = 200
"""Records between two pauses, which are none of the recorder's cost."""
FULL = 8 * 1024 * 1024
REQUEST_HEADERS = without_secrets(
    [(b"host", b"gateway.example.com"), (b"authorization", b"Bearer placeholder"), (b"content-type", b"application/json"),
     (b"accept", b"application/json"), (b"user-agent", b"OpenAI/Python 1.99.9")] + [(b"x-stainless-%d" % n, b"something") for n in range(6)]
)  # fmt: skip
SENT_LINES = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\naccept-encoding: identity\r\nauthorization: [redacted]\r\n"
    + b"".join(b"%b: %b\r\n" % pair for pair in REQUEST_HEADERS[2:])
)


class Table:
    """What was measured, printed as it comes."""

    def __init__(self) -> None:
        self.well = True

    def row(self, name: str, value: float, unit: str, limit: float | None = None) -> None:
        """One line, and whether it is beyond the limit."""
        beyond = limit is not None and value > limit
        self.well = self.well and not beyond
        print(f"  {name:<64} {value:10.2f} {unit}{'   beyond the limit' if beyond else ''}", flush=True)

    async def timed(self, name: str, act: Callable[[], Awaitable[object]], limit: float | None = None, times: int = 9) -> None:
        """The median and the worst of some times, in milliseconds; the limit is the median's."""
        took = []
        for _ in range(times):
            began_s = time.perf_counter()
            await act()
            took.append((time.perf_counter() - began_s) * 1000)
        self.row(f"{name} (worst {max(took):.1f})", statistics.median(took), "ms", limit)


def prose() -> list[str]:
    """Sentences that somebody has written: those of our own documentation."""
    pages = sorted(Path(__file__).parent.parent.glob("docs/**/*.md"))
    return [line.strip() for page in pages for line in page.read_text().splitlines() if len(line) > 60 and line[0].isalpha()]


def library() -> list[str]:
    """Sentences none of which is there twice: those of the standard library."""
    sources = sorted(Path(json.__file__).parent.parent.glob("[a-z]*/*.py")) + sorted(Path(json.__file__).parent.parent.glob("*.py"))
    lines = dict.fromkeys(
        line.strip(" \t#") for source in sources for line in source.read_text(errors="replace").splitlines() if line.count(" ") > 7
    )
    return [line for line in lines if len(line) > 50 and line[0].isalpha() and not set(line) & set("=[]{}_<>")]


def bodies() -> list[tuple[bytes, bytes]]:
    """Questions and answers of some 1 KB each."""
    sentences, chance = prose(), random.Random(7)
    return [pair_of(number, *(" ".join(chance.sample(sentences, 12))[:size] for size in (850, 680)), chance) for number in range(DIFFERENT)]


def fresh_bodies() -> list[tuple[bytes, bytes]]:
    """The same of sentences that do not come again."""
    sentences, chance = library(), random.Random(7)
    chance.shuffle(sentences)
    text = " ".join(sentences)
    return [pair_of(at, text[at : at + 850], text[at + 850 : at + 1530], chance) for at in range(0, len(text) - 1530, 1530)]


def pair_of(number: int, asked: str, said: str, chance: random.Random) -> tuple[bytes, bytes]:
    """A request and its answer."""
    request = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "Be helpful."}, {"role": "user", "content": asked}],
    }
    answer = {
        "id": f"chatcmpl-{chance.randbytes(15).hex()}", "object": "chat.completion", "created": 1_700_000_000 + number,
        "model": "gpt-4o-mini-2024-07-18", "system_fingerprint": f"fp_{chance.randbytes(5).hex()}",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 213, "completion_tokens": number % 400, "total_tokens": 213 + number % 400},
    }  # fmt: skip
    return json.dumps(request).encode(), json.dumps(answer).encode()


def made_record(number: int, pair: tuple[bytes, bytes], at_ms: int, account_id: str | None = "acc_1") -> Record:
    """A record as the relay makes it."""
    request, answer = pair
    headers = [
        (b"date", b"Sun, 22 Nov 2026 16:00:00 GMT"), (b"content-type", b"application/json"), (b"x-request-id", b"req_%020d" % number),
        (b"openai-processing-ms", b"%d" % (number % 900)), (b"server", b"cloudflare"),
    ]  # fmt: skip
    head = SENT_LINES + b"content-length: %d\r\n\r\n" % len(request)
    return Record(
        new_id("req", at_ms), at_ms, f"key_{number % 20}", "POST", "/v1/chat/completions", "chat_completions", "gpt-4o-mini", "gpt-4o-mini",
        REQUEST_HEADERS, request, 200 if number % 50 else 429, headers, [answer], 812, False, "complete", False, False, "openai", (),
        account_id, True, True, 31_250 + number, 213, number % 400, False, (), (), None, head, None, False, None, None, False,
        (120, 80, 60, 900, 310_000, 400_000, 90),
    )  # fmt: skip


async def feed(table: Table, folder: Path, database: Database, vault: Vault, count: int, profile: cProfile.Profile | None) -> None:
    """What the recorder takes of the processor, and of the disk."""
    pairs = bodies()
    recorder = Recorder(database, vault, 2 * FULL)
    await recorder.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    began_s = time.process_time()
    for number in range(count):
        made_record(number, pairs[number % DIFFERENT], clock.now_ms())
        if number % TOGETHER == TOGETHER - 1:
            await asyncio.sleep(0.001)
    making_s = time.process_time() - began_s
    if profile:
        profile.enable()
    began_s, began_loop_s = time.process_time(), time.thread_time()
    for number in range(count):
        recorder.put(made_record(number, pairs[number % DIFFERENT], clock.now_ms()))
        if number % TOGETHER == TOGETHER - 1:
            await asyncio.sleep(0.001 if recorder.size_bytes < FULL else 0.05)
    await recorder.flush(60)
    spent_s, spent_loop_s = time.process_time() - began_s - making_s, time.thread_time() - began_loop_s - making_s
    if profile:
        profile.disable()
        profile.print_stats("tottime")
    raw = sum(len(part) for number in range(count) for part in pairs[number % DIFFERENT])
    kept = sum(path.stat().st_size for path in (folder / "records").rglob("*.zst"))
    table.row("recorded: the processor, all threads", spent_s / count * 1e6, "us", CPU_LIMIT_US)
    table.row("recorded: the processor, the loop alone", spent_loop_s / count * 1e6, "us")
    table.row("on the disk: segments", 100 * kept / raw, "% of the bodies", DISK_LIMIT)
    if database.path is not None:
        rows = sum(path.stat().st_size for path in database.path.parent.glob(f"{database.path.name}*"))
        table.row("on the disk: the database", 100 * rows / raw, "% of the bodies")
    table.row("dropped", recorder.dropped, "records", 0)
    await recorder.stop()
    async with database.session() as session:
        for name in ("record_page", "record_entries", "record_segment"):
            await session.execute(text(f"DELETE FROM {name}"))


def weigh(table: Table, vault: Vault) -> None:
    """What text takes on the disk that has nothing in common with what was said before."""
    draft, pairs = Draft(), fresh_bodies()
    for number, pair in enumerate(pairs):
        draft.add(made_record(number, pair, clock.now_ms()))
    kept, raw = len(vault.pack("seg_1", draft.close()).data), sum(len(part) for pair in pairs for part in pair)
    table.row(f"on the disk: {len(pairs):,} exchanges that repeat no sentence", 100 * kept / raw, "% of the bodies", DISK_LIMIT)


async def fill(table: Table, database: Database, vault: Vault, count: int, day_ms: int) -> list[str]:
    """A day of small records, of 10,000 accounts one of which has few; some of their ids."""
    pair = (b'{"model":"gpt-4o-mini","messages":[]}', b'{"id":"chatcmpl-1","choices":[]}')
    index, kept = Index(database), []
    began_s = time.perf_counter()
    rare = set(range(0, count, max(1, count // 20)))
    draft = Draft()
    for number in range(count):
        at_ms = day_ms + number * DAY_MS // count
        record = made_record(number, pair, at_ms, "acc_rare" if number in rare else "acc_1")
        record.for_owner = number in rare
        if number in rare:
            kept.append(record.id)
        draft.add(record)
        if draft.is_full or number == count - 1:
            segment = await asyncio.to_thread(make_segment, vault, draft, new_id("seg", at_ms), at_ms)
            await vault.put(segment.path, segment.data)
            await index.add(segment)
            draft = Draft()
    index.close()
    table.row(f"{count:,} records written, each", (time.perf_counter() - began_s) / count * 1e6, "us")
    async with database.session(read_only=True) as session:
        table.row("pages", float(await session.scalar(select(func.count()).select_from(PageRow)) or 0), "rows")
    return kept


def resident_mb(line: str) -> float:
    """What a line of the kernel's says of this process's memory: `VmRSS`, what it has, or `VmHWM`, the most since `forget_peak`."""
    status = dict(row.split(":") for row in Path("/proc/self/status").read_text().splitlines())
    return int(status[line].split()[0]) / 1024


def forget_peak() -> None:
    """Have `VmHWM` begin again from what there is."""
    Path("/proc/self/clear_refs").write_text("5")


async def lengths(table: Table, records: Records, day_ms: int, count: int) -> None:
    """How much memory a search that finds nothing and an export take, of some records and of five times as many."""

    async def searched(until_ms: int) -> None:
        assert not (await records.list(OPERATOR_SHELF, Filters(text="nothing like it", until_ms=until_ms))).entries

    async def exported(until_ms: int) -> None:
        async for opened in records.read(OPERATOR_SHELF, Filters(until_ms=until_ms)):
            assert opened.record is not None

    for name, act in (("searched", searched), ("exported", exported)):
        await act(day_ms + DAY_MS // 100)
        taken = []
        for length in (min(length, count * length // LENGTHS[1]) for length in LENGTHS):
            gc.collect()
            forget_peak()
            before_mb, began_s = resident_mb("VmRSS"), time.perf_counter()
            await act(day_ms + DAY_MS * length // count)
            took_s = time.perf_counter() - began_s
            taken.append(resident_mb("VmHWM") - before_mb)
            table.row(f"{length:,} records {name}, in {took_s:.1f} s: memory", taken[-1], "MiB", MEMORY_LIMIT_MB)
        table.row(f"memory that grew with five times as many {name}", taken[1] - taken[0], "MiB", GROWTH_LIMIT_MB)


async def use(table: Table, records: Records, kept: list[str], day_ms: int) -> None:
    """Lists, single records, a search."""
    chance = random.Random(7)

    async def page(**wanted: object) -> None:
        at_ms = day_ms + chance.randrange(DAY_MS)
        await records.list(OPERATOR_SHELF, Filters(until_ms=at_ms, **wanted))  # type: ignore[arg-type]

    async def of_the_rare() -> None:
        assert len((await records.list("acc_rare")).entries) == len(kept)

    async def one() -> None:
        assert (await records.get(OPERATOR_SHELF, chance.choice(kept))).record is not None

    async def none() -> None:
        try:
            await records.get(OPERATOR_SHELF, new_id("req", day_ms + chance.randrange(DAY_MS)))
        except PenstockError:
            return
        raise AssertionError

    await table.timed("a page of a list, the latest", lambda: records.list(OPERATOR_SHELF), LIST_LIMIT_MS)
    await table.timed("a page of a list, from a moment on", page, LIST_LIMIT_MS, 20)
    await table.timed("a page of a list, of a status", lambda: page(status=429), LIST_LIMIT_MS, 20)
    await table.timed("a page of a list, of a model that there is not", lambda: page(model="claude*"), LIST_LIMIT_MS)
    await table.timed("a page of a list, of an account with few", of_the_rare, LIST_LIMIT_MS, 20)
    await table.timed("one record", one, GET_LIMIT_MS, 50)
    await table.timed("one record that there is not", none, GET_LIMIT_MS, 20)
    await table.timed("a search that finds nothing, until it is cut short", lambda: page(text="nothing like it"), None, 3)


async def clear(table: Table, records: Records) -> None:
    """Clear the day."""
    began_s = time.perf_counter()
    count = await records.clear(OPERATOR_SHELF)
    table.row(f"{count:,} records cleared", (time.perf_counter() - began_s) * 1000, "ms", CLEAR_LIMIT_MS)


async def main() -> None:
    """Both parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--many", type=int, default=5_000_000)
    parser.add_argument("--database", default="")
    parser.add_argument("--folder", default=None)
    parser.add_argument("--encrypt", action="store_true")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    table = Table()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        database = Database(given.database or f"sqlite:///{folder}/penstock.db")
        await schema.migrate(database)
        vault = Vault(open_store(folder), Secrets(os.urandom(32)), encrypt=given.encrypt)
        if given.count:
            weigh(table, vault)
            await feed(table, folder, database, vault, given.count, cProfile.Profile() if given.profile else None)
        if given.many:
            policies, keeper = Policies(database), Keeper(database, vault)
            recorder = Recorder(database, vault, FULL)
            records, unbounded = (Records(database, vault, recorder, policies, keeper, bounds) for bounds in (BOUNDS, NO_BOUNDS))
            day_ms = clock.now_ms() - DAY_MS
            await use(table, records, await fill(table, database, vault, given.many, day_ms), day_ms)
            await lengths(table, unbounded, day_ms, given.many)
            await clear(table, records)
        await database.close()
    sys.exit(not table.well)


if __name__ == "__main__":
    uvloop.run(main())

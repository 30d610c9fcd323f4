"""A thousand channels that serve two thousand models each: how long routing takes, and how long the loop stands still for a change.

    .venv/bin/python bench/routing.py [--channels 1000] [--models 2000] [--no-rows]

First what is in memory: making lanes, picking from them, with and without something to stick to, while channels are broken; and a
request for a model that was not asked for before. Then, unless `--no-rows`, the same channels as rows of a SQLite database: they are
read, and one of them and then all of them are changed, while a task looks how long it is kept waiting. Prints the median and the
worst time, of the processor unless it says "until"; ends with 1 if one is beyond its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvloop

from penstock.accounts.identity import CLI
from penstock.channels.door import ChannelDoor
from penstock.channels.drafts import Draft
from penstock.channels.service import Channels, Given
from penstock.infra import schema
from penstock.infra.database import Database
from penstock.infra.revisions import Feed
from penstock.infra.secrets import Secrets
from penstock.kit.pulse import Pulse
from penstock.kit.tasks import spawn
from penstock.relay.route import find_lanes
from penstock.settings import Settings
from penstock.upstream.breaker import Breakers, Fault
from penstock.upstream.channel import PLAIN, Channel
from penstock.upstream.client.pool import Limits, Pool
from penstock.upstream.lane import Lane
from penstock.upstream.lanes import Lanes
from penstock.upstream.names import Names
from penstock.upstream.providers import PROVIDERS
from penstock.upstream.sticky import stickiness

PICK_LIMIT_US, PAUSE_LIMIT_MS = 5.0, 5.0
TRIED = 3
TURNS, REPEATS = 15, 2000
GONE = Fault("status", 401, "401 Unauthorized")
HEADERS = b"accept: application/json\r\nuser-agent: OpenAI/Python 1.99.9\r\n" + b"".join(
    b"x-stainless-%d: something\r\n" % n for n in range(8)
)
TEXT = "A river comes down from the mountains, and somebody has to decide how much of it goes through the turbines. "


class Table:
    """What was measured, printed as it comes."""

    def __init__(self) -> None:
        self.well = True

    def row(self, name: str, times: list[float], unit: str, limit: float | None = None) -> None:
        """One line: the median and the worst of some times; the median counts for microseconds, the worst for pauses."""
        median, worst = statistics.median(times), max(times)
        beyond = limit is not None and (median if unit == "us" else worst) > limit
        self.well = self.well and not beyond
        print(f"  {name:<58} {median:9.2f} {worst:9.2f} {unit}{'   beyond the limit' if beyond else ''}")

    def each(self, name: str, call: Callable[[int], object], limit: float | None = None) -> None:
        """The time of one call of many, in microseconds."""
        times = []
        for _ in range(TURNS):
            began_ns = time.thread_time_ns()
            for number in range(REPEATS):
                call(number)
            times.append((time.thread_time_ns() - began_ns) / REPEATS / 1000)
        self.row(name, times, "us", limit)

    def once(self, name: str, calls: list[Callable[[], object]], limit: float | None = None) -> None:
        """The time of calls that differ, in milliseconds."""
        times = []
        for call in calls:
            began_ns = time.thread_time_ns()
            call()
            times.append((time.thread_time_ns() - began_ns) / 1e6)
        self.row(name, times, "ms", limit)


def settle_memory() -> None:
    """Have the garbage collector do as it does in the program."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def make_channels(count: int, models: int) -> tuple[Channel, ...]:
    """Channels of three weights and two priorities."""
    pulse, tls = Pulse(), ssl.create_default_context()
    names = Names([(f"model-{number}", None) for number in range(models)])
    found = []
    for number in range(count):
        url = f"https://host-{number}.example/v1"
        terms = replace(PLAIN, id=f"chn_{number}", credential_id=f"crd_{number}", weight=1 + number % 3, priority=number % 2)
        pool = Pool(Channel.origin(url), Limits(), pulse, tls)
        found.append(Channel(f"channel-{number}", PROVIDERS["openai"], url, pool, secret="sk-placeholder", names=names, terms=terms))
    return tuple(found)


def break_some(channels: tuple[Channel, ...], share: float, now_s: float) -> None:
    """Have so many of them be broken, and the others well."""
    broken = round(len(channels) * share)
    for number, channel in enumerate(channels):
        channel.breakers = Breakers()
        if number < broken:
            channel.breakers.failed("model-1", GONE, now_s)


def in_memory(table: Table, count: int, models: int) -> None:
    """Lanes, and the relay's way to them."""
    channels = make_channels(count, models)
    settle_memory()
    lanes = [Lane(channel, "model-1", "model-1") for channel in channels]
    now_s = time.time()
    table.once("lanes made, the first of these channels", [lambda: Lanes(lanes)], PAUSE_LIMIT_MS)
    every = Lanes(lanes)
    table.once("lanes made, for each further model", [lambda: Lanes(lanes)] * 100, PAUSE_LIMIT_MS)
    few, alone = Lanes(lanes[:3]), Lanes(lanes[:1])
    keys = [b"key_%d\0conversation" % number for number in range(REPEATS)]
    table.each("picked, by weight", lambda _: every.pick(TRIED, None, now_s), PICK_LIMIT_US)
    table.each("picked, by what it sticks to", lambda number: every.pick(TRIED, keys[number], now_s), PICK_LIMIT_US)
    table.each("picked of three, by weight", lambda _: few.pick(TRIED, None, now_s), PICK_LIMIT_US)
    table.each("picked of three, by what it sticks to", lambda number: few.pick(TRIED, keys[number], now_s), PICK_LIMIT_US)
    table.each("the only one", lambda _: alone.pick(TRIED, None, now_s), PICK_LIMIT_US)
    for share in (0.1, 0.5, 0.95, 1.0):
        break_some(channels, share, now_s)
        limit = PICK_LIMIT_US if share < 0.5 else None
        table.each(f"picked, by weight, {share:.0%} broken", lambda _: every.pick(TRIED, None, now_s), limit)
        table.each(f"picked, by what it sticks to, {share:.0%} broken", lambda number: every.pick(TRIED, keys[number], now_s), limit)
    break_some(channels, 0, now_s)
    messages = b'{"model":"model-1","messages":[{"role":"user","content":"%b"}]}'
    for name, size in (("a short request", 1), ("10 KB", 100), ("100 KB", 1000)):
        body = messages % (TEXT * size).encode()
        table.each(f"what it sticks to: {name}", lambda _, body=body: stickiness(body, HEADERS, "model-1", "key_1"), 3.0)
    catalog = SimpleNamespace(price=lambda *_: None)
    plane: Any = SimpleNamespace(channels=channels, rewrites={}, catalog=catalog, routes={})
    exchange: Any = SimpleNamespace(wire=SimpleNamespace(name="chat"), target=SimpleNamespace(path="/v1/chat/completions"))
    asked = [lambda number=number: find_lanes("chat", f"model-{number}", exchange, plane) for number in range(min(models, 200))]
    table.once("a model that was not asked for before", asked, PAUSE_LIMIT_MS)


async def longest_pause_ms(stop: asyncio.Event) -> float:
    """How long the loop worked at most before it let others have their turn, until told to stop."""
    longest_ns = 0
    while not stop.is_set():
        began_ns = time.thread_time_ns()
        await asyncio.sleep(0)
        longest_ns = max(longest_ns, time.thread_time_ns() - began_ns)
    return longest_ns / 1e6


async def watched(table: Table, name: str, changed: Callable[[], bool], limit: float | None) -> None:
    """Wait until something has changed, and print how long the loop stood still at most meanwhile, and how long it all took."""
    stop = asyncio.Event()
    pausing = spawn(longest_pause_ms(stop), name="pauses", awaited=True)
    began_s = time.perf_counter()
    async with asyncio.timeout(60):
        while not changed():  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.005)
    took_ms = (time.perf_counter() - began_s) * 1000
    stop.set()
    table.row(f"{name}: pause", [await pausing], "ms", limit)
    table.row(f"{name}: until it counts", [took_ms], "ms")


async def as_rows(table: Table, count: int, models: int, folder: Path) -> None:
    """The same as rows, read and changed."""
    database = Database(f"sqlite:///{folder}/penstock.db")
    await schema.migrate(database)
    secrets = Secrets(os.urandom(32))
    service = Channels(database, secrets)
    pairs = [(f"model-{number}", None) for number in range(models)]
    ids = []
    for begin in range(0, count, 50):
        async with service.writing() as session:
            for number in range(begin, min(begin + 50, count)):
                draft = Draft(f"channel-{number}", "openai", f"https://host-{number}.example/v1", pairs, weight=1 + number % 3)
                ids.append((await service.add(session, CLI, draft, [Given("sk-placeholder")])).row.id)
    feed = Feed(database)
    door = ChannelDoor(Settings(data=folder, openai_api_key="sk-placeholder"), database, secrets, Pulse(), feed)
    began_s = time.perf_counter()
    await door.start()
    table.row("rows read at start", [(time.perf_counter() - began_s) * 1000], "ms")
    await feed.start()
    await asyncio.sleep(1)
    settle_memory()
    seen = door.channels
    await service.change(CLI, ids[0], {"weight": 7})
    await watched(table, "one channel is changed", lambda: door.channels is not seen, PAUSE_LIMIT_MS)
    await asyncio.sleep(0.5)
    seen = door.channels
    async with service.writing() as session:
        for channel_id in ids:
            await service.apply(session, CLI, channel_id, {"weight": 9})
    await watched(table, "all channels are changed", lambda: door.channels is not seen, PAUSE_LIMIT_MS)
    await feed.stop()
    await door.stop()
    await database.close()


async def main() -> None:
    """Both parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--channels", type=int, default=1000)
    parser.add_argument("--models", type=int, default=2000)
    parser.add_argument("--no-rows", action="store_true")
    given = parser.parse_args()
    table = Table()
    print(f"{given.channels:,} channels of {given.models:,} models: median and worst")
    in_memory(table, given.channels, given.models)
    if not given.no_rows:
        with tempfile.TemporaryDirectory() as folder:
            await as_rows(table, given.channels, given.models, Path(folder))
    sys.exit(not table.well)


if __name__ == "__main__":
    uvloop.run(main())

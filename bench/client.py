"""What wrk cannot do: see every gap of many streams, read slowly, hold streams open. Prints one JSON object.

client.py streams URL KEY --clients 2048 --shape n64d0.02 --seconds 6
client.py slow URL KEY --shape n50000s4000 --rate 20000000
client.py idle URL KEY --clients 1000 --shape n1d60        (holds the streams until its stdin is closed)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import uvloop

CONNECTING = 64
"""Connections that are opened at the same time."""
MESSAGES = '[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"Write a poem about rivers. [{}]"}}]'


@dataclass
class Plan:
    """Where to go and what to ask for."""

    host: str
    port: int
    request: bytes
    events: int


@dataclass
class Score:
    """What all streams together have seen."""

    durations_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    gap_s: float = 0.0
    failed: int = 0


class Streams(asyncio.Protocol):
    """One connection that asks for one stream after the other until `until_s`, and never again after a failure."""

    def __init__(self, plan: Plan, score: Score, until_s: float) -> None:
        self.plan, self.score, self.until_s = plan, score, until_s
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self.loop.create_future()
        self.first: asyncio.Future[None] = self.loop.create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def ask(self) -> None:
        self.began_s = self.loop.time()
        self.last_s = 0.0
        self.events, self.gap_s, self.tail = 0, 0.0, b""
        self.transport.write(self.plan.request)

    def data_received(self, data: bytes) -> None:
        now_s = self.loop.time()
        if not self.last_s:
            self.score.first_s.append(now_s - self.began_s)
            if not self.first.done():
                self.first.set_result(None)
            if not data.startswith(b"HTTP/1.1 200"):
                self.fail()
                return
        elif now_s - self.last_s > self.gap_s:
            self.gap_s = now_s - self.last_s
        self.last_s = now_s
        # An event may be cut by a read anywhere: five bytes of the last one are looked at again, too few to count it twice.
        joined = self.tail[-5:] + data
        self.events += joined.count(b"data: ")
        self.tail = joined[-8:]
        if self.tail.endswith(b"0\r\n\r\n") and self.events > self.plan.events:
            self.complete(now_s)

    def complete(self, now_s: float) -> None:
        self.score.durations_s.append(now_s - self.began_s)
        self.score.gap_s = max(self.score.gap_s, self.gap_s)
        if now_s < self.until_s:
            self.ask()
        else:
            self.ended.set_result(None)
            self.transport.close()

    def fail(self) -> None:
        if not self.ended.done():
            self.score.failed += 1
            self.ended.set_result(None)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail()
        if not self.first.done():
            self.first.set_result(None)


async def connected(plan: Plan, score: Score, clients: int, seconds: float) -> list[Streams]:
    """Clients whose connections are open; they stop asking `seconds` from now."""
    loop = asyncio.get_running_loop()
    turn = asyncio.Semaphore(CONNECTING)

    async def connect() -> Streams:
        async with turn:
            return (await loop.create_connection(lambda: Streams(plan, score, 0.0), plan.host, plan.port))[1]

    streams = await asyncio.gather(*(connect() for _ in range(clients)))
    for stream in streams:
        stream.until_s = loop.time() + seconds
    return streams


async def run_streams(plan: Plan, clients: int, seconds: float) -> dict[str, float]:
    """All clients begin at once and ask again and again; the largest gap between two reads of any stream is the figure."""
    score = Score()
    streams = await connected(plan, score, clients, seconds)
    began_s = asyncio.get_running_loop().time()
    for stream in streams:
        stream.ask()
    await asyncio.wait([stream.ended for stream in streams], timeout=seconds + 60)
    durations = sorted(score.durations_s) or [0.0]
    return {
        "streams": len(score.durations_s),
        "seconds": asyncio.get_running_loop().time() - began_s,
        "failed": score.failed + sum(not stream.ended.done() for stream in streams),
        "gap_s": score.gap_s,
        "first_s": max(score.first_s, default=0.0),
        "p50_s": durations[len(durations) // 2],
        "p99_s": durations[len(durations) * 99 // 100],
    }


async def run_idle(plan: Plan, clients: int) -> dict[str, float]:
    """Open the streams, say so once each has its first event, and keep them until stdin is closed."""
    score = Score()
    streams = await connected(plan, score, clients, 0)
    for start in range(0, clients, CONNECTING):
        batch = streams[start : start + CONNECTING]
        for stream in batch:
            stream.ask()
        await asyncio.wait([stream.first for stream in batch], timeout=30)
    print(json.dumps({"open": clients - score.failed}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    return {"failed": score.failed}


def run_slow(plan: Plan, rate: int) -> dict[str, float]:
    """Read nothing for two seconds, then at `rate` bytes a second to the end."""
    with socket.create_connection((plan.host, plan.port)) as client:
        client.sendall(plan.request)
        time.sleep(2)
        began_s, size, tail = time.monotonic(), 0, b""
        while not tail.endswith(b"0\r\n\r\n"):
            data = client.recv(65536)
            if not data:
                break
            size += len(data)
            tail = (tail + data)[-8:]
            time.sleep(max(0.0, began_s + size / rate - time.monotonic()))
        return {"size_bytes": size, "failed": int(not tail.endswith(b"0\r\n\r\n")), "seconds": time.monotonic() - began_s}


def planned(url: str, key: str, shape: str) -> Plan:
    """The plan for one shape of stream."""
    parts = urlsplit(url)
    body = f'{{"model":"gpt-4o","messages":{MESSAGES.format(shape)},"temperature":0.7,"stream":true}}'
    head = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        f"x-portkey-provider: openai\r\nx-portkey-custom-host: http://127.0.0.1:9100/v1\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return Plan(parts.hostname or "", parts.port or 80, (head + body).encode(), int(re.match(r"n(\d+)", shape)[1]))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("streams", "slow", "idle"))
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("--shape", required=True)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=int, default=20_000_000, help="bytes a second")
    args = parser.parse_args()
    plan = planned(args.url, args.key, args.shape)
    if args.what == "slow":
        print(json.dumps(run_slow(plan, args.rate)))
    elif args.what == "idle":
        print(json.dumps(uvloop.run(run_idle(plan, args.clients))))
    else:
        print(json.dumps(uvloop.run(run_streams(plan, args.clients, args.seconds))))


if __name__ == "__main__":
    main()

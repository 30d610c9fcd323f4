"""What the tests of wires share: a stream read as the relay reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from penstock.kit.sse import split
from penstock.upstream.usage import Usage
from penstock.upstream.wires.wire import Ask, StreamMeter, Verdict


@dataclass
class Streamed:
    """What became of a stream: what was shown at once, what was held back as the end of it, and the usage."""

    shown: bytes
    held: bytes
    usage: Usage
    estimated: bool
    read: int


@pytest.fixture
def stream():
    """Reads a stream: the first two events and those with a mark are read, the others are skipped."""

    def read_stream(meter: StreamMeter, data: bytes) -> Streamed:
        shown, held, read = [], [], 0
        for index, event in enumerate(split(data)):
            if held:
                held.append(event)
                continue
            if index >= 2 and not any(mark in event for mark in meter.marks):
                meter.skip(len(event), 1)
                shown.append(event)
                continue
            read += 1
            verdict = meter.event(event.rstrip(b"\r\n"))
            if verdict is Verdict.LAST:
                held.append(event)
            elif verdict is Verdict.PASS:
                shown.append(event)
        usage, estimated = meter.usage()
        return Streamed(b"".join(shown), b"".join(held), usage, estimated, read)

    return read_stream


@pytest.fixture
def sse():
    """Writes a stream: `sse({...}, {...})`, compact or spaced, with or without event names."""

    def write(*objects: dict | str, names: bool = False, compact: bool = True, newline: str = "\n") -> bytes:
        separators = (",", ":") if compact else None
        events = []
        for item in objects:
            if isinstance(item, str):
                events.append(f"data: {item}\n\n")
                continue
            name = f"event: {item['type']}\n" if names else ""
            events.append(f"{name}data: {json.dumps(item, separators=separators)}\n\n")
        return "".join(events).replace("\n", newline).encode()

    return write


@pytest.fixture
def ask():
    """An ask with what a test does not care about filled in."""

    def make(**facts) -> Ask:
        return Ask(**{"model": "some-model", "stream": True, "input_size": 400} | facts)

    return make

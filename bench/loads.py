"""Loads: one run of wrk or of client.py against one program, and what it used meanwhile."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from programs import HERE, Program

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
SETTLE_S = 0.5
"""Work that is put off (records, pools) belongs to the run: its CPU is read this long after the last answer."""


@dataclass
class Run:
    """What one run has shown. Times in seconds except where the name says otherwise."""

    requests: int
    per_s: float
    cpu_us: float
    """CPU of the program per request."""
    failed: int
    p50_s: float
    p99_s: float
    gap_s: float = 0.0


def wrk(program: Program, clients: int, seconds: float, *shape: str) -> Run:
    """`seconds` of wrk with `clients` connections; `shape` as load.lua takes it."""
    command = [
        "wrk",
        "-t1",
        f"-c{clients}",
        f"-d{round(seconds)}s",
        "--timeout",
        "60s",
        "--latency",
        "-s",
        str(HERE / "load.lua"),
        program.url,
    ]
    before_s = program.cpu_s()
    text = subprocess.run([*command, "--", program.key, *shape], capture_output=True, text=True, check=True).stdout
    time.sleep(SETTLE_S)
    used_s = program.cpu_s() - before_s
    count = int(_found(r"(\d+) requests in", text) or 0)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = int(_found(r"Non-2xx or 3xx responses: (\d+)", text) or 0) + sum(int(number) for number in (errors.groups() if errors else ()))
    return Run(
        requests=count,
        per_s=float(_found(r"Requests/sec:\s+([\d.]+)", text) or 0),
        cpu_us=used_s * 1e6 / max(count, 1),
        failed=failed,
        p50_s=_seconds(_found(r"^\s+50%\s+(\S+)", text)),
        p99_s=_seconds(_found(r"^\s+99%\s+(\S+)", text)),
    )


def streams(program: Program, clients: int, seconds: float, shape: str) -> Run:
    """Streams whose every gap is seen; those that have begun within `seconds` are read to their end, so that none is paid for in vain."""
    before_s = program.cpu_s()
    seen = _client("streams", program, shape, "--clients", str(clients), "--seconds", str(seconds))
    time.sleep(SETTLE_S)
    used_s = program.cpu_s() - before_s
    count = int(seen["streams"])
    return Run(
        count, count / seen["seconds"], used_s * 1e6 / max(count, 1), int(seen["failed"]), seen["p50_s"], seen["p99_s"], seen["gap_s"]
    )


def slow_reader_kb(program: Program, shape: str, rate: int) -> int:
    """How far the resident memory of the program rises while one client reads one long stream slowly."""
    before_kb, peak_kb, over = program.resident_kb(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak_kb
        while not over.wait(0.05):
            peak_kb = max(peak_kb, program.resident_kb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        seen = _client("slow", program, shape, "--rate", str(rate))
    finally:
        over.set()
        watcher.join()
    if seen["failed"]:
        raise SystemExit(f"{program.name}: the long stream broke off after {seen['size_bytes']:.0f} bytes")
    return peak_kb - before_kb


def idle_stream_kb(program: Program, clients: int) -> float:
    """The resident memory of the program per stream that is open and silent: that of the second `clients`, beside the first."""
    with _open_streams(program, clients):
        before_kb = program.resident_kb()
        with _open_streams(program, clients):
            return (program.resident_kb() - before_kb) / clients


@contextmanager
def _open_streams(program: Program, clients: int) -> Iterator[None]:
    command = [sys.executable, str(HERE / "client.py"), "idle", program.url, program.key, "--shape", "n1d60", "--clients", str(clients)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        opened = json.loads(client.stdout.readline())["open"]
        if opened != clients:
            raise SystemExit(f"{program.name}: only {opened} of {clients} idle streams could be opened")
        time.sleep(1)
        yield
        client.communicate()


def _client(what: str, program: Program, shape: str, *options: str) -> dict[str, float]:
    command = [sys.executable, str(HERE / "client.py"), what, program.url, program.key, "--shape", shape, *options]
    seen: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return seen


def _found(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else None


def _seconds(text: str | None) -> float:
    found = re.fullmatch(r"([\d.]+)([a-z]+)", text or "")
    return float(found[1]) * UNITS[found[2]] if found else 0.0

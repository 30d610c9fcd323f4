from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from penstock.relay.metrics import Metrics
from penstock.relay.tally import Tally

WORKER = """
import asyncio, sys
from pathlib import Path
from penstock.relay.metrics import Metrics
from penstock.relay.tally import Tally

async def main():
    metrics = Metrics()
    metrics.gauge("open_holds", lambda: 1)
    tally = Tally(metrics, Path(sys.argv[1]))
    for _ in range(int(sys.argv[2])):
        metrics.exchange_ended("chat", 200, "complete", 100, 0, None, 0)
    await tally.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


def count(page: bytes, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", page.decode(), re.MULTILINE)
    return float(found[1]) if found else 0


REQUESTS = 'penstock_requests_total{status="200",wire="chat"}'


@pytest.fixture
def worker(tmp_path):
    """Starts another worker process that has counted `number` requests; `stop` kills it as a crash would."""
    running: list[subprocess.Popen[str]] = []

    def start(number: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in running:
        stop(process)


def stop(process):
    process.kill()
    process.communicate()


async def test_the_page_is_the_sum_over_workers_and_the_dead_still_count(tmp_path, worker):
    other = worker(3)
    metrics = Metrics()
    metrics.gauge("open_holds", lambda: 1)
    tally = Tally(metrics, tmp_path)
    await tally.start()
    metrics.exchange_ended("chat", 200, "complete", 100, 0, None, 0)
    page = tally.page()
    assert count(page, REQUESTS) == 4
    assert count(page, "penstock_workers") == 2
    assert count(page, "penstock_open_holds") == 2
    stop(other)
    assert count(tally.page(), REQUESTS) == 4
    another = worker(10)
    assert count(tally.page(), REQUESTS) == 14
    assert not (tmp_path / f"metrics-{other.pid}").exists()
    assert (tmp_path / f"metrics-{another.pid}").exists()
    await tally.stop()


async def test_counters_survive_a_restart(tmp_path):
    for expected in (1, 2, 3):
        metrics = Metrics()
        tally = Tally(metrics, tmp_path)
        await tally.start()
        metrics.exchange_ended("chat", 200, "complete", 100, 0, None, 0)
        assert count(tally.page(), REQUESTS) == expected
        await tally.stop()


async def test_a_damaged_file_or_one_of_another_version_is_left_out_and_cleared(tmp_path):
    (tmp_path / "metrics-999999999").write_bytes(b"\x81")
    metrics = Metrics()
    tally = Tally(metrics, tmp_path)
    await tally.start()
    (tmp_path / "metrics-999999998").write_bytes(b"\xff\x00")
    assert count(tally.page(), "penstock_workers") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "metrics-999999998", f"metrics-{os.getpid()}", "metrics-past"}
    await tally.stop()


async def test_stopping_twice_or_before_the_start_is_harmless(tmp_path):
    tally = Tally(Metrics(), tmp_path)
    await tally.stop()
    await tally.start()
    await tally.stop()
    await tally.stop()

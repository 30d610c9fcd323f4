"""The sender: bounded in memory and in time, whatever the collector does, and one bad exchange harms no other."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time

from penstock.settings import Settings
from penstock.telemetry import sender
from penstock.telemetry.sender import CONTENT_QUEUE_LIMIT, QUEUE_LIMIT, Telemetry, is_installed


async def sent(telemetry, *seen):
    """Start, hand over, and stop; how long stopping has taken."""
    await telemetry.start()
    for one in seen:
        telemetry.put(tuple(one))
    began_s = time.monotonic()
    await telemetry.stop()
    return time.monotonic() - began_s


async def test_what_waits_is_sent_before_the_end(seen, collector):
    telemetry = Telemetry(Settings(otel_endpoint=collector.url))
    await sent(telemetry, *[seen(id=f"req_{number}") for number in range(100)])
    ids = {span["facts"]["penstock.request_id"] for span in collector.servers(100)}
    assert len(ids) == 100 and telemetry.dropped == telemetry.depth == 0


async def test_a_collector_that_hangs_does_not_keep_the_end_waiting(seen, collector):
    collector.delay_s = 30
    telemetry = Telemetry(Settings(otel_endpoint=collector.url))
    assert await sent(telemetry, *[seen()] * 200) < 10
    assert telemetry.dropped == 400


async def test_what_cannot_be_told_is_counted_and_harms_no_other(seen, collector, caplog):
    telemetry = Telemetry(Settings(otel_endpoint=collector.url))
    await sent(telemetry, seen(usage="nonsense"), seen())
    assert len(collector.servers()) == 1 and telemetry.dropped == 1
    assert "cannot be told" in caplog.text


def test_queues_are_bounded(seen):
    for content, limit in ((False, QUEUE_LIMIT), (True, CONTENT_QUEUE_LIMIT)):
        telemetry = Telemetry(Settings(otel_endpoint="http://127.0.0.1:9", otel_content=content))
        for _ in range(limit + 5):
            telemetry.put(tuple(seen()))
        assert (telemetry.depth, telemetry.dropped, telemetry.content) == (limit, 5, content)


async def test_spans_that_wait_are_bounded(seen, collector, monkeypatch):
    monkeypatch.setattr(sender, "SPANS_LIMIT", 10)
    collector.delay_s = 1
    telemetry = Telemetry(Settings(otel_endpoint=collector.url))
    await telemetry.start()
    for _ in range(50):
        telemetry.put(tuple(seen()))
    while telemetry._queue:  # noqa: ASYNC110  a thread sets no event
        await asyncio.sleep(0.01)
    assert len(telemetry._spans) + telemetry._sending <= 20 and telemetry.dropped >= 80
    await telemetry.stop()


async def test_the_sdk_complains_once_in_a_while(caplog, seen):
    for handler in logging.getLogger("opentelemetry").handlers:
        handler._said_s = -1e9
    telemetry = Telemetry(Settings(otel_endpoint="http://127.0.0.1:9"))
    await sent(telemetry, *[seen()] * 3)
    ours = [record for record in caplog.records if record.name == "penstock.telemetry" and "Transient" in record.getMessage()]
    assert len(ours) == 1


def test_it_is_installed_here():
    assert is_installed()


def test_without_the_sdk_the_program_says_so_and_otherwise_runs(tmp_path):
    code = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from penstock.serving import check
from penstock.settings import Settings, SettingsError
check(Settings(demo=True))
try:
    check(Settings(demo=True, otel_endpoint="http://127.0.0.1:9"))
except SettingsError as wrong:
    print(wrong)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'penstock[otel]'" in said

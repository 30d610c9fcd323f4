"""Running: what long requests would be charged if the process died now."""

from __future__ import annotations

import time

import pytest

from fake_ends import answer, ask
from penstock.relay.running import LONG_NS, running_charges

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAMED = b'{"model":"gpt-4o","stream":true,"messages":[]}'
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a word or two"}}]}\n\n'


@pytest.fixture
def rig(make_rig):
    rig = make_rig()
    rig.trust()
    return rig


def older(rig) -> None:
    """Let all open requests have begun two seconds ago."""
    for connection in rig.plane.connections:
        if connection.active is not None:
            connection.active.began_ns -= 2 * LONG_NS


def test_short_requests_are_left_alone(rig):
    client = rig.client()
    rig.vendor()
    client.says(ask())
    assert running_charges(rig.plane) == []
    older(rig)
    assert len(running_charges(rig.plane)) == 1


def test_what_was_not_sent_yet_costs_nothing(rig):
    client = rig.client()
    client.says(ask()[:-5])
    older(rig)
    assert running_charges(rig.plane) == []


def test_a_stream_is_charged_for_what_has_come(rig):
    client = rig.client()
    vendor = rig.vendor()
    client.says(ask(body=STREAMED))
    older(rig)
    (before,) = running_charges(rig.plane)
    vendor.says(STREAM + b"".join(b"%x\r\n%b\r\n" % (len(EVENT), EVENT) for _ in range(40)))
    (after,) = running_charges(rig.plane)
    assert after.id == before.id and after.outcome == "interrupted" and after.estimated
    assert after.output_tokens > before.output_tokens
    assert after.created_at_ms <= time.time_ns() // 1_000_000
    (again,) = running_charges(rig.plane)
    assert again.output_tokens == after.output_tokens  # looking disturbs nothing


def test_what_has_ended_is_not_running(rig):
    client = rig.client()
    vendor = rig.vendor()
    client.says(ask())
    older(rig)
    vendor.says(answer())
    assert running_charges(rig.plane) == []

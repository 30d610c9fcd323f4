"""What is done to all connections at once: time limits and comments at every tick, interruptions at the end."""

from __future__ import annotations

import pytest

from fake_ends import answer, ask, parts_of
from penstock.relay.sweep import interrupt_all, sweep

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b"2e\r\n" + b'data: {"choices":[{"delta":{"content":"Hi"}}]}'[:44] + b"\n\n\r\n"


@pytest.fixture
def rig(make_rig):
    rig = make_rig(keep_alive_s=4, comment_every_s=2)
    rig.trust()
    return rig


def passes(rig, ticks):
    for _ in range(ticks):
        rig.pulse.tick += 1
        sweep(rig.plane)


def test_every_connection_is_looked_at(rig):
    clients = [rig.client() for _ in range(3)]
    passes(rig, rig.plane.limits.keep_alive)
    clients[1].says(ask(key="sk-nobody"))
    passes(rig, 1)
    assert [client.transport.closed for client in clients] == [True, False, True]


def test_silent_streams_are_commented_and_nothing_else_is(rig):
    streamed, plain = rig.client(), rig.client()
    vendor, other = rig.vendor(), rig.vendor()
    streamed.says(ask(body=b'{"model":"gpt-4o","stream":true,"messages":[]}'))
    plain.says(ask())
    asked, waiting = (vendor, other) if b'"stream":true' in vendor.hears() else (other, vendor)
    asked.says(STREAM + EVENT)
    streamed.hears()
    passes(rig, rig.plane.limits.comment_every)
    assert b": keep-alive\n\n" in streamed.hears()
    assert plain.hears() == b"" and waiting.connection.waiting


def test_a_silent_stream_over_a_bridge_is_kept_alive_in_the_clients_words(rig):
    client, vendor = rig.client(), rig.vendor()
    client.says(
        ask(line=b"POST /v1/messages", body=b'{"model":"gpt-4o","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hi"}]}')
    )
    assert b"/chat/completions" in vendor.hears()
    vendor.says(STREAM + EVENT)
    client.hears()
    passes(rig, rig.plane.limits.comment_every)
    assert b"event: ping" in client.hears()


def test_an_interruption_reaches_whatever_runs_and_nothing_else(rig):
    idle, busy, uploading = rig.client(), rig.client(), rig.client()
    rig.vendor(), rig.vendor()
    busy.says(ask(line=b"GET /v1/files", body=b""))
    uploading.says(ask(line=b"POST /v1/new", body=b"x" * 50).replace(b"application/json", b"text/plain")[:-20])
    assert interrupt_all(rig.plane) == 2
    status, headers, body = parts_of(busy.hears())
    assert (status, headers[b"connection"]) == (503, b"close") and b"shutting_down" in body
    assert parts_of(uploading.hears())[0] == 503
    assert idle.hears() == b"" and not idle.transport.is_closing()
    assert interrupt_all(rig.plane) == 0
    assert rig.plane.holds.open == 0


def test_an_exchange_that_is_being_settled_is_left_alone(rig):
    client, vendor = rig.client(), rig.vendor()
    client.says(ask())
    vendor.says(answer())
    assert client.edge.active is not None and client.edge.active.walker is None
    assert interrupt_all(rig.plane) == 1
    assert client.hears() == b""

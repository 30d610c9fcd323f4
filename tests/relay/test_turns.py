"""Turns: one exchange at a time, answers in order, a bounded queue, and a connection that is closed when it must be."""

from __future__ import annotations

import re

import pytest

from fake_ends import KEY, answer, ask, parts_of
from penstock.relay.turns import QUEUE_LIMIT

GET = ask(line=b"GET /v1/files", body=b"")
STRANGER = ask(key="sk-nobody")
PREFLIGHT = b"OPTIONS /v1/models HTTP/1.1\r\nhost: gateway\r\norigin: https://a.example\r\n\r\n"


@pytest.fixture
def rig(make_rig):
    rig = make_rig()
    rig.trust()
    return rig


def statuses(data):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


def test_one_is_asked_at_a_time_and_answers_come_in_order(rig):
    client, vendor, spare = rig.client(), rig.vendor(), rig.vendor()
    assert client.says(GET + STRANGER + GET, PREFLIGHT) == b""
    assert [bool(vendor.hears()), bool(spare.hears())].count(True) == 1
    asked = vendor if vendor.connection.busy else spare
    asked.says(answer(status=404))
    assert statuses(client.hears()) == [404, 401]
    asked = vendor if vendor.connection.busy else spare
    asked.says(answer(status=405))
    assert statuses(client.hears()) == [405, 204]


def test_what_can_be_answered_at_once_needs_no_stack(rig):
    client = rig.client()
    client.edge.pause_writing()
    assert client.says(STRANGER * QUEUE_LIMIT) == b""
    client.edge.resume_writing()
    assert statuses(client.hears()) == [401] * QUEUE_LIMIT


def test_reading_stops_while_anybody_waits(rig):
    client, vendor = rig.client(), rig.vendor()
    client.says(GET)
    assert client.transport.reading
    client.says(STRANGER)
    assert not client.transport.reading
    vendor.says(answer(status=404))
    assert client.transport.reading


def test_no_more_than_so_many_wait(rig):
    client, vendor = rig.client(), rig.vendor()
    client.says(GET + STRANGER * (QUEUE_LIMIT + 50))
    assert len(client.edge._queue) == QUEUE_LIMIT + 1
    vendor.says(answer(status=404))
    heard = client.hears()
    assert statuses(heard) == [404] + [401] * (QUEUE_LIMIT + 1)
    assert heard.count(b"connection: close") == 1 and client.transport.ended
    assert client.says(STRANGER) == b""


def test_nothing_is_begun_for_a_client_that_does_not_take_its_answers(rig):
    client, vendor = rig.client(), rig.vendor()
    client.edge.pause_writing()
    client.says(GET + STRANGER)
    assert vendor.hears() == b"" and not client.transport.reading
    client.edge.resume_writing()
    assert vendor.hears() != b""
    vendor.says(answer(status=404))
    assert statuses(client.hears()) == [404, 401]
    assert client.transport.reading


def test_a_request_that_closes_is_the_last(rig):
    client, vendor = rig.client(), rig.vendor()
    client.says(GET + ask(b"connection: close", key="sk-nobody") + STRANGER)
    vendor.says(answer(status=404))
    heard = client.hears()
    assert statuses(heard) == [404, 401] and heard.count(b"connection: close") == 1
    assert client.transport.is_closing() or client.transport.ended


def test_a_connection_with_unread_bytes_is_half_closed_first(rig):
    """Closing it would throw the answer away that the client is about to read."""
    client = rig.client()
    upload = ask(key="sk-nobody", body=b"x" * 100).replace(b"application/json", b"text/plain")
    status, headers, _ = parts_of(client.says(upload[:-50]))
    assert (status, headers[b"connection"]) == (401, b"close")
    assert client.transport.ended and not client.transport.closed
    client.edge.eof_received()
    assert client.says(upload[-50:]) == b""


def test_a_connection_that_was_read_to_the_end_is_closed(rig):
    client = rig.client()
    client.says(ask(b"connection: close", key="sk-nobody"))
    assert client.transport.closed and not client.transport.ended


def test_garbage_behind_a_request_ends_the_connection_after_its_answer(rig):
    client, vendor = rig.client(), rig.vendor()
    client.says(GET + b"garbage\r\n\r\n")
    vendor.says(answer(status=404))
    status, headers, _ = parts_of(client.hears())
    assert (status, headers[b"connection"]) == (404, b"close") and client.transport.ended


def test_reasons_not_to_read_add_up(rig):
    edge = rig.client().edge
    edge.hold_reading("one")
    edge.hold_reading("two")
    edge.go_on_reading("one")
    assert not edge.transport.reading
    edge.go_on_reading("three")
    edge.go_on_reading("two")
    assert edge.transport.reading


def test_time_that_is_ours_does_not_count_against_the_client(rig):
    edge = rig.client().edge
    edge.hold_reading("upload")
    rig.pulse.tick = 1000
    edge.sweep(1000)
    edge.go_on_reading("upload")
    edge.sweep(1001)
    assert not edge.transport.is_closing()


def test_a_preflight_needs_no_key_and_no_provider(rig):
    client, vendor = rig.client(), rig.vendor()
    assert statuses(client.says(PREFLIGHT)) == [204]
    assert vendor.hears() == b"" and KEY.encode() not in PREFLIGHT

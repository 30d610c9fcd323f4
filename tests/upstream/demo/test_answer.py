"""Heads and events are written as they should be."""

from __future__ import annotations

import json

import pytest

from penstock.upstream.demo.answer import JSON, Answer, RefusedError, data_event, dialect_lines, head, json_answer, named_event


def test_a_head_with_a_length():
    assert head(200, JSON, 5, b"x-a: b\r\n") == b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\nx-a: b\r\n\r\n"


@pytest.mark.parametrize(("status", "reason"), [(404, b"Not Found"), (529, b"Overloaded"), (499, b"Unknown")])
def test_a_chunked_head_of_any_status(status, reason):
    assert head(status, JSON, None, b"").startswith(b"HTTP/1.1 %d %b\r\n" % (status, reason))
    assert b"transfer-encoding: chunked" in head(status, JSON, None, b"")


def test_each_dialect_has_its_headers():
    assert dialect_lines("openai", "abc").endswith(b"\r\nx-request-id: req_abc\r\n")
    assert dialect_lines("anthropic", "abc").endswith(b"\r\nrequest-id: req_abc\r\n")


def test_events():
    assert data_event({"a": "é"}) == 'data: {"a":"é"}\n\n'.encode()
    assert named_event({"type": "ping"}) == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_json_answers_and_refusals():
    assert json.loads(json_answer({"a": 1}).body) == {"a": 1}
    assert Answer(b"").status == 200
    assert str(RefusedError(404, "gone")) == "gone"

"""Crossings of plain calls: good answers as they are, all others as errors in the client's words."""

from __future__ import annotations

import json

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.single import Single, fields_of, text_of
from penstock.upstream.dialects import openai, platform
from penstock.upstream.wires import WIRES

WIRE = WIRES["serper"]


def single(dialect=platform.DIALECT):
    return Single(WIRE, WIRE.peek(b""), dialect, "req_1", "/search")


def test_a_good_answer_is_as_it_came():
    body = b' {"organic": [1,\n2]}\n'
    assert single().whole(200, b"application/json; charset=utf-8", body) == (200, b"application/json", body)


@pytest.mark.parametrize(
    ("status", "body", "shown", "kind"),
    [
        (400, b'{"message":"Bad q","statusCode":400}', 400, "invalid_request_error"),
        (403, b'{"message":"Unauthorized.","statusCode":403}', 502, "upstream_invalid_error"),
        (429, b"", 429, "too_many_requests_error"),
        (502, b"<html>nginx</html>", 502, "upstream_invalid_error"),
        (302, b"", 502, "upstream_redirect_error"),
        (200, b"<html>welcome</html>", 502, "upstream_invalid_error"),
        (200, b"", 502, "upstream_invalid_error"),
        (200, b'{"organic": [', 502, "upstream_invalid_error"),
    ],
)
def test_errors(status, body, shown, kind):
    told, content_type, error = single().whole(status, b"text/html", body)
    assert (told, content_type) == (shown, b"application/json")
    envelope = json.loads(error)
    assert (envelope["statusCode"], envelope["errorType"], envelope["data"]) == (shown, kind, None)
    assert b"html" not in error


def test_the_clients_own_words():
    _, _, error = single(openai.DIALECT).whole(429, b"", b"")
    assert json.loads(error)["error"]["type"] == "rate_limit_error"


def test_a_stream_that_nobody_has_asked_for():
    stream = single().stream()
    assert (stream.event(b"data: x"), stream.ended) == (b"", False)
    assert b"upstream_invalid_error" in stream.over()
    assert stream.ended
    assert single().replay(b"{}") is None


def test_fields():
    assert fields_of(b"") == {}
    assert fields_of(b'{"a": 1}') == {"a": 1}
    with pytest.raises(PenstockError):
        fields_of(b"[]")
    fields = {"a": "", "b": 5, "c": [1], "d": True, "e": None}
    assert text_of(fields, "a", "e", "b") == "5"
    assert text_of(fields, "x") == ""
    for name in "cd":
        with pytest.raises(PenstockError) as caught:
            text_of(fields, name)
        assert caught.value.param == name

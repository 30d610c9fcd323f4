from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_responses import JSON
from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.bridges.responses.failures import code_of, event_error, failure_of, read_failure, write_failure


@pytest.mark.parametrize(
    ("body", "message", "kind"),
    [
        ({"error": {"message": "m", "type": "t", "code": "c", "param": "p"}}, "m", "c"),
        ({"error": {"message": "m", "type": "t", "code": None}}, "m", "t"),
        ({"error": "words"}, "words", ""),
        ({"detail": "words"}, "words", ""),
        ({"detail": [{"msg": "m", "type": "t"}]}, "m", "t"),
        ({"message": "m"}, "m", ""),
        ([{"error": {"code": 404, "message": "m"}}], "m", "404"),
        ({"error": {"code": "c"}}, "c", "c"),
    ],
)
def test_errors_are_read_however_they_are_written(body, message, kind):
    failure = read_failure(400, json.dumps(body).encode())
    assert (failure.status, failure.message, failure.kind) == (400, message, kind)


def test_a_page_is_taken_for_its_words():
    assert read_failure(502, b"<html><body><h1>Bad  Gateway</h1></body></html>").message == "Bad Gateway"
    assert "502" in read_failure(502, b"").message and read_failure(500, b"{}").message == "{}"


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()) | JSON.map(lambda value: json.dumps({"error": value}).encode()))
def test_reading_never_raises(body):
    failure = read_failure(500, body)
    assert failure.message
    json.loads(write_failure(failure)[1])


@pytest.mark.parametrize(
    ("failure", "status", "kind", "code"),
    [
        (Failure(400, "m", "invalid_request_error", "p"), 400, "invalid_request_error", "invalid_request_error"),
        (Failure(401, "m", "authentication_error"), 401, "authentication_error", "authentication_error"),
        (Failure(402, "m"), 402, "insufficient_quota", "insufficient_quota"),
        (Failure(429, "m", "rate_limit_error"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (Failure(529, "m", "overloaded_error"), 503, "server_error", "server_is_overloaded"),
        (Failure(503, "m"), 503, "server_error", "server_is_overloaded"),
        (Failure(400, "prompt is too long: 5 tokens > 4"), 400, "invalid_request_error", "context_length_exceeded"),
        (Failure(200, "m"), 502, "server_error", None),
        (Failure(500, "half \ud800"), 500, "server_error", None),
    ],
)
def test_errors_are_written_as_openai_does(failure, status, kind, code):
    shown, body = write_failure(failure)
    error = json.loads(body)["error"]
    assert shown == status and (error["type"], error["code"], error["param"]) == (kind, code, failure.param)
    assert error["message"] == failure.message.replace("\ud800", "?")


def test_the_error_of_a_stream_always_has_a_code():
    assert event_error(Failure(502, "m")) == {"code": "server_error", "message": "m"}
    assert code_of(Failure(502, "m", "upstream_broken")) == "server_error"


@pytest.mark.parametrize(("status", "code"), [(500, "server_error"), (400, "invalid_prompt"), (401, "invalid_prompt")])
def test_the_code_of_an_error_in_a_stream_is_one_of_openais(status, code):
    assert event_error(Failure(status, "m", "some_vendors_own"))["code"] == code


@pytest.mark.parametrize(
    ("code", "status"), [("rate_limit_exceeded", 429), ("server_is_overloaded", 503), ("context_length_exceeded", 400), ("odd", 502)]
)
def test_the_status_of_an_error_in_a_stream_is_by_its_code(code, status):
    assert failure_of({"code": code, "message": "m"}, 0) == Failure(status, "m", code)


def test_what_says_nothing_is_no_error():
    assert failure_of(None, 0) is failure_of("", 0) is failure_of({}, 0) is None

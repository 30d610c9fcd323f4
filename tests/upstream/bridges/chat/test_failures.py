from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.chat.failures import details_of, read_failure, write_failure
from penstock.upstream.bridges.conversation import Failure

NO_WORDS = "The provider answered with status 400 and did not say why."


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"error": {"message": "No", "type": "invalid_request_error", "param": "n", "code": "invalid_value"}},
            Failure(400, "No", "invalid_value", "n"),
        ),
        ({"error": {"message": "No", "type": "bad", "code": None}}, Failure(400, "No", "bad")),
        ({"error": {"message": "No", "code": 400, "status": "INVALID_ARGUMENT"}}, Failure(400, "No", "INVALID_ARGUMENT")),
        ([{"error": {"message": "Google's"}}], Failure(400, "Google's")),
        ({"error": "text"}, Failure(400, "text")),
        ({"error": "not_found", "message": "No such model"}, Failure(400, "No such model", "not_found")),
        ({"detail": "No"}, Failure(400, "No")),
        ({"detail": [{"loc": ["body", "n"], "msg": "field required", "type": "missing"}]}, Failure(400, "field required", "missing")),
        ({"message": "No", "type": "bad"}, Failure(400, "No", "bad")),
        ({"object": "error", "message": "No", "type": "NotFoundError", "code": 404}, Failure(400, "No", "NotFoundError")),
        ({"errors": [{"code": 7003, "message": "No route"}], "success": False}, Failure(400, "No route")),
        ({"errors": {"message": "AiError", "code": 5006}}, Failure(400, "AiError")),
        ({}, Failure(400, NO_WORDS)),
        ({"error": {}}, Failure(400, NO_WORDS)),
        ("words", Failure(400, "words")),
        (None, Failure(400, NO_WORDS)),
    ],
)
def test_errors_in_all_their_shapes(body, expected):
    assert read_failure(400, json.dumps(body).encode()) == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", NO_WORDS),
        (b"Bad gateway\n", "Bad gateway"),
        (b"<html><head><title>502 Bad &amp; Gateway</title>", "The provider answered with a page instead of JSON: 502 Bad & Gateway"),
        (b"<html></html>", NO_WORDS),
    ],
)
def test_what_is_not_json(body, message):
    assert read_failure(400, body).message == message


@pytest.mark.parametrize(
    ("failure", "status", "details"),
    [
        (Failure(401, "No", "authentication_error"), 401, ("authentication_error", "invalid_api_key")),
        (Failure(402, "No"), 402, ("insufficient_quota", "insufficient_quota")),
        (Failure(404, "No"), 404, ("invalid_request_error", "model_not_found")),
        (Failure(429, "No", "insufficient_quota"), 429, ("rate_limit_error", "insufficient_quota")),
        (Failure(429, "No", "rate_limit_error"), 429, ("rate_limit_error", "rate_limit_exceeded")),
        (Failure(529, "No", "overloaded_error"), 503, ("server_error", "server_is_overloaded")),
        (Failure(500, "No", "api_error"), 500, ("server_error", None)),
        (Failure(502, "No", "upstream_invalid"), 502, ("server_error", "upstream_invalid")),
        (Failure(302, "No"), 502, ("server_error", None)),
        (Failure(400, "prompt is too long: 9 tokens > 8 maximum"), 400, ("invalid_request_error", "context_length_exceeded")),
    ],
)
def test_openais_words(failure, status, details):
    shown, body = write_failure(failure)
    error = json.loads(body)["error"]
    assert (shown, error["type"], error["code"]) == (status, *details)
    assert error["message"] == failure.message


def test_halves_of_pairs_are_replaced():
    assert details_of(Failure(400, "a\ud800"))["message"] == "a?"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "errors", "detail", "message", "msg", "code", "type", "param"]), inner)
    ),
)


@given(st.integers(100, 999), st.binary(max_size=60) | JSON.map(json.dumps).map(str.encode))
def test_nothing_makes_it_raise(status, body):
    failure = read_failure(status, body)
    assert failure.message
    shown, written = write_failure(failure)
    assert 400 <= shown < 600 and json.loads(written)["error"]["message"]

from __future__ import annotations

import msgspec
import pytest
from anthropic.types import ErrorResponse
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.bridges.messages import failures


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (401, "authentication_error"),
     (402, "billing_error"), (403, "permission_error"), (404, "not_found_error"), (429, "rate_limit_error"), (500, "api_error"),
     (502, "api_error"), (504, "timeout_error"), (529, "overloaded_error")],
)  # fmt: skip
def test_an_error_as_the_sdk_reads_it(status, kind):
    shown, body = failures.write_failure(
        Failure(status, "prompt is too long: 210000 tokens > 200000 maximum", "context_length_exceeded"), "req_1"
    )
    found = ErrorResponse.model_validate_json(body)
    assert shown == status
    assert (found.error.type, found.request_id) == (kind, "req_1")
    assert found.error.message == "prompt is too long: 210000 tokens > 200000 maximum"


def test_a_failure_comes_back_as_it_was():
    failure = Failure(529, "Overloaded", "overloaded_error")
    status, body = failures.write_failure(failure, "req_1")
    assert failures.read_failure(status, body) == failure


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"no","type":"x","param":"p"}}', "no"),
        (b'{"error":"plain words"}', "plain words"),
        (b'{"message":"at the top"}', "at the top"),
        (b'{"detail":"like FastAPI"}', "like FastAPI"),
        (b"<html><head><title>502 Bad Gateway</title></head></html>", "The provider answered with status 502: 502 Bad Gateway"),
        (b"", "The provider answered with status 502."),
        (b'{"error":{}}', "The provider answered with status 502: "),
        (b'{"error":{"type":"api_error"}}', "api_error"),
    ],
)
def test_errors_of_other_shapes_are_shown_by_their_words(body, message):
    assert failures.read_failure(502, body).message.startswith(message)


def test_an_error_in_a_stream_has_its_status_from_its_type():
    assert failures.reported({"type": "overloaded_error", "message": "Overloaded"}).status == 529
    assert failures.reported({"type": "strange", "message": "x"}).status == 502
    assert failures.reported(None).message != ""


def test_a_status_that_is_no_error_becomes_502():
    assert failures.write_failure(Failure(200, "x"), "req_1")[0] == 502


@given(st.integers(min_value=400, max_value=599), st.binary(max_size=200))
def test_nothing_makes_it_raise(status, body):
    found = failures.read_failure(status, body)
    assert found.status == status and found.message


def test_the_event_that_ends_a_stream():
    event = failures.failure_event(Failure(502, "broken", "upstream_broken"), "req_1")
    assert event.startswith(b"event: error\ndata: ") and event.endswith(b"\n\n")
    assert msgspec.json.decode(event.split(b"data: ")[1])["error"] == {"type": "api_error", "message": "broken"}

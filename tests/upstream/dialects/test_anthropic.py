from __future__ import annotations

import json

import pytest

from penstock.kit.errors import CODES, PenstockError
from penstock.kit.sse import event_name, payload
from penstock.upstream.dialects.anthropic import DIALECT

KNOWN = {
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "timeout_error",
    "api_error",
    "overloaded_error",
}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_json", "invalid_request_error"),
        ("invalid_key", "authentication_error"),
        ("insufficient_funds", "billing_error"),
        ("model_not_allowed", "permission_error"),
        ("model_not_found", "not_found_error"),
        ("method_not_allowed", "invalid_request_error"),
        ("body_too_large", "request_too_large"),
        ("too_many_requests", "rate_limit_error"),
        ("internal_error", "api_error"),
        ("upstream_broken", "api_error"),
        ("overloaded", "overloaded_error"),
        ("upstream_timeout", "timeout_error"),
    ],
)
def test_the_shape_and_type_of_an_error(code, kind):
    assert json.loads(DIALECT.error(PenstockError(code, "Words."), "req_1")) == {
        "type": "error",
        "error": {"type": kind, "message": "Words."},
        "request_id": "req_1",
    }


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_stream_ends_with_an_error_event(code):
    written = DIALECT.stream_error(PenstockError(code, "Words.\n\n"), "req_1")
    assert written.endswith(b"\n\n")
    assert event_name(written) == b"error"
    assert json.loads(payload(written)) == json.loads(DIALECT.error(PenstockError(code, "Words.\n\n"), "req_1"))
    assert json.loads(payload(written))["error"]["type"] in KNOWN


def test_keeping_alive_is_a_ping():
    assert event_name(DIALECT.keep_alive) == b"ping"
    assert json.loads(payload(DIALECT.keep_alive)) == {"type": "ping"}
    assert DIALECT.keep_alive.endswith(b"\n\n")


def test_a_thread_that_nobody_holds_is_refused_as_the_sdk_understands_it():
    exc = PenstockError("cannot_translate", "No threads here.", param="thread")
    error = json.loads(DIALECT.error(exc, "req_1"))["error"]
    assert error["details"] == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    assert "details" not in json.loads(DIALECT.error(PenstockError("cannot_translate", "No.", param="n"), "req_1"))["error"]

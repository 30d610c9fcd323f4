from __future__ import annotations

import json

import pytest

from penstock.kit.errors import CODES, PenstockError
from penstock.kit.sse import event_name, payload
from penstock.upstream.dialects.google import DIALECT, status_name


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("invalid_json", "INVALID_ARGUMENT"),
        ("invalid_key", "UNAUTHENTICATED"),
        ("insufficient_funds", "FAILED_PRECONDITION"),
        ("model_not_allowed", "PERMISSION_DENIED"),
        ("model_not_found", "NOT_FOUND"),
        ("body_too_large", "INVALID_ARGUMENT"),
        ("too_many_requests", "RESOURCE_EXHAUSTED"),
        ("internal_error", "INTERNAL"),
        ("upstream_broken", "UNAVAILABLE"),
        ("upstream_timeout", "DEADLINE_EXCEEDED"),
    ],
)
def test_the_shape_and_status_of_an_error(code, status):
    assert json.loads(DIALECT.error(PenstockError(code, "Words.", param="contents", retry_after_s=3), "req_1")) == {
        "error": {
            "code": CODES[code].status,
            "message": "Words.",
            "status": status,
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": code.upper(),
                    "domain": "penstock",
                    "metadata": {"code": code, "request_id": "req_1", "param": "contents"},
                },
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"},
            ],
        }
    }


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_stream_ends_with_an_error_event(code):
    error = PenstockError(code, "Words.\n\n")
    written = DIALECT.stream_error(error, "req_1")
    assert written.endswith(b"\n\n")
    assert event_name(written) == b""
    assert json.loads(payload(written)) == json.loads(DIALECT.error(error, "req_1"))


def test_any_status_has_a_name():
    assert (status_name(418), status_name(599)) == ("INVALID_ARGUMENT", "INTERNAL")


def test_blank_lines_keep_a_stream_alive():
    assert DIALECT.keep_alive.strip() == b""

"""The platform's envelope."""

from __future__ import annotations

import json

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.dialects.platform import DIALECT, done, error_type


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("insufficient_funds", 402, "insufficient_balance_error"),
        ("invalid_key", 401, "invalid_key_error"),
        ("forbidden", 403, "no_permission_error"),
        ("model_not_allowed", 403, "model_not_allowed_error"),
        ("upstream_invalid", 502, "upstream_invalid_error"),
        ("internal_error", 500, "internal_error"),
    ],
)
def test_errors(code, status, kind):
    error = PenstockError(code, "No \ud83d.", param="x")
    assert json.loads(DIALECT.error(error, "req_1")) == {"statusCode": status, "message": "No ?.", "errorType": kind, "data": None}
    assert error_type(code) == kind


def test_the_end_of_a_stream():
    event = DIALECT.stream_error(PenstockError("upstream_broken", "It broke."), "req_1")
    assert json.loads(event.removeprefix(b"data: "))["errorType"] == "upstream_broken_error"
    assert event.endswith(b"\n\n")


def test_success():
    assert json.loads(done({"outputs": []})) == {"statusCode": 200, "message": "Success", "data": {"outputs": []}}

from __future__ import annotations

import json

import pytest

from penstock.kit.errors import CODES, PenstockError
from penstock.kit.sse import event_name, payload
from penstock.upstream.dialects.openai import DIALECT


def test_the_shape_of_an_error():
    error = PenstockError("missing_model", "The body names no model.", param="model")
    assert json.loads(DIALECT.error(error, "req_1")) == {
        "error": {"message": "The body names no model.", "type": "invalid_request_error", "param": "model", "code": "missing_model"}
    }


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_json", "invalid_request_error"),
        ("invalid_key", "authentication_error"),
        ("insufficient_funds", "insufficient_quota"),
        ("model_not_allowed", "permission_error"),
        ("model_not_found", "invalid_request_error"),
        ("too_many_requests", "rate_limit_error"),
        ("internal_error", "server_error"),
        ("upstream_timeout", "server_error"),
    ],
)
def test_types(code, kind):
    details = json.loads(DIALECT.error(PenstockError(code, "x"), "req_1"))["error"]
    assert (details["type"], details["code"], details["param"]) == (kind, code, None)


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_stream_ends_with_the_error_and_not_with_done(code):
    written = DIALECT.stream_error(PenstockError(code, 'It says "no".\n'), "req_1")
    assert json.loads(payload(written)) == json.loads(DIALECT.error(PenstockError(code, 'It says "no".\n'), "req_1"))
    assert event_name(written) == b""
    assert b"[DONE]" not in written
    assert written.endswith(b"\n\n")


def test_keeping_alive_is_a_comment():
    assert DIALECT.keep_alive.startswith(b":")
    assert payload(DIALECT.keep_alive) == b""
    assert DIALECT.keep_alive.endswith(b"\n\n")

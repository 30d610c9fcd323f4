from __future__ import annotations

import json

import pytest
from openai.types.responses import ResponseFailedEvent

from penstock.kit.errors import CODES, PenstockError
from penstock.kit.sse import event_name, payload
from penstock.upstream.dialects import openai
from penstock.upstream.dialects.responses import DIALECT


def ended(error: PenstockError) -> dict:
    written = DIALECT.stream_error(error, "req_0192")
    assert written.endswith(b"\n\n")
    assert event_name(written) == b"response.failed"
    data = json.loads(payload(written))
    ResponseFailedEvent.construct(**data)
    assert (data["type"], data["response"]["status"], data["response"]["id"]) == ("response.failed", "failed", "resp_0192")
    return data["response"]["error"]


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_stream_ends_with_a_failed_response(code):
    error = ended(PenstockError(code, "It failed."))
    assert error["message"] == "It failed."
    assert error["code"]


@pytest.mark.parametrize(
    ("code", "theirs"),
    [
        ("insufficient_funds", "insufficient_quota"),
        ("too_many_requests", "rate_limit_exceeded"),
        ("overloaded", "server_is_overloaded"),
        ("upstream_broken", "upstream_broken"),
    ],
)
def test_codes_that_codex_acts_on(code, theirs):
    assert ended(PenstockError(code, "x"))["code"] == theirs


def test_the_delay_is_in_the_message():
    assert ended(PenstockError("too_many_requests", "Too many.", retry_after_s=3))["message"] == "Too many. Please try again in 3s."


def test_everything_else_is_as_elsewhere_at_openai():
    error = PenstockError("invalid_json", "x")
    assert DIALECT.error(error, "req_1") == openai.DIALECT.error(error, "req_1")
    assert DIALECT.keep_alive == openai.DIALECT.keep_alive

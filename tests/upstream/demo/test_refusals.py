"""Errors in the dialect of the request, with the status that was asked for."""

from __future__ import annotations

import anthropic
import openai
import pytest

from penstock.upstream.demo.answer import RefusedError
from penstock.upstream.demo.refusals import anthropic_type, refusal_json, refused

HELLO = [{"role": "user", "content": "hi"}]
OPENAI = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
    529: openai.InternalServerError,
}
ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@pytest.mark.parametrize("status", OPENAI)
def test_the_openai_sdk_raises_what_belongs_to_the_status(client, status):
    with pytest.raises(OPENAI[status]) as failed:
        client.chat.completions.create(model=f"demo-fail{status}", messages=HELLO)
    assert failed.value.status_code == status
    assert failed.value.body["message"] == f"The demo provider fails with {status}, as the model's name asks."


def test_a_rate_limit_has_its_code_and_says_when_to_come_back(client):
    with pytest.raises(openai.RateLimitError) as failed:
        client.responses.create(model="demo-fail429", input="hi")
    assert failed.value.code == "rate_limit_exceeded"
    assert failed.value.response.headers["retry-after"] == "1"


@pytest.mark.parametrize("status", ANTHROPIC)
def test_the_anthropic_sdk_sees_the_type_of_the_status(claude, status):
    with pytest.raises(anthropic.APIStatusError) as failed:
        claude.messages.create(model=f"demo-fail{status}", max_tokens=5, messages=HELLO)
    assert failed.value.status_code == status
    assert failed.value.body["error"]["type"] == ANTHROPIC[status]
    assert failed.value.body["request_id"] == failed.value.request_id


@pytest.mark.parametrize(("status", "kind"), [(418, "invalid_request_error"), (599, "api_error")])
def test_unusual_statuses_have_a_type_too(status, kind):
    assert anthropic_type(status) == kind


def test_failing_as_a_stream_is_a_plain_error(http):
    answer = http.post("/v1/chat/completions", json={"model": "demo-fail500", "messages": HELLO, "stream": True})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/json")
    assert answer.json()["error"]["type"] == "server_error"


def test_the_refusal_names_code_and_param(asked):
    refusal = RefusedError(404, "no", code="model_not_found", param="model", headers=b"x: y\r\n")
    assert refusal_json("openai", refusal, "d")["error"] == {
        "message": "no",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    answer = refused(asked(), refusal)
    assert (answer.status, answer.headers) == (404, b"x: y\r\n")

"""Faults: what speaks against a channel, and what a client has only itself to thank for."""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.faults import Fault, fault_of, read_fault, seconds_of


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


def anthropic(message: str, kind: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_x"}).encode()


def gemini(message: str, status: str, code: int) -> bytes:
    return json.dumps([{"error": {"code": code, "message": message, "status": status}}]).encode()


def cloudflare(code: int, message: str) -> bytes:
    return json.dumps({"result": None, "success": False, "errors": [{"code": code, "message": message}], "messages": []}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, openai("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota"), "quota"),
        (429, openai("You exceeded your current quota, please check your plan and billing details.", None, "insufficient_quota"), "quota"),
        (400, anthropic("Your credit balance is too low to access the Anthropic API.", "invalid_request_error"), "quota"),
        (400, openai("Billing hard limit has been reached", "billing_hard_limit_reached"), "quota"),
        (402, openai("Insufficient Balance"), "status"),
        (404, openai("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found"), "model"),
        (403, openai("Project `proj_x` does not have access to model `gpt-5`", "model_not_found"), "model"),
        (404, anthropic("model: claude-9", "not_found_error"), "model"),
        (404, gemini("models/gemini-9 is not found for API version v1beta", "NOT_FOUND", 404), "model"),
        (404, b'{"error":"model \\"llama9\\" not found, try pulling it first"}', "model"),
        (404, b'{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}', "model"),
        (404, b'{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}', "model"),
        (429, cloudflare(3036, "you have used up your daily free allocation of 10,000 neurons"), "quota"),
        (429, cloudflare(3040, "Capacity temporarily exceeded"), "status"),
        (404, cloudflare(3042, "Invalid model"), "model"),
        (403, b'{"errors":{"code":5016,"message":"Model terms not accepted"},"success":false}', "model"),
        (401, openai("Incorrect API key provided", "invalid_api_key"), "status"),
        (403, anthropic("Your API key does not have permission", "permission_error"), "status"),
        (403, openai("Country, region, or territory not supported", "request_forbidden"), "status"),
        (403, gemini("Generative Language API has not been used before or it is disabled.", "PERMISSION_DENIED", 403), "status"),
        (403, b'{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}', "status"),
        (429, b"", "status"),
        (408, b"", "status"),
        (500, b"<html>oops</html>", "status"),
        (529, anthropic("Overloaded", "overloaded_error"), "status"),
        (599, b"", "status"),
    ],
)
def test_what_speaks_against_a_channel(status, body, kind):
    found = read_fault(status, body)
    assert found is not None
    assert (found.kind, found.status) == (kind, status)
    assert str(status) in found.reason


def test_a_key_that_gemini_does_not_know_is_as_good_as_401():
    found = read_fault(400, gemini("API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", 400))
    assert found == Fault("status", 401, "400 Bad Request: the key is not valid")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"),
        (302, b""),
        (400, openai("prompt is too long")),
        (400, openai("Invalid value: 'Your credit balance is too low'. Supported values are: 'auto'")),
        (400, openai("Unknown parameter: 'model_not_found does not exist'")),
        (404, b""),
        (404, openai("No such File object: file-x")),
        (403, openai("Your chosen model requires moderation and your input was flagged for violence")),
        (403, gemini("You do not have permission to access the File abc or it may not exist.", "PERMISSION_DENIED", 403)),
        (403, gemini("CachedContent not found (or permission denied)", "PERMISSION_DENIED", 403)),
        (403, b"<html><h1>Sorry, you have been blocked</h1></html>"),
        (403, b""),
        (429, openai("Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 50000.", "rate_limit_exceeded")),
        (413, b""),
        (422, b""),
    ],
)
def test_what_does_not(status, body):
    assert read_fault(status, body) is None


def test_reasons_have_nothing_of_the_body():
    found = read_fault(401, openai("Incorrect API key provided: sk-secret"))
    assert found is not None
    assert found.reason == "401 Unauthorized"


def test_retry_after_comes_along():
    found = read_fault(429, b"", b"7")
    assert found is not None
    assert (found.retry_after_s, found.reason) == (7, "429 Too Many Requests")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"7", 7), (b" 1.5 ", 1.5), (b"0", None), (b"0.2", None), (b"-3", None), (b"", None), (None, None), (b"soon", None), (b"nan", None),
     (b"inf", None), (b"9" * 400, None), (formatdate(1060, usegmt=True).encode(), 60), (formatdate(900, usegmt=True).encode(), None)],
)  # fmt: skip
def test_seconds(text, seconds):
    assert seconds_of(text, 1000) == seconds


@pytest.mark.parametrize(
    ("kind", "connecting", "expected"),
    [
        ("refused", True, "connect"),
        ("timeout", True, "connect"),
        ("timeout", False, "answer"),
        ("broken", False, "answer"),
        ("full", True, None),
    ],
)
def test_failed_calls(kind, connecting, expected):
    found = fault_of(UpstreamError(kind, "no connection to x"), connecting=connecting)
    assert (None if found is None else found.kind) == expected


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["error", "code", "type", "status", "message", "x"]), inner), max_leaves=20)  # fmt: skip


@given(
    status=st.integers(100, 999), body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()), after=st.binary(max_size=40)
)
def test_any_bytes_can_be_read(status, body, after):
    read_fault(status, body, after, 1e9)

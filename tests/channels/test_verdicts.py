"""Verdicts: failures in words, and nothing of a credential in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.channels.verdicts import of_answer, of_failure
from penstock.kit.errors import PenstockError
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.errands.errand import Fetched


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (UpstreamError("refused", "no connection to x: Connection refused"), "refused"),
        (UpstreamError("refused", "TLS with x failed: CERTIFICATE_VERIFY_FAILED"), "tls"),
        (UpstreamError("refused", "no connection to x: Name or service not known"), "dns"),
        (UpstreamError("timeout", "no connection to x within 10 s"), "timeout"),
        (UpstreamError("invalid", "the answer is not HTTP/1.1"), "broken"),
        (UpstreamError("refused", "no connection to private.example.com: Connection refused"), "refused"),
        (UpstreamError("refused", "no connection to tls.resolve.example.com: Connection refused"), "refused"),
        (UpstreamError("refused", "the proxy 10.0.0.1:3128 wants other credentials (407)"), "proxy"),
        (UpstreamError("refused", "no connection to the proxy 10.0.0.1:3128: Connection refused"), "proxy"),
        (PenstockError("private_address", "x is in a private network."), "private_address"),
    ],
)
def test_failures(failure, code):
    assert of_failure(failure).code == code


@given(wire=st.sampled_from(["chat", "messages", "gemini", ""]), status=st.integers(200, 599), body=st.binary(max_size=60))
def test_whatever_is_answered(wire, status, body):
    verdict = of_answer(wire, Fetched(status, "application/json", body, [(b"location", body)]))
    assert verdict.code and verdict.text.isprintable()


@pytest.mark.parametrize("key", ["sk-proj-abcdef1234567890", "sk-ant-abcdef-1234567890-x", "sk-ab***************wxyz"])
def test_a_key_that_the_provider_repeats_is_not_shown(key):
    verdict = of_answer(
        "chat", Fetched(401, "application/json", b'{"error": {"message": "Incorrect API key: %b, see the page"}}' % key.encode())
    )
    assert key not in verdict.text and "see the page" in verdict.text


@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_a_success_with_nothing_in_it(body):
    assert of_answer("chat", Fetched(200, "application/json", body)).code == "empty"

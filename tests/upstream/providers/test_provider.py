"""What every provider is made of: base URLs as the SDKs write them, and credentials as header lines."""

from __future__ import annotations

import pytest

from penstock.upstream.providers.provider import ANTHROPIC_WIRES, OPENAI_WIRES, Provider

WITH_VERSION = Provider("with", OPENAI_WIRES, base_has_version=True, credential_header=b"authorization", credential_prefix=b"Bearer ")
WITHOUT = Provider("without", ANTHROPIC_WIRES, base_has_version=False, credential_header=b"x-api-key")


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("/v1", "/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions", "/v1/chat/completions"),
        ("", "/v1/chat/completions", "/chat/completions"),
        ("/", "/v1/chat/completions", "/chat/completions"),
        ("/api/paas/v4", "/v1/chat/completions", "/api/paas/v4/chat/completions"),
        ("/openai/v1", "/v1/models/@cf/meta/llama", "/openai/v1/models/@cf/meta/llama"),
        ("/v1", "/v1", "/v1"),
        ("", "/v1", "/"),
        ("/openai/v1", "/v2/models", "/openai/v2/models"),
        ("/openai", "/v2/models", "/openai/v2/models"),
        ("/v1", "/v10/models", "/v10/models"),
    ],
)
def test_a_base_url_with_its_version(base, path, target):
    assert WITH_VERSION.target(base, path) == target


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("", "/v1/messages", "/v1/messages"),
        ("/", "/v1/messages", "/v1/messages"),
        ("/anthropic/", "/v1/messages", "/anthropic/v1/messages"),
    ],
)
def test_a_base_url_without_it(base, path, target):
    assert WITHOUT.target(base, path) == target


def test_credentials():
    assert WITH_VERSION.credential("sk-test") == b"authorization: Bearer sk-test\r\n"
    assert WITHOUT.credential(" sk-test\n") == b"x-api-key: sk-test\r\n"


@pytest.mark.parametrize("secret", ["", "\n", "a b", "a\r\nb", "\xe9", "a\x00"])
def test_what_is_no_credential(secret):
    with pytest.raises(ValueError, match="credential of with"):
        WITH_VERSION.credential(secret)

"""Azure OpenAI: version 1 as OpenAI's, and paths with deployments."""

from __future__ import annotations

import pytest

from penstock.upstream.providers import PROVIDERS

AZURE = PROVIDERS["azure-openai"]


@pytest.mark.parametrize("base", ["", "/", "/openai/v1", "/openai/v1/", "/openai"])
@pytest.mark.parametrize(
    ("path", "query", "options", "placed"),
    [
        ("/v1/chat/completions", b"", {}, ("/openai/v1/chat/completions", b"")),
        ("/v1/chat/completions", b"a=b", {"api_version": "preview"}, ("/openai/v1/chat/completions", b"a=b&api-version=preview")),
        (
            "/v1/chat/completions",
            b"",
            {"api_version": "2024-10-21"},
            ("/openai/deployments/my%20gpt/chat/completions", b"api-version=2024-10-21"),
        ),
        ("/v1/embeddings", b"", {"api_version": "2024-10-21"}, ("/openai/deployments/my%20gpt/embeddings", b"api-version=2024-10-21")),
        ("/v1/responses", b"", {"api_version": "2025-04-01-preview"}, ("/openai/responses", b"api-version=2025-04-01-preview")),
        ("/v1/files", b"", {"api_version": "2024-10-21"}, ("/openai/files", b"api-version=2024-10-21")),
    ],
)
def test_where_calls_go(base, path, query, options, placed):
    assert AZURE.place(base, path, query, "my gpt", options) == placed


def test_the_credential():
    assert AZURE.credential("placeholder") == b"api-key: placeholder\r\n"
    assert AZURE.price_name == "azure"

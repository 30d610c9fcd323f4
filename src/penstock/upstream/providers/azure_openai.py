"""Azure OpenAI: its version 1 API, which is called as OpenAI is, and the dated ones, whose paths name the deployment.

https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from penstock.upstream.providers.provider import Provider

_UNDATED = frozenset(("preview", "latest", "v1"))
"""Versions of the version 1 API."""
_AT_DEPLOYMENT = ("/v1/chat/", "/v1/completions", "/v1/embeddings", "/v1/images/", "/v1/audio/")


class Azure(Provider):
    """Azure OpenAI. A model is called by the name of its deployment."""

    def place(self, base_path: str, path: str, query: bytes, model: str | None, options: Mapping[str, Any]) -> tuple[str, bytes]:
        """As OpenAI's, unless the option `api_version` asks for a dated API: `/openai/deployments/NAME/...?api-version=...`."""
        version = str(options.get("api_version") or "")
        if version:
            said = b"api-version=" + quote(version, safe="").encode()
            query = query + b"&" + said if query else said
        root = base_path.rstrip("/").removesuffix("/v1") or "/openai"
        if not version or version in _UNDATED:
            return root + path, query
        if model is not None and path.startswith(_AT_DEPLOYMENT):
            return f"{root}/deployments/{quote(model, safe='')}{path[3:]}", query
        return root + path.removeprefix("/v1"), query


PROVIDER = Azure(
    "azure-openai",
    ("chat", "responses", "completions", "embeddings", "images", "speech", "transcriptions", "realtime", "passthrough"),
    base_has_version=True,
    credential_header=b"api-key",
    title="Azure OpenAI",
    priced_as="azure",
    options={"api_version": "Of a dated API, such as 2024-10-21; `preview` is version 1 with what is new in it. Default: version 1."},
    places=True,
)

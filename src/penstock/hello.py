"""Hello: what `penstock serve` prints once it answers requests: where it is, what the first start has made, and a line to try."""

from __future__ import annotations

import json
from dataclasses import dataclass

import penstock
from penstock.settings import Settings

_HELLO = [{"role": "user", "content": "Hello!"}]


@dataclass(frozen=True)
class First:
    """What a start has made because it was the first, to be shown once and nowhere else."""

    key: str | None = None
    """The token of the first key."""
    administrator: str | None = None
    """What makes whoever shows it the first administrator."""


def hello(settings: Settings, port: int, first: First) -> str:
    """The whole greeting."""
    address = f"http://{_reachable(settings.host)}:{port}"
    lines = [f"Penstock {penstock.__version__} on {address}"]
    if settings.transparent:
        lines.append("No provider key is configured: requests go to OpenAI and Anthropic with each client's own key.")
        lines.append(f"  OPENAI_BASE_URL={address}/v1   ANTHROPIC_BASE_URL={address}")
        if settings.access_token is not None:
            lines.append("Members' keys will not work: ACCESS_TOKEN needs OPENAI_API_KEY or ANTHROPIC_API_KEY beside it.")
    elif settings.open:
        lines.append("No key is asked for: whoever reaches this address uses your Workers AI account. PROXY_API_KEY sets one.")
        lines.append(f"  curl {address}/v1/models")
    elif settings.access_token is not None:
        lines.append("Make a key for a member:")
        lines.append(f"  curl {address}/$ACCESS_TOKEN/register/NAME")
    elif first.key is None:
        lines.append("Keys are made with: penstock key create NAME. Try one:")
        lines.append(_curl(settings, address, "$PENSTOCK_KEY"))
    else:
        lines.append(f"Your first key, shown only now: {first.key}")
        lines.append("Try it:")
        lines.append(_curl(settings, address, first.key))
    if first.administrator is not None:
        where = settings.public_url.rstrip("/") or address
        lines.append(f"First administrator, if you want accounts: POST {where}/api/setup with token {first.administrator}")
    return "\n".join(lines) + "\n"


def _reachable(host: str) -> str:
    """The host as a client on this machine writes it in a URL."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  shown, not bound
    return f"[{shown}]" if ":" in shown else shown


_MODELS = {
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
    "openrouter": "openrouter/auto",
    "deepseek": "deepseek-chat",
    "mistral": "mistral-small-latest",
    "groq": "llama-3.1-8b-instant",
    "xai": "grok-4",
}
"""One of each provider, to try; nobody is held to it."""


def _curl(settings: Settings, address: str, key: str) -> str:
    """A command that any shell takes as it is, for a provider that is configured."""
    path, model, more = "chat/completions", "demo" if settings.demo else "gpt-4o-mini", {}
    if not settings.demo and settings.openai_api_key is None:
        provider = next((name for name in _MODELS if getattr(settings, f"{name}_api_key")), None)
        model = _MODELS.get(provider or "", "MODEL")
        if provider == "anthropic":
            path, more = "messages", {"max_tokens": 100}
    body = json.dumps({"model": model, **more, "messages": _HELLO}, separators=(",", ":"))
    return f'  curl {address}/v1/{path} -H "authorization: Bearer {key}" -H "content-type: application/json" -d \'{body}\''

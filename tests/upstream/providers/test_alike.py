"""Those who copy OpenAI: where their calls go."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from genai_prices.data import providers as priced

from penstock.upstream.providers import PROVIDERS
from penstock.upstream.providers.alike import PROVIDERS as ALIKE

PRICED = {provider.id for provider in priced}
FREE = {"ollama", "vllm", "openai-compatible"}


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("openrouter", "https://openrouter.ai/api/v1/chat/completions"),
        ("groq", "https://api.groq.com/openai/v1/chat/completions"),
        ("fireworks", "https://api.fireworks.ai/inference/v1/chat/completions"),
        ("gemini-openai", "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"),
        ("ollama", "http://127.0.0.1:11434/v1/chat/completions"),
    ],
)
def test_calls_go_to(name, target):
    provider = PROVIDERS[name]
    parts = urlsplit(provider.base_url)
    assert f"{parts.scheme}://{parts.netloc}{provider.target(parts.path, '/v1/chat/completions')}" == target


def test_each_has_its_place_in_the_prices():
    assert {provider.name for provider in ALIKE if provider.price_name not in PRICED} == FREE


def test_those_at_home_need_no_credential():
    assert {provider.name for provider in ALIKE if provider.local} == {"ollama", "vllm"}
    assert {provider.name for provider in ALIKE if not provider.needs_secret} == FREE

"""The list of models, in the shape of either provider."""

from __future__ import annotations

from typing import Any

from penstock.upstream.demo.answer import Answer, json_answer
from penstock.upstream.demo.prose import CREATED
from penstock.upstream.demo.request import Request

MODELS = {
    "demo": "Demo",
    "demo-tool": "Demo that calls tools",
    "demo-cached": "Demo with cached tokens",
    "demo-slow2000": "Demo that thinks for two seconds",
    "demo-n64d20": "Demo that streams 64 events 20 ms apart",
    "demo-flaky": "Demo that fails once",
    "demo-fail429": "Demo that is always too busy",
    "claude-demo": "Demo for tools that look for Claude models",
}
"""What is listed; every other name is served as well."""

_CREATED_AT = "2026-09-21T14:13:20Z"


def _openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "penstock"}


def _anthropic(name: str) -> dict[str, Any]:
    about = {"id": name, "type": "model", "display_name": MODELS.get(name, name), "created_at": _CREATED_AT, "lifecycle": "active"}
    return about | {"max_input_tokens": 200_000, "max_tokens": 64_000}


def listed(request: Request) -> Answer:
    """GET /v1/models."""
    if request.dialect == "anthropic":
        data = [_anthropic(name) for name in MODELS]
        return json_answer({"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]})
    return json_answer({"object": "list", "data": [_openai(name) for name in MODELS]})


def one(request: Request) -> Answer:
    """GET /v1/models/{id}: any name that the demo provider would answer to."""
    request.behave(request.rest)
    return json_answer((_anthropic if request.dialect == "anthropic" else _openai)(request.rest))


ROUTES = {("GET", "/v1/models"): listed, ("GET", "/v1/models/{}"): one}

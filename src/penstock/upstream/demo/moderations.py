"""Moderations: nothing is flagged but what asks for it."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.demo.answer import Answer, json_answer
from penstock.upstream.demo.request import Request

FLAG = "flag this"
"""An input that contains these words is flagged as harassment."""

_TEXT = ("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "sexual/minors")
_BOTH = ("self-harm", "self-harm/intent", "self-harm/instructions", "sexual", "violence", "violence/graphic")


class ModerationAsk(msgspec.Struct, gc=False):
    """What is read of a moderations request."""

    input: str | list[str | dict[str, Any]]
    model: str = "omni-moderation-latest"


def _result(text: str) -> dict[str, Any]:
    flagged = FLAG in text.lower()
    names = _TEXT + _BOTH
    return {
        "flagged": flagged,
        "categories": {name: flagged and name == "harassment" for name in names},
        "category_scores": {name: 0.98 if flagged and name == "harassment" else 0.0001 for name in names},
        "category_applied_input_types": {name: ["text"] if name in _TEXT else ["text", "image"] for name in names},
    }


def moderations(request: Request) -> Answer:
    """POST /v1/moderations: one result per text; the parts of a mixed input share one."""
    ask = request.read(ModerationAsk)
    request.behave(ask.model)
    inputs = [ask.input] if isinstance(ask.input, str) else ask.input
    texts = [one for one in inputs if isinstance(one, str)]
    parts = [str(one.get("text") or "") for one in inputs if isinstance(one, dict)]
    if parts:
        texts.append("\n".join(parts))
    return json_answer({"id": f"modr-{request.digest}", "model": ask.model, "results": [_result(text) for text in texts]})


ROUTES = {("POST", "/v1/moderations"): moderations}

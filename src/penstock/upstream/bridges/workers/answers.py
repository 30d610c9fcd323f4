"""Whole answers of Workers AI, of OpenAI's shape or of Cloudflare's own, as chat completions that strict clients take."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.bridges.workers.calls import argument_text, leaked, whole_calls
from penstock.upstream.bridges.workers.failures import failure_in, unreadable
from penstock.upstream.bridges.workers.thinking import CLOSING, OPENING, parted

_REASONS = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter", "model_length": "length",
            "max_tokens": "length", "function_call": "tool_calls", "tool_use": "tool_calls", "tool-calls": "tool_calls"}  # fmt: skip
_NATIVE = ("response", "tool_calls")
_PASSED = ("system_fingerprint", "service_tier")


class Known:
    """What an answer is completed with: the tools that were offered, and what it may not say itself."""

    __slots__ = ("created", "model", "request_id", "tools")

    def __init__(self, tools: frozenset[str], model: str, request_id: str, created: int) -> None:
        self.tools = tools
        self.model = model
        self.request_id = request_id
        self.created = created

    @property
    def answer_id(self) -> str:
        """An id for an answer that has none."""
        return f"chatcmpl-{self.request_id.removeprefix('req_')}"


def reason(value: Any, *, calls: bool) -> str:
    """`finish_reason` as OpenAI has it: `stop` and whatever nobody knows become `tool_calls` where there are calls."""
    found = _REASONS.get(value, "stop") if isinstance(value, str) else "stop"
    return ("tool_calls" if calls else "stop") if found in ("stop", "tool_calls") else found


def text_of(value: Any) -> str:
    """Text, where text ought to be: a number as its digits, an object as JSON, parts joined."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        return "".join(part["text"] for part in value)
    return argument_text(value)


def usage_of(answer: dict[str, Any]) -> dict[str, Any] | None:
    """The `usage` of an answer as OpenAI writes it; None if it has none."""
    found = answer.get("usage")
    if not isinstance(found, dict):
        found = answer.get("metrics")
    if not isinstance(found, dict):
        return None
    read = _count(found.get("prompt_tokens", found.get("input_tokens")))
    written = _count(found.get("completion_tokens", found.get("output_tokens")))
    if read is None and written is None:
        return None
    usage = {"prompt_tokens": read or 0, "completion_tokens": written or 0, "total_tokens": (read or 0) + (written or 0)}
    details = {name: found[name] for name in ("prompt_tokens_details", "completion_tokens_details") if isinstance(found.get(name), dict)}
    return {**usage, **details}


def read(body: bytes) -> Any | Failure:
    """An answer's JSON, or why it is none: also what it says itself of a failure."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return unreadable("a body that is not JSON")
    return failure_in(answer) or answer


def unwrapped(answer: Any) -> Any:
    """What is inside Cloudflare's envelope `{"result", "success", "errors", "messages"}`, or the answer itself."""
    if isinstance(answer, dict) and "choices" not in answer and "result" in answer:
        return answer["result"]
    return answer


def completion(body: bytes, known: Known) -> dict[str, Any] | Failure:
    """The chat completion, or why there is none."""
    answer = read(body)
    if isinstance(answer, Failure):
        return answer
    inner = unwrapped(answer)
    if isinstance(inner, str) and inner and inner is not answer:
        inner = {"response": inner}
    if not isinstance(inner, dict):
        return unreadable("an empty result")
    choices = inner.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return _completed(inner, choices[0], known)
    if any(inner.get(name) is not None for name in _NATIVE):
        told = {"content": inner.get("response"), "tool_calls": inner.get("tool_calls")}
        why = inner.get("finish_reason") or inner.get("stop_reason")
        return _completed(inner, {"message": told, "finish_reason": why}, known)
    return unreadable("an empty result")


def _completed(inner: dict[str, Any], choice: dict[str, Any], known: Known) -> dict[str, Any] | Failure:
    told = choice.get("message")
    if not isinstance(told, dict):
        if choice.get("text") is None:
            return unreadable("a choice without a message")
        told = {"content": choice["text"]}
    message, calls = _message(told, known)
    answer_id, created, model = inner.get("id"), inner.get("created"), inner.get("model")
    answer: dict[str, Any] = {
        "id": answer_id if isinstance(answer_id, str) and answer_id else known.answer_id,
        "object": "chat.completion",
        "created": created if type(created) is int and created > 0 else known.created,
        "model": model if isinstance(model, str) and model else known.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason(choice.get("finish_reason"), calls=calls)}],
    }
    usage = usage_of(inner)
    if usage is not None:
        answer["usage"] = usage
    answer.update({name: inner[name] for name in _PASSED if isinstance(inner.get(name), str)})
    return answer


def _message(told: dict[str, Any], known: Known) -> tuple[dict[str, Any], bool]:
    text = text_of(told.get("content"))
    thought = text_of(told.get("reasoning_content")) or text_of(told.get("reasoning"))
    if not thought and (CLOSING in text or text.lstrip().startswith(OPENING)):
        thought, text = parted(text)
    calls = whole_calls(told.get("tool_calls"))
    if not calls and known.tools and (calls := leaked(text, known.tools)):
        text = ""
    refusal = told.get("refusal")
    message: dict[str, Any] = {"role": "assistant", "content": None if calls and not text else text}
    message["refusal"] = refusal if isinstance(refusal, str) and refusal else None
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    return message, bool(calls)


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 10**12 else None

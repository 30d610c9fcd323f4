"""Replies in: a provider's whole chat completion."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.ids import new_id
from penstock.upstream.bridges.chat import details, failures, figures, said
from penstock.upstream.bridges.chat.turns_in import signature_of
from penstock.upstream.bridges.conversation import Image, Part, Refusal, Reply, Text, Thought, ToolCall
from penstock.upstream.usage import Usage


def read_reply(body: bytes) -> Reply:
    """The answer; of several choices the first. Raises ValueError for one that cannot be read, or has no choice in it."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  what a side raises
    if found.get("error"):
        raise ValueError(failures.of_object(502, found).message)
    choice = _choice(found.get("choices"))
    message = choice.get("message", choice.get("delta"))
    if not isinstance(message, dict):
        raise ValueError("it has no message")  # noqa: TRY004  as above
    parts = _parts(message)
    stop = said.stop_of(choice.get("finish_reason"))
    if stop == "error":
        raise ValueError("it ended with an error that it does not name")
    calls = any(isinstance(part, ToolCall) for part in parts)
    refused = any(isinstance(part, Refusal) for part in parts)
    created = found.get("created")
    return Reply(
        said.word(found.get("id")),
        said.word(found.get("model")),
        parts,
        said.settled(stop, calls=calls, refused=refused),
        figures.read(figures.encoded(found.get("usage")), found.get("service_tier")) or Usage(),
        created if isinstance(created, int) and 0 < created < 1 << 40 else 0,
    )


def _choice(choices: Any) -> dict[str, Any]:
    given = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    if not given:
        raise ValueError("it has no choices")
    return next((choice for choice in given if choice.get("index", 0) == 0), given[0])


def _parts(message: dict[str, Any]) -> list[Part]:
    given = message.get("reasoning_details")
    text = said.reasoning(message.get("reasoning_content"), message.get("reasoning"), given)
    parts: list[Part] = [*details.read(given, text, unseals=False)]
    parts += said.pieces(message.get("content"))
    if refusal := said.word(message.get("refusal")):
        parts.append(Refusal(refusal))
    images = message.get("images")
    for one in images if isinstance(images, list) else ():
        if (image := said.picture(one)) is not None:
            parts.append(image)
    calls = message.get("tool_calls")
    for one in calls if isinstance(calls, list) else ():
        if isinstance(one, dict) and (call := _call(one)) is not None:
            parts.append(call)
    legacy = message.get("function_call")
    if isinstance(legacy, dict) and (call := _call({"function": legacy})) is not None:
        parts.append(call)
    return _joined(parts)


def _call(value: dict[str, Any]) -> ToolCall | None:
    custom, function = value.get("custom"), value.get("function")
    inner = custom if isinstance(custom, dict) else function if isinstance(function, dict) else value
    name = said.word(inner.get("name"))
    if not name:
        return None
    call_id = said.word(value.get("id")) or new_id("call")
    if inner is custom:
        return ToolCall(call_id, name, said.as_text(inner.get("input")), custom=True)
    return ToolCall(call_id, name, said.as_text(inner.get("arguments")), signature=signature_of(value.get("extra_content")))


def _joined(parts: list[Part]) -> list[Part]:
    """Neighbours of the same kind as one."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if (isinstance(part, Text) and isinstance(last, Text)) or (isinstance(part, Refusal) and isinstance(last, Refusal)):
            last.text += part.text
        elif isinstance(part, Thought) and isinstance(last, Thought) and not (last.signature or last.redacted):
            part.text = last.text + part.text
            joined[-1] = part
        elif not (isinstance(part, Image) and part == last):
            joined.append(part)
    return joined

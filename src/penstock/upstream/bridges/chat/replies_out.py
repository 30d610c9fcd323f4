"""Replies out: a whole chat completion, as OpenAI's clients read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from penstock.upstream.bridges import custom_tools
from penstock.upstream.bridges.chat import details, figures
from penstock.upstream.bridges.chat.asks_in import ChatAsked
from penstock.upstream.bridges.conversation import Image, Refusal, Reply, Stop, Text, Thought, ToolCall
from penstock.upstream.bridges.side import About
from penstock.upstream.dialects.text import clean

_REASONS: dict[Stop, str] = {
    "end": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tools": "tool_calls",
    "refusal": "content_filter",
    "pause": "stop",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What of an answer depends on how it was asked for."""

    functions: bool
    """The call is a `function_call`."""
    enveloped: bool
    """Calls of custom tools look like those of functions, with the text as it is in the arguments."""
    thoughts: bool
    """Reasoning is shown."""
    customs: frozenset[str]
    """The names of custom tools."""
    aliases: dict[str, str]

    @staticmethod
    def of(about: About) -> Shape:
        """For the answer to a request."""
        asked = about.asked
        functions, enveloped = (asked.functions, asked.enveloped) if isinstance(asked, ChatAsked) else (False, False)
        return Shape(functions, enveloped, asked.shows_thoughts is not False, custom_tools.names(asked.tools), about.aliases)

    def named(self, name: str, *, custom: bool) -> tuple[str, tuple[str, str]]:
        """The client's own name of a tool, and where in a call its text is: the kind of the call and the field."""
        own = clean(self.aliases.get(name, name))
        is_custom = (custom or own in self.customs) and not self.enveloped and not self.functions
        return own, ("custom", "input") if is_custom else ("function", "arguments")


def write_reply(reply: Reply, about: About) -> bytes:
    """The body."""
    shape = Shape.of(about)
    calls = [part for part in reply.parts if isinstance(part, ToolCall)]
    refusals = [part.text for part in reply.parts if isinstance(part, Refusal)]
    texts = [part.text for part in reply.parts if isinstance(part, Text)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": clean("".join(texts)) if texts or not (calls or refusals) else None,
        "refusal": clean("".join(refusals)) or None,
        "annotations": [],
    }
    if shape.thoughts:
        _think([part for part in reply.parts if isinstance(part, Thought)], message)
    if images := [part for part in reply.parts if isinstance(part, Image)]:
        message["images"] = [
            {"index": index, "type": "image_url", "image_url": {"url": url_of(image)}} for index, image in enumerate(images)
        ]
    written = [_call(call, shape, call_id_of(call.id, about, index)) for index, call in enumerate(calls)]
    if written and shape.functions:
        message["function_call"] = written[0]["function"]
    elif written:
        message["tool_calls"] = written
    reason = finish_of(reply.stop, calls=bool(calls), refused=bool(refusals), functions=shape.functions)
    return msgspec.json.encode(
        {
            "id": reply_id_of(reply.id, about),
            "object": "chat.completion",
            "created": reply.created or about.created,
            "model": clean(reply.model or about.model),
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
            "usage": figures.written(reply.usage),
            "system_fingerprint": None,
        }
    )


def _think(thoughts: list[Thought], message: dict[str, Any]) -> None:
    if text := "".join(thought.text for thought in thoughts):
        message["reasoning_content"] = clean(text)
    shown: list[dict[str, Any]] = []
    for thought in thoughts:
        if (detail := details.sealed(thought, len(shown))) is not None:
            shown.append(detail)
    if shown:
        message["reasoning_details"] = shown


def call_id_of(call_id: str, about: About, index: int) -> str:
    """The id of a call, by which the client tells what it was for: one of its own where the provider has given none."""
    return call_id or f"call_{about.request_id.removeprefix('req_')}_{index}"


def _call(call: ToolCall, shape: Shape, call_id: str) -> dict[str, Any]:
    name, (kind, field) = shape.named(call.name, custom=call.custom)
    text = call.arguments
    if not call.custom and name in shape.customs:
        text = custom_tools.unwrap(text)
    elif field == "arguments":
        text = text or "{}"  # clients parse it
    written: dict[str, Any] = {"id": call_id, "type": kind, kind: {"name": name, field: clean(text)}}
    if call.signature:
        written["extra_content"] = {"google": {"thought_signature": call.signature}}
    return written


def finish_of(stop: Stop, *, calls: bool, refused: bool, functions: bool) -> str:
    """The `finish_reason`, which fits what was said."""
    if calls and stop in ("end", "tools"):
        return "function_call" if functions else "tool_calls"
    if not calls and stop == "tools":
        return "stop"
    # A refusal in words is an answer that has ended.
    return "stop" if stop == "refusal" and refused else _REASONS[stop]


def reply_id_of(reply_id: str, about: About) -> str:
    """The id of the answer: the provider's own, with the beginning that chats have."""
    found = clean(reply_id) or about.request_id.removeprefix("req_")
    return found if found.startswith("chatcmpl") else f"chatcmpl-{found}"


def url_of(image: Image) -> str:
    """A picture as a URL."""
    return f"data:{image.media_type or 'image/png'};base64,{image.data}" if image.data else image.url

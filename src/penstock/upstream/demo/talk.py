"""What the chat wires have in common: messages and their text, tools, and whether one is to be called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.upstream.demo.answer import RefusedError, encode
from penstock.upstream.demo.example import example
from penstock.upstream.demo.manners import Manners
from penstock.upstream.demo.prose import greeting


class Part(msgspec.Struct, gc=False):
    """A part of a message; only text is read."""

    type: str = ""
    text: str | None = None


def _text(content: str | list[Part] | None) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content or () if part.text)


class Message(msgspec.Struct, gc=False):
    """A message of a conversation, or an item of a responses input."""

    role: str = ""
    type: str = ""
    content: str | list[Part] | None = None
    output: str | list[Part] | None = None

    def text(self) -> str:
        """All text of the message."""
        return _text(self.content)

    def length(self) -> int:
        """Characters of text in it, results of tools included."""
        return len(self.text()) + len(_text(self.output))

    def is_tool_result(self) -> bool:
        """Whether it answers a call of a tool."""
        if self.role == "tool" or self.type.endswith("_output"):
            return True
        return isinstance(self.content, list) and any(part.type == "tool_result" for part in self.content)


class Call(msgspec.Struct, gc=False):
    """A tool to call."""

    name: str
    arguments: dict[str, Any]

    @property
    def json(self) -> str:
        """The arguments as JSON text."""
        return encode(self.arguments).decode()


def said(messages: Sequence[Message]) -> str:
    """What the user said last."""
    for message in reversed(messages):
        if message.role == "user" and (text := message.text()):
            return text
    return ""


def length_of(messages: Sequence[Message], tools: Sequence[object] | None, *more: str) -> int:
    """Characters of the whole input: messages, tools as JSON, and further texts."""
    return sum(message.length() for message in messages) + sum(map(len, more)) + (len(encode(tools)) if tools else 0)


def _described(tool: dict[str, Any]) -> tuple[str, object]:
    """The name of a tool and the schema of its input, in any of the three ways they are written."""
    inner = tool.get("function") or tool.get("custom") or tool
    if not isinstance(inner, dict):
        inner = tool
    name = inner.get("name")
    return name if isinstance(name, str) else str(tool.get("type")), inner.get("parameters") or inner.get("input_schema") or {}


def _named(choice: object) -> str | None:
    if not isinstance(choice, dict):
        return None
    name = choice.get("name") or (choice.get("function") or {}).get("name")
    return name if isinstance(name, str) else None


def tool_call(tools: Sequence[dict[str, Any]] | None, choice: object, messages: Sequence[Message], manners: Manners) -> Call | None:
    """The call to answer with, or None for text.

    A tool is called when the caller requires it, or when the model's name says `tool` and the last message is not
    already the result of a call. Raises `RefusedError` 400 when the required tool is not there.
    """
    if not tools or choice in ("none", {"type": "none"}):
        return None
    described = dict(map(_described, tools))
    name = _named(choice)
    if name is not None:
        if name not in described:
            raise RefusedError(400, f"Tool choice '{name}' is not among the tools.", param="tool_choice")
        return _call(name, described[name])
    required = choice in ("required", "any") or (isinstance(choice, dict) and choice.get("type") == "any")
    if required or (manners.tool and not (messages and messages[-1].is_tool_result())):
        first = next(iter(described))
        return _call(first, described[first])
    return None


def _call(name: str, schema: object) -> Call:
    arguments = example(schema)
    return Call(name, arguments if isinstance(arguments, dict) else {})


def reply(messages: Sequence[Message], shape: object) -> str:
    """The text to answer with: the greeting, or JSON when `shape` (a response format of any wire) asks for it."""
    words = greeting(said(messages))
    if not isinstance(shape, dict):
        return words
    if shape.get("type") == "json_schema":
        inner = shape.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, dict) else shape.get("schema")
        return encode(example(schema)).decode()
    return encode({"answer": words}).decode() if shape.get("type") == "json_object" else words

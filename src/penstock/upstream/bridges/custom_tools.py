"""Custom tools, whose input is free text, where only functions are known: a function with one string, and back again."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Tool
from penstock.upstream.dialects.text import clean

FIELD = "input"
"""The one argument of such a function."""

_OPENING = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_BEGINNING = re.compile(r'\s*(?:\{\s*(?:"(?:i(?:n(?:p(?:u(?:t(?:"\s*(?::\s*)?)?)?)?)?)?)?)?)?')
_READABLE = re.compile(r'(?:[^"\\]++|\\["\\/bfnrt]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4})*+')
_UNFINISHED = re.compile(r"\\(?:u[0-9a-fA-F]{0,4}|u[dD][89abAB][0-9a-fA-F]{2}\\(?:u[0-9a-fA-F]{0,3})?)?")


def format_of(tool: Tool) -> tuple[str, str] | None:
    """The syntax ("lark", "regex") and the definition of a custom tool's grammar, as chat or responses write it in `Tool.raw`."""
    raw: Any = tool.raw
    if isinstance(raw, dict) and isinstance(raw.get("custom"), dict):
        raw = raw["custom"]
    found: Any = raw.get("format") if isinstance(raw, dict) else None
    if isinstance(found, dict) and isinstance(found.get("grammar"), dict):
        found = found["grammar"]
    if not isinstance(found, dict):
        return None
    syntax, definition = found.get("syntax"), found.get("definition")
    return (syntax, definition) if isinstance(syntax, str) and isinstance(definition, str) else None


def as_function(tool: Tool) -> Tool:
    """A custom tool as a function with one string; its grammar is put into words, for there is nothing else that could hold it."""
    about = [tool.description] if tool.description else []
    grammar = format_of(tool)
    if grammar is not None:
        about.append(f"The input must follow this grammar ({grammar[0]}):\n{grammar[1]}")
    schema = {
        "type": "object",
        "properties": {FIELD: {"type": "string", "description": "The whole input of the tool, as plain text."}},
        "required": [FIELD],
        "additionalProperties": False,
    }
    return Tool(tool.name, "\n\n".join(about), schema, cache=tool.cache)


def names(tools: list[Tool]) -> frozenset[str]:
    """The names of those that are custom: calls of them are to be unwrapped."""
    return frozenset(tool.name for tool in tools if tool.kind == "custom")


def wrap(text: str) -> str:
    """The input of a custom tool as the arguments of the function that stands for it."""
    return msgspec.json.encode({FIELD: clean(text)}).decode()


def unwrap(arguments: str) -> str:
    """The input of a custom tool, out of the arguments of the function. What is not as it should be is taken for the input itself."""
    unwrapping = Unwrapping()
    return unwrapping.more(arguments) + unwrapping.rest()


class Unwrapping:
    """`unwrap` of arguments that come piece by piece: the text is given as early as it is known."""

    __slots__ = ("_closed", "_held", "_inside", "_odd")

    def __init__(self) -> None:
        self._held = ""
        self._inside = self._closed = self._odd = False

    def more(self, delta: str) -> str:
        """What is known of the text after another piece of the arguments."""
        if self._closed:
            return ""
        self._held += delta
        if self._odd:
            return ""
        if not self._inside:
            opening = _OPENING.match(self._held)
            if opening is None:
                self._odd = _BEGINNING.fullmatch(self._held) is None
                return ""
            self._inside, self._held = True, self._held[opening.end() :]
        return self._text()

    def rest(self) -> str:
        """What remains when the arguments are over."""
        held, self._held = self._held, ""
        if self._closed:
            return ""
        if self._inside:
            return clean(held)
        return _freely(held)

    def _text(self) -> str:
        held, found, at = self._held, [], 0
        while True:
            end = _READABLE.match(held, at).end()  # type: ignore[union-attr]  # matches nothing at worst
            found.append(_decoded(held[at:end]))
            if end == len(held) or held[end] == '"':
                self._closed = end < len(held)
                self._held = ""
                break
            if _UNFINISHED.fullmatch(held, end) is not None:
                self._held = held[end:]
                break
            # An escape that JSON does not have, or half a pair: as it stands.
            found.append(held[end])
            at = end + 1
        return "".join(found)


def _decoded(escaped: str) -> str:
    if "\\" not in escaped:
        return clean(escaped)
    try:
        return clean(json.loads(f'"{escaped}"', strict=False))
    except ValueError:
        return clean(escaped)


def _freely(arguments: str) -> str:
    """The text in arguments that a model has written in its own way: under another name, as a bare string, or not as JSON at all."""
    try:
        found = json.loads(arguments, strict=False) if arguments.strip() else ""
    except (ValueError, RecursionError):
        return clean(arguments)
    if isinstance(found, dict):
        if isinstance(found.get(FIELD), str):
            return clean(found[FIELD])
        texts = list(found.values())
        if len(texts) == 1 and isinstance(texts[0], str):
            return clean(texts[0])
        return clean(arguments) if found else ""
    return clean(found) if isinstance(found, str) else clean(arguments)

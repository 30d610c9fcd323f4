"""Tool calls: as chat completions have them, from what Workers AI has for them, in the text even."""

from __future__ import annotations

import re
import secrets
from typing import Any

import msgspec

LEAK_LIMIT = 64 * 1024
"""So many characters of text are held back at most because they may be a tool call."""
_KEYS = ("name", "type", "function", "tool_calls", "parameters", "arguments")
_BLANKS_LIMIT = 64
_FIRST_KEY = re.compile(r"[\[{\s]*+(?:\"(\w*+)(\"?))?\s*+(:?)")
_WRAPPERS = (("<tool_call>", "</tool_call>"), ("<|python_tag|>", ""), ("[TOOL_CALLS]", ""))


def new_id() -> str:
    """An id for a call that came without one."""
    return f"call_{secrets.token_hex(12)}"


def argument_text(value: Any) -> str:
    """Arguments as the JSON text that they are to be; some models send the object itself."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def whole_calls(found: Any) -> list[dict[str, Any]]:
    """A plain answer's `tool_calls`, of OpenAI's shape or of Cloudflare's own (`name`, `arguments`)."""
    calls: list[dict[str, Any]] = []
    for call in found if isinstance(found, list) else ():
        if not isinstance(call, dict):
            continue
        function = call.get("function")
        function = function if isinstance(function, dict) else call
        name = function.get("name")
        if not isinstance(name, str) or not name:
            continue
        call_id = call.get("id")
        calls.append({
            "id": call_id if isinstance(call_id, str) and call_id else new_id(),
            "type": "function",
            "function": {"name": name, "arguments": argument_text(function.get("arguments")) or "{}"},
        })  # fmt: skip
    return calls


def leaked(text: str, tools: frozenset[str]) -> list[dict[str, Any]]:
    """The calls that a text is, if it is nothing else: JSON that names tools of the request. Empty if it is just text."""
    text = text.strip()
    for opening, closing in _WRAPPERS:
        if text.startswith(opening):
            text = text.removeprefix(opening).removesuffix(closing).strip()
            break
    if not tools or not text.startswith(("{", "[")):
        return []
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []
    if isinstance(found, dict) and isinstance(found.get("tool_calls"), list):
        found = found["tool_calls"]
    items = found if isinstance(found, list) else [found]
    calls = [_leaked_call(item, tools) for item in items]
    return [call for call in calls if call is not None] if calls and None not in calls else []


def _leaked_call(item: Any, tools: frozenset[str]) -> dict[str, Any] | None:
    if not isinstance(item, dict):
        return None
    stated = item.get("function")
    function = stated if isinstance(stated, dict) else item
    name = function.get("name") or stated
    arguments = function.get("arguments", function.get("parameters"))
    if not isinstance(name, str) or name not in tools or not isinstance(arguments, dict | str):
        return None
    if not item.keys() <= {"id", "type", "function", "name", "arguments", "parameters"}:
        return None
    return {"id": new_id(), "type": "function", "function": {"name": name, "arguments": argument_text(arguments) or "{}"}}


class Leak:
    """Holds back the text of a stream for as long as it may be a tool call."""

    __slots__ = ("_held", "_looks", "_size", "_tools", "open")

    def __init__(self, tools: frozenset[str]) -> None:
        self._tools = tools
        self._held: list[str] = []
        self._size = 0
        self._looks = False
        """It has begun like a call."""
        self.open = bool(tools)
        """It may still be one."""

    def more(self, text: str) -> str:
        """What may be shown now."""
        if not self.open:
            return text
        self._held.append(text)
        self._size += len(text)
        if not self._looks:
            looks = _begins_like_a_call("".join(self._held))
            if looks is False:
                return self._let_go()
            self._looks = looks is True
        return self._let_go() if self._size > LEAK_LIMIT else ""

    def end(self) -> tuple[list[dict[str, Any]], str]:
        """The calls that it was, or the text."""
        text = self._let_go()
        calls = leaked(text, self._tools)
        return (calls, "") if calls else ([], text)

    def _let_go(self) -> str:
        self.open = False
        text = "".join(self._held)
        self._held.clear()
        return text


def _begins_like_a_call(text: str) -> bool | None:
    """Whether a text begins like a call; None while it is too short to say."""
    begun = text.lstrip()
    if not begun:
        return None if len(text) < _BLANKS_LIMIT else False
    for opening, _ in _WRAPPERS:
        if begun.startswith(opening):
            return True
        if opening.startswith(begun):
            return None
    match = _FIRST_KEY.match(begun) if begun[0] in "{[" else None
    if match is None:
        return False
    key, closed, colon = match.groups()
    if colon:
        return closed == '"' and key in _KEYS
    if match.end() < len(begun) or len(begun) > _BLANKS_LIMIT:
        return False
    return None if key is None or (key in _KEYS if closed else any(known.startswith(key) for known in _KEYS)) else False

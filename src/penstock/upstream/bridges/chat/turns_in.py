"""Turns in: the messages of a chat, of every role."""

from __future__ import annotations

from typing import Any

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.chat import details
from penstock.upstream.bridges.chat.fields import Fields, wrong
from penstock.upstream.bridges.chat.parts_in import as_arguments, content, mark, marked, result
from penstock.upstream.bridges.chat.said import picture
from penstock.upstream.bridges.conversation import Audio, Part, Refusal, Role, Text, Thought, ToolCall, ToolResult, Turn

_SAYS: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class Turns:
    """Reads messages one after another. `customs` are the names of tools that take free text."""

    def __init__(self, customs: frozenset[str]) -> None:
        self.turns: list[Turn] = []
        self._customs = customs
        self._nameless = 0
        self._functions: dict[str, str] = {}

    def read(self, messages: list[Any]) -> list[Turn]:
        """All of them."""
        if not messages:
            raise wrong("messages", "a list with at least one message")
        for index, message in enumerate(messages):
            if not self._plain(message):
                self._message(Fields(message, f"messages[{index}]"))
        return self.turns

    def _plain(self, message: Any) -> bool:
        """Read a message of nothing but text, as most are, in a fifth of the time; false if it is none."""
        if type(message) is not dict or len(message) != 2:
            return False
        said, text = message.get("role"), message.get("content")
        role = _SAYS.get(said) if type(said) is str else None
        if role is None or type(text) is not str or not text:
            return False
        self.turns.append(Turn(role, [Text(text)]))
        return True

    def _message(self, fields: Fields) -> None:
        role = fields.text("role")
        cache = mark(fields.any("cache_control"))
        match role:
            case "system" | "developer":
                self._system(fields, cache)
            case "user":
                parts = content(fields.any("content"), fields.at("content"))
                marked(parts, cache)
                self.turns.append(Turn("user", [_as_user(part) for part in parts], fields.text("name") or ""))
            case "assistant":
                parts = self._assistant(fields)
                marked(parts, cache)
                self.turns.append(Turn("assistant", parts, fields.text("name") or ""))
            case "tool" | "function":
                self._result(role, fields, cache)
            case _:
                raise wrong(fields.at("role"), "system, developer, user, assistant or tool")

    def _system(self, fields: Fields, cache: str | None) -> None:
        parts = content(fields.any("content"), fields.at("content"))
        if not all(isinstance(part, Text) for part in parts):
            raise wrong(fields.at("content"), "text, or parts of text")
        marked(parts, cache)
        self.turns.append(Turn("system", parts, fields.text("name") or ""))

    def _assistant(self, fields: Fields) -> list[Part]:
        reasoning = fields.any("reasoning_content") or fields.any("reasoning")
        text = reasoning if isinstance(reasoning, str) else ""
        parts: list[Part] = [*details.read(fields.any("reasoning_details"), text, unseals=True)]
        said = content(fields.any("content"), fields.at("content"))
        if any(isinstance(part, Thought) for part in said):
            parts = []  # told twice, and there in its place
        for part in said:
            if isinstance(part, ToolResult | Audio):
                raise wrong(fields.at("content"), "what an assistant says")
            parts.append(part)
        images = [picture(one) for one in fields.list("images")]
        parts += [image for image in images if image is not None]
        if refusal := fields.text("refusal"):
            parts.append(Refusal(refusal))
        if fields.any("audio") is not None and not said:
            raise PenstockError("cannot_translate", "A spoken answer cannot be given back in another protocol.", param=fields.at("audio"))
        where = fields.at("tool_calls")
        calls = [self._call(Fields(one, f"{where}[{index}]")) for index, one in enumerate(fields.list("tool_calls"))]
        if (legacy := fields.inner("function_call")) is not None:
            name = legacy.needed("name")
            calls.append(ToolCall(self._legacy_id(name), name, as_arguments(legacy.any("arguments"))))
        return [*parts, *calls]

    def _call(self, fields: Fields) -> ToolCall:
        kind, call_id = fields.text("type"), fields.text("id") or self._new_id()
        custom = fields.inner("custom")
        if custom is not None or kind == "custom":
            inner = custom or fields
            return ToolCall(call_id, inner.needed("name"), as_arguments(inner.any("input")), custom=True)
        function = fields.inner("function") or fields
        name = function.needed("name")
        signature = signature_of(fields.left.get("extra_content"))
        # Cursor gives calls of custom tools back in the envelope of a function.
        return ToolCall(call_id, name, as_arguments(function.any("arguments")), custom=name in self._customs, signature=signature)

    def _result(self, role: str, fields: Fields, cache: str | None) -> None:
        name = fields.text("name") or ""
        if role == "function":
            call_id = self._functions.pop(name, None) or self._new_id()
        else:
            call_id = fields.text("tool_call_id") or ""
            if not call_id:
                raise wrong(fields.at("tool_call_id"), "the id of a tool call")
        found = result(call_id, fields.any("content"), fields.at("content"), cache=cache)
        found.name = name
        last = self.turns[-1] if self.turns else None
        if last is not None and last.role == "user" and last.parts and all(isinstance(part, ToolResult) for part in last.parts):
            last.parts.append(found)  # results of calls that were made together
        else:
            self.turns.append(Turn("user", [found]))

    def _legacy_id(self, name: str) -> str:
        self._functions[name] = self._new_id()
        return self._functions[name]

    def _new_id(self) -> str:
        self._nameless += 1
        return f"call_of_turn_{self._nameless}"


def signature_of(extra: Any) -> str:
    """Gemini's thought signature in the `extra_content` of a tool call; empty if there is none."""
    google = extra.get("google") if isinstance(extra, dict) else None
    found = google.get("thought_signature") if isinstance(google, dict) else None
    return found if isinstance(found, str) else ""


def _as_user(part: Part) -> Part:
    return Text(part.text) if isinstance(part, Refusal) else part

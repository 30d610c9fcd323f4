"""Said: what a model has said, read from an answer on any wire, whole or streamed: its text, and the tools that it calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from penstock.kit.sse import payload, split

_decode = msgspec.json.decode


class Call(msgspec.Struct):
    """A call of a tool; `arguments` is JSON text, as the model wrote it."""

    name: str = ""
    arguments: str = ""


class Said(msgspec.Struct):
    """What was said: the first choice, where there are several."""

    text: str = ""
    calls: list[Call] = msgspec.field(default_factory=list)


def said(wire: str, body: bytes, *, streamed: bool) -> Said | None:
    """What an answer says; None on wires that answer with something else than words. Never raises: what is not understood is not said."""
    read = _WIRES.get(wire)
    if read is None:
        return None
    found = Said()
    for document in _events(body) if streamed else _whole(body):
        read(document, found)
    found.calls = [call for call in found.calls if call.name or call.arguments]
    return found


def problem(body: bytes) -> str | None:
    """What an error says went wrong, in any of the dialects; None if it does not say."""
    document = next(iter(_whole(body)), None)
    for path in (("error", "message"), ("message",), ("error",), ("detail",)):
        if isinstance(told := _at(document, *path), str):
            return told
    return None


def _whole(body: bytes) -> list[Any]:
    try:
        return [_decode(body)]
    except (msgspec.DecodeError, RecursionError):
        return []


def _events(body: bytes) -> Iterator[Any]:
    for event in split(body):
        yield from _whole(payload(event))


def _at(value: Any, *path: str | int) -> Any:
    """What stands at a place in a document; None if nothing does."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and 0 <= step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    """The text of a content: a string, or the texts of its parts."""
    if isinstance(value, str):
        return value
    return "".join(part for item in _items(value) if isinstance(part := _at(item, "text"), str))


def _json(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()


def _call(found: Said, place: Any, name: Any, arguments: Any) -> None:
    """More of the call at a place; calls may come in pieces."""
    number = place if isinstance(place, int) and 0 <= place <= len(found.calls) else len(found.calls)
    if number == len(found.calls):
        found.calls.append(Call())
    found.calls[number].name += name if isinstance(name, str) else ""
    found.calls[number].arguments += _json(arguments)


def _chat(document: Any, found: Said) -> None:
    choice = next((one for one in _items(_at(document, "choices")) if not _at(one, "index")), None)
    message = _at(choice, "message") or _at(choice, "delta")
    found.text += _text(_at(message, "content")) + _text(_at(choice, "text"))
    for call in _items(_at(message, "tool_calls")):
        _call(found, _at(call, "index"), _at(call, "function", "name"), _at(call, "function", "arguments"))


def _messages(document: Any, found: Said) -> None:
    for block in _items(_at(document, "content")):
        _block(block, found)
    if (block := _at(document, "content_block")) is not None:
        _block(block, found)
    delta = _at(document, "delta")
    found.text += _text(_at(delta, "text"))
    if isinstance(piece := _at(delta, "partial_json"), str) and found.calls:
        found.calls[-1].arguments += piece


def _block(block: Any, found: Said) -> None:
    if _at(block, "type") == "tool_use":
        _call(found, None, _at(block, "name"), _at(block, "input") or None)
    else:
        found.text += _text(_at(block, "text"))


def _responses(document: Any, found: Said) -> None:
    """A stream says everything twice: in pieces, and whole in the last event. The latter replaces what was gathered until then."""
    if _at(document, "type") == "response.output_text.delta":
        found.text += _text(_at(document, "delta"))
    whole = _at(document, "response") or document
    output = _items(_at(whole, "output"))
    if not output:
        return
    found.text, found.calls = "", []
    for item in output:
        if _at(item, "type") == "function_call":
            _call(found, None, _at(item, "name"), _at(item, "arguments"))
        elif _at(item, "type") == "message":
            found.text += _text(_at(item, "content"))


def _gemini(document: Any, found: Said) -> None:
    for part in _items(_at(document, "candidates", 0, "content", "parts")):
        if _at(part, "thought") is not True:
            found.text += _text(_at(part, "text"))
        if (call := _at(part, "functionCall")) is not None:
            _call(found, None, _at(call, "name"), _at(call, "args"))


_WIRES: dict[str, Callable[[Any, Said], None]] = {
    "chat": _chat,
    "completions": _chat,
    "complete": lambda document, found: setattr(found, "text", found.text + _text(_at(document, "completion"))),
    "messages": _messages,
    "responses": _responses,
    "gemini": _gemini,
}

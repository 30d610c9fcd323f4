"""Parts: what a content of a request to Gemini consists of."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Audio, Document, Image, Part, Text, Thought, ToolCall, ToolResult
from penstock.upstream.bridges.gemini.fields import Fields
from penstock.upstream.bridges.gemini.signatures import WIRE, given_back

_LEFT_OUT = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
"""What tools that ran at Google have left in the conversation."""
_UPLOADED = ("gs://", "https://generativelanguage.googleapis.com/", "files/")
"""Where files are that only Google can read."""
_ANSWERS = ("output", "result", "content")


class Reader:
    """Reads the parts of one request, content by content: results find their calls, which may have been made without ids."""

    def __init__(self, other: dict[str, Any]) -> None:
        self._other = other
        self._made = 0
        self._waiting: dict[str, list[str]] = {}
        """The ids of calls that have no result yet, by the tool's name."""

    def parts(self, content: Fields) -> list[Part]:
        """The parts of a content. Raises PenstockError."""
        found: list[Part] = []
        for fields in content.objects("parts"):
            for part in self._part(fields):
                before = found[-1] if found else None
                if isinstance(part, Thought) and not part.text and isinstance(before, Thought) and not before.signature + before.redacted:
                    part.text = before.text  # its proof came by itself, as it does in a stream
                    found[-1] = part
                else:
                    found.append(part)
        return found

    def _part(self, fields: Fields) -> list[Part]:
        if (call := fields.object("functionCall")) is not None:
            return self._call(call, fields.text("thoughtSignature"))
        if (response := fields.object("functionResponse")) is not None:
            return [self._result(response)]
        if (data := fields.object("inlineData")) is not None:
            return [_inline(data)]
        if (file := fields.object("fileData")) is not None:
            return [_file(file)]
        text = fields.text("text")
        for name in _LEFT_OUT:
            if fields.get(name) is not None:
                self._other[name] = True
        if text is None:
            return []
        signature = fields.text("thoughtSignature") or ""
        if fields.flag("thought"):
            thought = given_back(signature) if signature else Thought(wire=WIRE)
            thought.text = text
            return [thought]
        return [Text(text)]

    def _call(self, call: Fields, signature: str | None) -> list[Part]:
        name = call.text("name")
        if not name:
            raise PenstockError("invalid_request", f'The field "{call.at("name")}" must name a function.', param=call.at("name"))
        args = call.object("args")
        call_id = call.text("id") or self._id()
        self._waiting.setdefault(name, []).append(call_id)
        found = ToolCall(call_id, name, msgspec.json.encode(args.values if args is not None else {}).decode())
        thought = given_back(signature) if signature else Thought(wire=WIRE)
        if thought.wire != WIRE:
            return [thought, found]
        found.signature = thought.signature
        return [found]

    def _id(self) -> str:
        self._made += 1
        return f"call_{self._made:04d}"

    def _result(self, response: Fields) -> ToolResult:
        name = response.text("name") or ""
        waiting = self._waiting.get(name, [])
        call_id = response.text("id")
        if not call_id:
            call_id = waiting.pop(0) if waiting else self._id()
        elif call_id in waiting:
            waiting.remove(call_id)
        text, failed = _answer(response.object("response"))
        parts: list[Text | Image | Document] = [Text(text)] if text else []
        for item in response.objects("parts"):
            data, file = item.object("inlineData"), item.object("fileData")
            part = _inline(data) if data is not None else _file(file) if file is not None else None
            if isinstance(part, (Image, Document)):
                parts.append(part)
        return ToolResult(call_id, parts, name, failed)


def _answer(response: Fields | None) -> tuple[str, bool]:
    """The text of a tool's result, and whether it is an error."""
    if response is None:
        return "", False
    values = response.values
    if len(values) == 1:
        name, value = next(iter(values.items()))
        if isinstance(value, str) and (name in _ANSWERS or name == "error"):
            return value, name == "error"
    return msgspec.json.encode(values).decode(), False


def _inline(data: Fields) -> Image | Document | Audio:
    kind = (data.text("mimeType") or "").lower()
    content = data.text("data") or ""
    if not kind:
        raise PenstockError("invalid_request", f'The field "{data.at("mimeType")}" must say what the data is.', param=data.at("mimeType"))
    content = content.replace("-", "+").replace("_", "/")
    if kind.startswith("image/"):
        return Image(kind, content)
    if kind.startswith("audio/"):
        return Audio(content, _sound(kind))
    return Document(kind, content, name=data.text("displayName") or "")


def _sound(kind: str) -> str:
    name = kind.removeprefix("audio/").partition(";")[0].removeprefix("x-")
    return {"mpeg": "mp3", "wave": "wav"}.get(name, name)


def _file(file: Fields) -> Image | Document:
    uri, kind = file.text("fileUri") or "", (file.text("mimeType") or "").lower()
    if not uri:
        raise PenstockError("invalid_request", f'The field "{file.at("fileUri")}" must say where the file is.', param=file.at("fileUri"))
    if kind.startswith("audio/"):
        raise PenstockError("cannot_translate", "Sound must be in the request itself for this model.", param=file.at("fileUri"))
    uploaded = uri.startswith(_UPLOADED)
    if kind.startswith("image/"):
        return Image(kind, file_id=uri) if uploaded else Image(kind, url=uri)
    name = file.text("displayName") or ""
    return Document(kind, file_id=uri, name=name) if uploaded else Document(kind, url=uri, name=name)

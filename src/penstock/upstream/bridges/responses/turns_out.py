"""Turns out: a conversation as the items of a request."""

from __future__ import annotations

from typing import Any

from penstock.upstream.bridges.conversation import Audio, Document, Image, Part, Refusal, Text, Thought, ToolCall, ToolResult, Turn
from penstock.upstream.bridges.custom_tools import wrap
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.bridges.names import fitted
from penstock.upstream.bridges.responses.names import fitted_id

_WIRE = "responses"


class Items:
    """Items as they are written. System turns stay where they are, and their blocks apart: nothing is put into `instructions`.

    `customs` are the names of tools that the provider knows as custom ones.
    """

    def __init__(self, customs: frozenset[str], dropped: Dropped) -> None:
        self.items: list[dict[str, Any]] = []
        self._customs = customs
        self._dropped = dropped
        self._called: set[str] = set()
        """The ids of calls of custom tools."""

    def all(self, turns: list[Turn]) -> list[dict[str, Any]]:
        """The items of all turns."""
        for index, turn in enumerate(turns):
            if turn.name:
                self._dropped.note("name")
            for part in turn.parts:
                if turn.role == "assistant":
                    self._said(part, f"messages[{index}]")
                else:
                    self._given(part, turn.role, f"messages[{index}]")
            self._break()
        return self.items

    def _break(self) -> None:
        """What comes now is in a message of its own."""
        self._open: tuple[str, list[dict[str, Any]]] | None = None

    _open: tuple[str, list[dict[str, Any]]] | None = None

    def _add(self, role: str, part: dict[str, Any]) -> None:
        if self._open is None or self._open[0] != role:
            self._open = (role, [])
            self.items.append({"type": "message", "role": role, "content": self._open[1]})
        self._open[1].append(part)

    def _item(self, item: dict[str, Any]) -> None:
        self.items.append(item)
        self._break()

    def _given(self, part: Part, role: str, param: str) -> None:
        match part:
            case Text() | Image() | Document():
                self._add(role, content_of(part, param))
            case Refusal():
                self._add(role, {"type": "input_text", "text": part.text})
            case ToolResult():
                self._result(part, param)
            case ToolCall() | Thought():
                self._said(part, param)
            case Audio():
                raise refuse("Sound", _WIRE, param)

    def _said(self, part: Part, param: str) -> None:
        match part:
            case Text():
                self._add("assistant", {"type": "output_text", "text": part.text})
            case Refusal():
                self._add("assistant", {"type": "refusal", "refusal": part.text})
            case Thought():
                self._thought(part)
            case ToolCall():
                self._call(part)
            case ToolResult():
                self._result(part, param)
            case Image() | Document() | Audio():
                raise refuse("A picture, a file or a sound that the model itself has given", _WIRE, param)

    def _thought(self, thought: Thought) -> None:
        if thought.wire == _WIRE and thought.redacted:
            summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
            about = {"id": thought.id} if thought.id.startswith("rs_") else {}
            self._item({"type": "reasoning", **about, "summary": summary, "encrypted_content": thought.redacted})
        elif thought.signature or thought.redacted:
            self._dropped.note("thinking")

    def _call(self, call: ToolCall) -> None:
        if call.signature:
            self._dropped.note("thinking")
        call_id, name = fitted_id(call.id), fitted(call.name)
        if call.custom and call.name in self._customs:
            self._called.add(call_id)
            self._item({"type": "custom_tool_call", "call_id": call_id, "name": name, "input": call.arguments})
            return
        arguments = wrap(call.arguments) if call.custom else call.arguments or "{}"
        self._item({"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments})

    def _result(self, result: ToolResult, param: str) -> None:
        call_id = fitted_id(result.id)
        if result.failed:
            self._dropped.note("is_error")
        output: str | list[dict[str, Any]]
        if all(isinstance(part, Text) for part in result.parts) and len(result.parts) < 2:
            output = "".join(part.text for part in result.parts if isinstance(part, Text))
        else:
            output = [content_of(part, param) for part in result.parts]
        kind = "custom_tool_call_output" if call_id in self._called else "function_call_output"
        self._item({"type": kind, "call_id": call_id, "output": output})


def content_of(part: Text | Image | Document, param: str) -> dict[str, Any]:
    """A part of what a user says, or of what a tool gives."""
    match part:
        case Text():
            return {"type": "input_text", "text": part.text}
        case Image():
            if part.file_id:
                raise refuse("A picture that another provider keeps (file_id)", _WIRE, param)
            url = f"data:{part.media_type or 'image/png'};base64,{part.data}" if part.data else part.url
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case Document():
            return _document(part, param)


def _document(part: Document, param: str) -> dict[str, Any]:
    if part.file_id:
        raise refuse("A file that another provider keeps (file_id)", _WIRE, param)
    if part.text:
        return {"type": "input_text", "text": f"{part.name}\n\n{part.text}" if part.name else part.text}
    if part.data:
        media_type = part.media_type or "application/pdf"
        name = part.name or f"document.{media_type.rsplit('/', 1)[-1]}"
        return {"type": "input_file", "filename": name, "file_data": f"data:{media_type};base64,{part.data}"}
    return {"type": "input_file", "file_url": part.url}

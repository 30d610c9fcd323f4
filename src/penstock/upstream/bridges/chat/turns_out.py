"""Turns out: a conversation as the messages of a chat."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from typing import Any

from penstock.upstream.bridges import custom_tools
from penstock.upstream.bridges.chat import details
from penstock.upstream.bridges.chat.names import call_id
from penstock.upstream.bridges.chat.vendors import Habits
from penstock.upstream.bridges.conversation import Audio, Document, Image, Part, Refusal, Text, Thought, ToolCall, ToolResult, Turn
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.bridges.names import fitted

_ERRORS = ("error", "<tool_use_error>")


class Messages:
    """Writes turns one after another."""

    def __init__(self, habits: Habits, dropped: Dropped) -> None:
        self.written: list[dict[str, Any]] = []
        self._habits = habits
        self._dropped = dropped

    def write(self, turns: list[Turn]) -> list[dict[str, Any]]:
        """All of them."""
        for turn in turns:
            lone = turn.parts[0] if len(turn.parts) == 1 and not turn.name else None
            if type(lone) is Text and lone.cache is None:
                self._put({"role": turn.role, "content": lone.text})  # as most are
            elif turn.role == "assistant":
                self._assistant(turn)
            elif turn.role == "user":
                self._user(turn)
            elif turn.parts:
                self._add("system", self._content(turn.parts), turn.name)
        return self.written

    def _add(self, role: str, content: Any, name: str = "") -> None:
        message = {"role": role, "content": content}
        if name:
            message["name"] = fitted(name)
        self.written.append(message)

    def _user(self, turn: Turn) -> None:
        """What tools have given comes first: it must follow the calls."""
        shown: list[dict[str, Any]] = []
        rest: list[Part] = []
        results = False
        for part in turn.parts:
            if isinstance(part, ToolResult):
                shown += self._result(part)
                results = True
            elif not isinstance(part, Thought | ToolCall):
                rest.append(part)
        if shown:
            self._add("user", shown)
        if rest or not results:
            self._add("user", self._content(rest), turn.name)

    def _result(self, result: ToolResult) -> list[dict[str, Any]]:
        """Write the text of a result; what else is in it is returned as parts for a message of the user, for tools give only text."""
        call = call_id(result.id, short=self._habits.short_ids)
        texts = [part.text for part in result.parts if isinstance(part, Text)]
        shown = [self._part(part) for part in result.parts if not isinstance(part, Text)]
        text = "\n".join(texts)
        if result.failed and not text.lstrip().lower().startswith(_ERRORS):
            text = f"Error: {text}"
        if shown and not text:
            text = "The result is shown in the next message."
        content: Any = text
        if result.cache and self._habits.marks:
            content = [self._marked({"type": "text", "text": text}, result.cache)]
        self.written.append({"role": "tool", "tool_call_id": call, "content": content})
        return [{"type": "text", "text": f"The result of the tool call {call}:"}, *shown] if shown else []

    def _content(self, parts: list[Part]) -> Any:
        """A lone text is a string, which every vendor takes."""
        written = [self._part(part) for part in parts if not isinstance(part, Thought)]
        if not written:
            return ""
        if len(written) == 1 and set(written[0]) == {"type", "text"}:
            return written[0]["text"]
        return written

    def _marked(self, part: dict[str, Any], cache: str | None) -> dict[str, Any]:
        if cache and self._habits.marks:
            part["cache_control"] = {"type": "ephemeral", "ttl": "1h"} if cache == "1h" else {"type": "ephemeral"}
        return part

    def _part(self, part: Part) -> dict[str, Any]:
        match part:
            case Text():
                return self._marked({"type": "text", "text": part.text}, part.cache)
            case Refusal():
                return {"type": "text", "text": part.text}
            case Image():
                return self._marked({"type": "image_url", "image_url": _image(part)}, part.cache)
            case Document():
                return self._marked(self._document(part), part.cache)
            case Audio():
                return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        raise refuse("A part of this kind in this place", "chat", "messages")

    def _document(self, part: Document) -> dict[str, Any]:
        text = part.text or (_decoded(part.data) if part.media_type.startswith("text/") else "")
        if text:
            return {"type": "text", "text": f"{part.name}\n\n{text}" if part.name else text}
        if part.data:
            media_type = part.media_type or "application/pdf"
            name = part.name or f"document.{media_type.rsplit('/', 1)[-1].rsplit('.', 1)[-1]}"
            return {"type": "file", "file": {"filename": name, "file_data": f"data:{media_type};base64,{part.data}"}}
        # Anthropic's ids begin with "file_".
        if part.file_id.startswith("file-") and self._habits.openai:
            return {"type": "file", "file": {"file_id": part.file_id}}
        if part.url:
            raise refuse("A document that is only named by its URL", "chat", "messages")
        raise refuse("A file that another provider keeps", "chat", "messages")

    def _assistant(self, turn: Turn) -> None:
        texts = [part.text for part in turn.parts if isinstance(part, Text)]
        refusals = [part.text for part in turn.parts if isinstance(part, Refusal)]
        calls = [self._call(part) for part in turn.parts if isinstance(part, ToolCall)]
        if any(isinstance(part, Image | Document | Audio) for part in turn.parts):
            self._dropped.note("image")
        message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None}
        if turn.name:
            message["name"] = fitted(turn.name)
        if refusals and self._habits.openai:
            message["refusal"] = "".join(refusals)
        elif refusals:
            message["content"] = "".join([*texts, *refusals])
        self._thoughts([part for part in turn.parts if isinstance(part, Thought)], message, calls=bool(calls))
        if calls:
            message["tool_calls"] = calls
        elif message["content"] is None and "refusal" not in message:
            message["content"] = ""
        marks = [part.cache for part in turn.parts if isinstance(part, Text) and part.cache]
        if marks and self._habits.marks and message["content"]:
            message["content"] = [self._marked({"type": "text", "text": message["content"]}, marks[-1])]
        self._put(message)

    def _put(self, message: dict[str, Any]) -> None:
        """Calls that were made together must be in one message, or the results of the first do not follow it."""
        last = self.written[-1] if self.written else None
        alike = last is not None and last["role"] == message["role"] == "assistant"
        if last is None or not alike or not ("tool_calls" in last or "tool_calls" in message):
            self.written.append(message)
            return
        for name in ("tool_calls", "reasoning_details"):
            if name in message:
                last[name] = last.get(name, []) + message[name]
        for name in ("reasoning_content", "content"):
            if message.get(name):
                before = last.get(name)
                # Texts with marks are lists of one part.
                both = isinstance(before, list) or isinstance(message[name], list)
                last[name] = (
                    _listed(before) + _listed(message[name]) if both else f"{before}\n\n{message[name]}" if before else message[name]
                )

    def _thoughts(self, thoughts: list[Thought], message: dict[str, Any], *, calls: bool) -> None:
        if any(thought.wire not in ("", "chat") and (thought.signature or thought.redacted) for thought in thoughts):
            self._dropped.note("thinking")
        if given := details.given_back(thoughts):
            message["reasoning_details"] = given
        if self._habits.aloud and (calls or any(thought.text for thought in thoughts)):
            message["reasoning_content"] = "".join(thought.text for thought in thoughts)

    def _call(self, call: ToolCall) -> dict[str, Any]:
        name, found = fitted(call.name), call_id(call.id, short=self._habits.short_ids)
        if call.custom and self._habits.customs:
            return {"id": found, "type": "custom", "custom": {"name": name, "input": call.arguments}}
        arguments = custom_tools.wrap(call.arguments) if call.custom else call.arguments or "{}"
        written: dict[str, Any] = {"id": found, "type": "function", "function": {"name": name, "arguments": arguments}}
        if call.signature and self._habits.google:
            written["extra_content"] = {"google": {"thought_signature": call.signature}}
        elif call.signature:
            self._dropped.note("thinking")
        return written


def _image(image: Image) -> dict[str, Any]:
    if image.data:
        url = f"data:{image.media_type or 'image/png'};base64,{image.data}"
    elif image.url:
        url = image.url
    else:
        raise refuse("A picture that another provider keeps", "chat", "messages")
    return {"url": url, "detail": image.detail} if image.detail else {"url": url}


def _decoded(data: str) -> str:
    try:
        return b64decode(data).decode("utf-8", "replace")
    except (Error, ValueError):
        return ""


def _listed(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []

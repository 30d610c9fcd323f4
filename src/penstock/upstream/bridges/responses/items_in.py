"""Items in: the `input` of a request as turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from penstock.upstream.bridges.conversation import Audio, Document, Image, Part, Refusal, Role, Text, Thought, ToolCall, ToolResult, Turn
from penstock.upstream.bridges.responses.fields import data_url, given, rows, stateful, table, text, type_of_file, wrong
from penstock.upstream.bridges.responses.tools_in import SEARCH, flat_name
from penstock.upstream.bridges.sealed import unseal

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
DROPPED_ITEMS = frozenset(
    (
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "computer_call",
        "computer_call_output",
        "mcp_call",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "configuration_update",
        "program",
        "program_output",
    )
)
"""What the provider's own tools have done: what the model has said of it is in its messages."""
_RUN_BY_CLIENT = {"local_shell_call": "action", "shell_call": "action", "apply_patch_call": "operation"}
"""Calls of OpenAI's tools that the client has run, and the field that says what was called for."""
_GIVEN_BY_CLIENT = frozenset(("local_shell_call_output", "shell_call_output", "apply_patch_call_output"))
_KEEP_ITEMS = "Send the whole conversation as items of `input`."


class Reading:
    """Turns as they are read. What one side says without a break is one turn."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.dropped: list[str] = []
        self.more_tools: list[tuple[str, Any]] = []
        """What `additional_tools` items bring: where it stood, and the tools."""
        self._names: dict[str, str] = {}

    def all(self, value: Any) -> None:
        """Read the whole `input`."""
        if type(value) is str:
            self.turns.append(Turn("user", [Text(value)]))
            return
        if type(value) is not list:
            raise wrong("input", "a string or a list of items")
        for index, item in enumerate(value):
            param = f"input[{index}]"
            if type(item) is str:
                self.turns.append(Turn("user", [Text(item)]))
                continue
            if type(item) is not dict:
                raise wrong(param, "an object")
            self._item(item, param)

    def _item(self, item: dict[str, Any], param: str) -> None:
        kind = text(item.get("type"), f"{param}.type") or ("message" if "role" in item else "item_reference")
        reader = self._readers.get(kind)
        if reader is not None:
            reader(self, item, param)
        elif kind in _RUN_BY_CLIENT:
            self._run_by_client(item, param)
        elif kind in _GIVEN_BY_CLIENT:
            self._result(item, param)
        elif kind in DROPPED_ITEMS:
            self.dropped.append(f"input.{kind}")
        elif kind == "item_reference":
            raise stateful("References to stored items are", _KEEP_ITEMS, param)
        elif kind in ("compaction", "compaction_trigger", "compaction_summary"):
            raise stateful("Compacted conversations are", "Only OpenAI can read them. " + _KEEP_ITEMS, param)
        else:
            raise wrong(f"{param}.type", "the type of an item, such as message, function_call or function_call_output")

    def _message(self, item: dict[str, Any], param: str) -> None:
        role = _ROLES.get(given(item.get("role"), f"{param}.role"))
        if role is None:
            raise wrong(f"{param}.role", "user, assistant, system or developer")
        parts = parts_of(item.get("content"), f"{param}.content")
        if role == "assistant":
            for part in parts:
                self._say(part)
        else:
            self.turns.append(Turn(role, parts))

    def _say(self, part: Part) -> None:
        if not self.turns or self.turns[-1].role != "assistant":
            self.turns.append(Turn("assistant", []))
        self.turns[-1].parts.append(part)

    def _call(self, item: dict[str, Any], param: str) -> None:
        custom = item["type"] == "custom_tool_call"
        field = "input" if custom else "arguments"
        name = flat_name(text(item.get("namespace"), f"{param}.namespace"), given(item.get("name"), f"{param}.name"))
        arguments = item.get(field)
        if type(arguments) in (dict, list):
            arguments = msgspec.json.encode(arguments).decode()
        call_id = given(item.get("call_id") or item.get("id"), f"{param}.call_id")
        self._names[call_id] = name
        self._say(ToolCall(call_id, name, text(arguments, f"{param}.{field}"), custom=custom, signature=self._proof()))

    def _proof(self) -> str:
        """Gemini's signature for the call that comes now, which was packed as an empty thought."""
        parts = self.turns[-1].parts if self.turns else []
        last = parts[-1] if parts else None
        if isinstance(last, Thought) and last.wire == "gemini" and last.signature and not last.text:
            parts.pop()
            return last.signature
        return ""

    def _run_by_client(self, item: dict[str, Any], param: str) -> None:
        kind = item["type"]
        name, field = kind.removesuffix("_call"), _RUN_BY_CLIENT[kind]
        call_id = given(item.get("call_id") or item.get("id"), f"{param}.call_id")
        self._names[call_id] = name
        self._say(ToolCall(call_id, name, msgspec.json.encode(table(item.get(field), f"{param}.{field}")).decode()))

    def _result(self, item: dict[str, Any], param: str) -> None:
        call_id = given(item.get("call_id") or item.get("id"), f"{param}.call_id")
        output = item.get("output")
        if type(output) is dict or (type(output) is list and item["type"] == "shell_call_output"):
            output = msgspec.json.encode(output).decode()
        parts = [part for part in parts_of(output, f"{param}.output") if isinstance(part, Text | Image | Document)]
        failed = item.get("status") in ("failed", "incomplete")
        result = ToolResult(call_id, parts, self._names.get(call_id, ""), failed)
        last = self.turns[-1] if self.turns else None
        if last is not None and last.role == "user" and last.parts and isinstance(last.parts[-1], ToolResult):
            last.parts.append(result)
        else:
            self.turns.append(Turn("user", [result]))

    def _reasoning(self, item: dict[str, Any], param: str) -> None:
        summary = [_words(part, f"{param}.summary[{n}]") for n, part in enumerate(rows(item.get("summary"), f"{param}.summary"))]
        content = [_words(part, f"{param}.content[{n}]") for n, part in enumerate(rows(item.get("content"), f"{param}.content"))]
        sealed = text(item.get("encrypted_content"), f"{param}.encrypted_content")
        thought = unseal(sealed) if sealed else None
        if thought is None:
            thought = Thought(redacted=sealed, id=text(item.get("id"), f"{param}.id"), wire="responses" if sealed else "")
        thought.text = "".join(content) or "\n\n".join(summary)
        if thought.text or thought.signature or thought.redacted:
            self._say(thought)

    def _search(self, item: dict[str, Any], param: str) -> None:
        """A call of the client's own search for tools; that of OpenAI's is left out."""
        if item.get("execution") != "client":
            self.dropped.append("input.tool_search_call")
            return
        call_id = given(item.get("call_id") or item.get("id"), f"{param}.call_id")
        self._names[call_id] = SEARCH
        arguments = msgspec.json.encode(item.get("arguments") or {}).decode()
        self._say(ToolCall(call_id, SEARCH, arguments, signature=self._proof()))

    def _found(self, item: dict[str, Any], param: str) -> None:
        """What a search has found: the tools can be called from now on."""
        self._additional_tools(item, param)
        if item.get("execution") == "client":
            found = msgspec.json.encode(rows(item.get("tools"), f"{param}.tools")).decode()
            self._result({**item, "output": found}, param)

    def _additional_tools(self, item: dict[str, Any], param: str) -> None:
        self.more_tools.append((f"{param}.tools", item.get("tools")))

    _readers: ClassVar[dict[str, Callable[[Reading, dict[str, Any], str], None]]] = {
        "message": _message,
        "function_call": _call,
        "custom_tool_call": _call,
        "function_call_output": _result,
        "custom_tool_call_output": _result,
        "reasoning": _reasoning,
        "additional_tools": _additional_tools,
        "tool_search_call": _search,
        "tool_search_output": _found,
    }


def parts_of(content: Any, param: str) -> list[Part]:
    """The parts of a message, or of what a tool has given."""
    if content is None:
        return []
    if type(content) is str:
        return [Text(content)]
    if type(content) is not list:
        raise wrong(param, "a string or a list of parts")
    return [_part(part, f"{param}[{index}]") for index, part in enumerate(content)]


def _part(part: Any, param: str) -> Part:
    if type(part) is str:
        return Text(part)
    if type(part) is not dict:
        raise wrong(param, "an object")
    kind = part.get("type")
    cache = _cache(part.get("prompt_cache_breakpoint"), f"{param}.prompt_cache_breakpoint")
    if kind in ("input_text", "output_text", "text", "summary_text", "reasoning_text"):
        return Text(text(part.get("text"), f"{param}.text"), cache)
    if kind == "refusal":
        return Refusal(text(part.get("refusal"), f"{param}.refusal"))
    if kind in ("input_image", "image_url", "computer_screenshot"):
        return _image(part, param, cache)
    if kind in ("input_file", "file"):
        return _document(part, param, cache)
    if kind == "input_audio":
        audio = table(part.get("input_audio"), f"{param}.input_audio")
        return Audio(given(audio.get("data"), f"{param}.input_audio.data"), given(audio.get("format"), f"{param}.input_audio.format"))
    raise wrong(f"{param}.type", "the type of a part, such as input_text, output_text, input_image or input_file")


def _words(part: Any, param: str) -> str:
    return part if type(part) is str else text(table(part, param).get("text"), f"{param}.text")


def _cache(mark: Any, param: str) -> str | None:
    if mark is None:
        return None
    return "1h" if table(mark, param).get("ttl") == "12h" else "5m"


def _image(part: dict[str, Any], param: str, cache: str | None) -> Image:
    url: Any = part.get("image_url")
    detail: Any = part.get("detail")
    if isinstance(url, dict):  # as chat has it
        url, detail = url.get("url"), url.get("detail", detail)
    url = text(url, f"{param}.image_url")
    detail = text(detail, f"{param}.detail")
    if url[:5].lower() == "data:":
        media_type, data = data_url(url)
        return Image(media_type or "image/png", data, detail=detail, cache=cache)
    file_id = text(part.get("file_id"), f"{param}.file_id")
    if not url and not file_id:
        raise wrong(f"{param}.image_url", "a URL, or a data: URL")
    return Image(url=url, file_id=file_id, detail=detail, cache=cache)


def _document(part: dict[str, Any], param: str, cache: str | None) -> Document:
    if type(part.get("file")) is dict:  # as chat has it
        part, param = part["file"], f"{param}.file"
    data = text(part.get("file_data"), f"{param}.file_data")
    url = text(part.get("file_url"), f"{param}.file_url")
    file_id = text(part.get("file_id"), f"{param}.file_id")
    name = text(part.get("filename"), f"{param}.filename")
    if not (data or url or file_id):
        raise wrong(param, "a file: give file_data, file_url or file_id")
    media_type = ""
    if data:
        media_type = type_of_file(name)
        if data[:5].lower() == "data:":
            found, data = data_url(data)
            media_type = found or media_type
    return Document(media_type, data, url=url, file_id=file_id, name=name, cache=cache)

"""Blocks that come in: the content of a client's messages, as parts of a turn."""

from __future__ import annotations

from typing import Any

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Document, Image, Part, Text, Thought, ToolCall, ToolResult
from penstock.upstream.bridges.messages.reading import fields, objects, text, truth, wrong
from penstock.upstream.bridges.messages.words import arguments_of
from penstock.upstream.bridges.sealed import unseal

HOSTED = ("server_tool_use", "mcp_tool_use", "mcp_tool_result", "compaction", "tool_reference", "browser_state", "fallback")
"""Blocks that only Anthropic can read. So are all that end in `_tool_result`. They are left out, and noted."""

Left = dict[str, Any]
"""What was left out, by name."""


def cache_of(block: dict[str, Any], param: str) -> str | None:
    """How long the provider is to keep everything up to here."""
    mark = fields(block.get("cache_control"), f"{param}.cache_control")
    if not mark:
        return None
    return "1h" if mark.get("ttl") == "1h" else "5m"


def texts(value: Any, param: str) -> list[Text]:
    """A string, or a list of text blocks, each kept apart."""
    if isinstance(value, str):
        return [Text(value)] if value else []
    found = []
    for index, block in enumerate(objects(value, param)):
        at = f"{param}[{index}]"
        if block.get("type", "text") != "text":
            raise wrong(f"{at}.type", "Input should be 'text'.")
        found.append(Text(text(block.get("text"), f"{at}.text"), cache_of(block, at)))
    return found


def parts(content: Any, param: str, left: Left) -> list[Part]:
    """A message's content, which is a string or a list of blocks."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    if content is None:
        raise wrong(param, "Field required.")
    found: list[Part] = []
    proof = ""
    for index, block in enumerate(objects(content, param)):
        read = _part(block, f"{param}[{index}]", left)
        # What proves a call of Gemini's stands before it, without a text.
        if proof and len(read) == 1 and isinstance(read[0], ToolCall):
            read[0].signature = proof
            found.pop()
        one = read[0] if len(read) == 1 else None
        alone = isinstance(one, Thought) and one.wire == "gemini" and not one.text and not one.redacted
        proof = one.signature if alone and isinstance(one, Thought) else ""
        found += read
    return found


def _part(block: dict[str, Any], at: str, left: Left) -> list[Part]:
    kind = text(block.get("type"), f"{at}.type")
    match kind:
        case "tool_use":
            return [_call(block, at)]
        case "tool_result":
            return [_result(block, at, left)]
        case "thinking":
            return _thought(block, at)
        case "redacted_thinking":
            data = text(block.get("data"), f"{at}.data")
            return [unseal(data) or Thought(redacted=data, wire="messages")] if data else []
    if kind not in ("text", "image", "document", "search_result") and (kind in HOSTED or kind.endswith("_tool_result")):
        left[kind] = True
        return []
    return [*_shown(block, kind, at, left)]


def _shown(block: dict[str, Any], kind: str, at: str, left: Left) -> list[Text | Image | Document]:
    """What may be in a tool's result as well."""
    match kind:
        case "text":
            if type(block.get("text")) is not str:
                raise wrong(f"{at}.text", "Input should be a string.")
            return [Text(block["text"], cache_of(block, at))]
        case "image":
            return [_image(block, at)]
        case "document":
            return _document(block, at, left)
        case "search_result":
            heads = [text(block.get(name), f"{at}.{name}") for name in ("title", "source")]
            body = [part.text for part in texts(block.get("content"), f"{at}.content")]
            return [Text("\n".join(line for line in (*heads, *body) if line), cache_of(block, at))]
        case "container_upload":
            raise PenstockError("cannot_translate", "Files in a container can only be used with Anthropic's own API.", param=at)
    raise wrong(f"{at}.type", f"There is no content block of type '{kind[:64]}'.")


def _call(block: dict[str, Any], at: str) -> ToolCall:
    return ToolCall(_required(block, "id", at), _required(block, "name", at), arguments_of(block.get("input")))


def _result(block: dict[str, Any], at: str, left: Left) -> ToolResult:
    content = block.get("content")
    shown: list[Text | Image | Document] = []
    if isinstance(content, str):
        shown = [Text(content)] if content else []
    else:
        for index, item in enumerate(objects(content, f"{at}.content")):
            inner = f"{at}.content[{index}]"
            kind = text(item.get("type"), f"{inner}.type")
            if kind in HOSTED:
                left[kind] = True
            else:
                shown += _shown(item, kind, inner, left)
    failed = truth(block.get("is_error"), f"{at}.is_error")
    return ToolResult(_required(block, "tool_use_id", at), shown, "", bool(failed), cache_of(block, at))


def _thought(block: dict[str, Any], at: str) -> list[Part]:
    words, signature = text(block.get("thinking"), f"{at}.thinking"), text(block.get("signature"), f"{at}.signature")
    if not words and not signature:
        return []
    sealed = unseal(signature)
    if sealed is not None:
        sealed.text = words
        return [sealed]
    return [Thought(words, signature, wire="messages" if signature else "")]


def _required(block: dict[str, Any], name: str, at: str) -> str:
    found = text(block.get(name), f"{at}.{name}")
    if not found:
        raise wrong(f"{at}.{name}", "Field required.")
    return found


def _image(block: dict[str, Any], at: str) -> Image:
    source = fields(block.get("source"), f"{at}.source")
    cache = cache_of(block, at)
    match source.get("type"):
        case "base64":
            media_type = _required(source, "media_type", f"{at}.source")
            return Image(media_type, _required(source, "data", f"{at}.source"), cache=cache)
        case "url":
            return Image(url=_required(source, "url", f"{at}.source"), cache=cache)
        case "file":
            return Image(file_id=_required(source, "file_id", f"{at}.source"), cache=cache)
    raise wrong(f"{at}.source.type", "Input should be 'base64', 'url' or 'file'.")


def _document(block: dict[str, Any], at: str, left: Left) -> list[Text | Image | Document]:
    source = fields(block.get("source"), f"{at}.source")
    name, context = text(block.get("title"), f"{at}.title"), text(block.get("context"), f"{at}.context")
    found = Document(name=name, cache=cache_of(block, at))
    after: list[Text | Image | Document] = []
    match source.get("type"):
        case "base64":
            found.media_type = _required(source, "media_type", f"{at}.source")
            found.data = _required(source, "data", f"{at}.source")
        case "url":
            found.media_type, found.url = "application/pdf", _required(source, "url", f"{at}.source")
        case "file":
            found.file_id = _required(source, "file_id", f"{at}.source")
        case "text":
            found.media_type, found.text = "text/plain", text(source.get("data"), f"{at}.source.data")
        case "content":
            found.media_type = "text/plain"
            found.text, after = _in_blocks(source.get("content"), f"{at}.source.content", left)
        case _:
            raise wrong(f"{at}.source.type", "Input should be 'base64', 'url', 'file', 'text' or 'content'.")
    if fields(block.get("citations"), f"{at}.citations").get("enabled"):
        left["citations"] = True
    # The context is for the model to read, and no other wire has a place for it.
    return [Text(context), found, *after] if context else [found, *after]


def _in_blocks(content: Any, at: str, left: Left) -> tuple[str, list[Text | Image | Document]]:
    if isinstance(content, str):
        return content, []
    words: list[str] = []
    after: list[Text | Image | Document] = []
    for index, block in enumerate(objects(content, at)):
        inner = f"{at}[{index}]"
        for part in _shown(block, text(block.get("type"), f"{inner}.type"), inner, left):
            if isinstance(part, Text):
                words.append(part.text)
            else:
                after.append(part)
    return "\n\n".join(words), after

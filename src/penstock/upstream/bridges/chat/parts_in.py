"""Parts in: the content of messages, as OpenAI's clients write it and as those do that mix it with Responses or with Anthropic's parts."""

from __future__ import annotations

from mimetypes import guess_type
from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.chat.fields import Fields, wrong
from penstock.upstream.bridges.conversation import Audio, Document, Image, Part, Refusal, Text, Thought, ToolCall, ToolResult
from penstock.upstream.bridges.sealed import unseal

_NOT_SAYABLE = frozenset(("video_url", "input_video", "video", "output_audio"))


def content(value: Any, where: str) -> list[Part]:
    """A message's content: a string, a list of parts, one part alone, or null."""
    if value is None:
        return []
    if isinstance(value, str):
        return [Text(value)] if value else []
    if isinstance(value, dict):
        return _part(value, where)
    if not isinstance(value, list):
        raise wrong(where, "a string or a list of parts")
    parts: list[Part] = []
    for index, one in enumerate(value):
        if isinstance(one, str):
            parts.append(Text(one))
        elif one is not None:
            parts += _part(one, f"{where}[{index}]")
    return parts


def mark(value: Any) -> str | None:
    """How long to cache, from a `cache_control` of Anthropic's kind."""
    if not isinstance(value, dict) or value.get("type") != "ephemeral":
        return None
    return "1h" if value.get("ttl") == "1h" else "5m"


def marked(parts: list[Part], cache: str | None) -> None:
    """Put the mark of a whole message on its last part that can have one."""
    if cache is None:
        return
    for part in reversed(parts):
        if isinstance(part, Text | Image | Document | ToolResult):
            part.cache = part.cache or cache
            return


def _part(value: Any, where: str) -> list[Part]:
    fields = Fields(value, where)
    kind = fields.text("type") or ("text" if "text" in fields.left else "")
    # OpenAI's own way to mark (the shortest of its lives is half an hour) is put as the longer of the two that there are.
    cache = mark(fields.any("cache_control")) or ("1h" if isinstance(fields.any("prompt_cache_breakpoint"), dict) else None)
    match kind:
        case "text" | "input_text" | "output_text":
            text = fields.text("text")
            return [Text(text, cache)] if text else []
        case "refusal":
            return [Refusal(fields.text("refusal") or "")]
        case "image_url" | "input_image":
            return [_image(fields, cache)]
        case "file" | "input_file":
            return [_file(fields.inner("file") or fields, cache)]
        case "input_audio":
            inner = fields.inner("input_audio") or fields
            return [Audio(inner.needed("data"), inner.text("format") or "wav")]
        case _:
            return _anthropic(kind, fields, cache)


def _image(fields: Fields, cache: str | None) -> Image:
    found = fields.left.get("image_url")
    if isinstance(found, dict):
        inner = Fields(found, fields.at("image_url"))
        url, detail = inner.needed("url"), inner.text("detail") or ""
    else:
        url, detail = fields.text("image_url") or "", fields.text("detail") or ""
    file_id = fields.text("file_id") or ""
    if not url and not file_id:
        raise wrong(fields.at("image_url"), "an object with the url of a picture")
    media_type, data = from_data_url(url)
    if data:
        return Image(media_type or "image/png", data, detail=detail, cache=cache)
    return Image(url=url, file_id=file_id, detail=detail, cache=cache)


def _file(fields: Fields, cache: str | None) -> Document:
    name = fields.text("filename") or ""
    file_id, data = fields.text("file_id") or "", fields.text("file_data") or ""
    url = fields.text("file_url") or ""
    if not (file_id or data or url):
        raise wrong(fields.at("file_data"), "the content of a file")
    if data.startswith(("https://", "http://")):
        data, url = "", data
    media_type, plain = from_data_url(data)
    if data and not media_type:
        media_type = guess_type(name)[0] or "application/pdf"
    return Document(media_type, plain or data, url=url, file_id=file_id, name=name, cache=cache)


def from_data_url(url: str) -> tuple[str, str]:
    """The media type and the base64 of a data URL; two empty strings for any other."""
    if url[:5].lower() != "data:":
        return "", ""
    head, comma, data = url[5:].partition(",")
    media_type, _, encoding = head.partition(";")
    return (media_type, data) if comma and encoding.lower().endswith("base64") else ("", "")


def _anthropic(kind: str, fields: Fields, cache: str | None) -> list[Part]:
    """Parts of Anthropic's kind, which some clients send in chats when the model's name is one of Anthropic's."""
    match kind:
        case "thinking":
            text, signature = fields.text("thinking") or "", fields.text("signature") or ""
            return [_restored(text, signature)]
        case "redacted_thinking":
            return [_restored("", fields.text("data") or "")]
        case "tool_use":
            arguments = fields.any("input")
            return [ToolCall(fields.needed("id"), fields.needed("name"), as_arguments(arguments))]
        case "tool_result":
            name, where = fields.needed("tool_use_id"), fields.at("content")
            return [result(name, fields.any("content"), where, failed=fields.flag("is_error") or False, cache=cache)]
        case "image" | "document":
            source = fields.inner("source")
            if source is None:
                raise wrong(fields.at("source"), "an object")
            return [_source(kind, source, fields.text("title") or "", cache)]
    if kind in _NOT_SAYABLE:
        raise PenstockError("cannot_translate", f'No other protocol has a part of the type "{kind}".', param=fields.at("type"))
    raise wrong(fields.at("type"), "the type of a part, such as text or image_url")


def _restored(text: str, word: str) -> Thought:
    thought = unseal(word) or Thought()
    thought.text = text
    return thought


def _source(kind: str, source: Fields, name: str, cache: str | None) -> Image | Document:
    media_type, data = source.text("media_type") or "", source.text("data") or ""
    url, file_id = source.text("url") or "", source.text("file_id") or ""
    if not (data or url or file_id):
        raise wrong(source.at("data"), "the content of the part")
    if kind == "image":
        return Image(media_type or "image/png", data, url, file_id, cache=cache)
    if source.text("type") == "text":
        return Document(text=data, name=name, cache=cache)
    return Document(media_type or "application/pdf", data, "", url, file_id, name, cache)


def result(call_id: str, value: Any, where: str, *, failed: bool = False, cache: str | None = None) -> ToolResult:
    """What a tool has given: text, parts, or any JSON by those who forget to write it as text."""
    if isinstance(value, bool | int | float) or (isinstance(value, dict) and "type" not in value):
        value = as_arguments(value)
    parts: list[Text | Image | Document] = []
    for part in content(value, where):
        if isinstance(part, Refusal):
            parts.append(Text(part.text))
        elif isinstance(part, Text | Image | Document):
            parts.append(part)
        else:
            raise wrong(where, "text, or parts of text, pictures and files")
    return ToolResult(call_id, parts, failed=failed, cache=cache)


def as_arguments(value: Any) -> str:
    """The arguments of a call as JSON text, which some write as an object."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()

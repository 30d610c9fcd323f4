"""Parts written: what a turn says, as the parts of a content for Gemini."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Audio, Document, Image, Part, Refusal, Text, Thought, ToolCall, ToolResult
from penstock.upstream.bridges.custom_tools import wrap
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.bridges.gemini.signatures import ANY, WIRE, generation
from penstock.upstream.dialects.text import clean

_KINDS = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif", "heic": "image/heic",
    "heif": "image/heif", "bmp": "image/bmp", "pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "csv": "text/csv",
    "html": "text/html", "json": "application/json", "xml": "text/xml", "mp4": "video/mp4", "webm": "video/webm", "mov": "video/quicktime",
}  # fmt: skip
"""Media types by how a URL ends."""
_GOOGLES = ("https://generativelanguage.googleapis.com/", "gs://", "files/")


class Writer:
    """Writes the parts of one request for one model: a result needs the name of its call, which is in an earlier turn."""

    def __init__(self, model: str, dropped: Dropped) -> None:
        self._dropped = dropped
        self._names: dict[str, str] = {}
        generated = generation(model)
        self._proves = generated >= 3
        """A call without a signature is refused."""
        self._shows = generated >= 3
        """Results may have pictures in them."""

    def parts(self, parts: Iterable[Part]) -> list[dict[str, Any]]:
        """The parts of one turn. Raises PenstockError `cannot_translate`."""
        found: list[dict[str, Any]] = []
        after: list[dict[str, Any]] = []
        proof = ""
        calls = 0
        for part in parts:
            if isinstance(part, Thought):
                if part.signature and not part.text and part.wire == WIRE:
                    proof = part.signature  # of the call that follows
                else:
                    found += self._thought(part)
            elif isinstance(part, ToolCall):
                found.append(self._call(part, proof, first=not calls))
                calls += 1
                proof = ""
            elif isinstance(part, ToolResult):
                found.append(self._result(part, after))
            else:
                found += self._said(part)
        if proof:
            found.append({"text": "", "thoughtSignature": proof})
        return found + after

    def _said(self, part: Part) -> list[dict[str, Any]]:
        match part:
            case Text() | Refusal():
                return [{"text": clean(part.text)}] if part.text else []
            case Image():
                return [self._image(part)]
            case Document():
                return [self._document(part)]
            case Audio():
                return [_inline(f"audio/{part.format or 'wav'}", part.data)]
        return []

    def _thought(self, thought: Thought) -> list[dict[str, Any]]:
        if thought.wire == WIRE and thought.signature:
            return [{"text": clean(thought.text), "thought": True, "thoughtSignature": clean(thought.signature)}]
        if thought.signature or thought.redacted:
            self._dropped.note("thinking")
        return []

    def _call(self, call: ToolCall, proof: str, *, first: bool) -> dict[str, Any]:
        self._names[call.id] = call.name
        arguments = wrap(call.arguments) if call.custom else call.arguments
        made: dict[str, Any] = {"name": clean(call.name), "args": arguments_of(arguments)}
        if call.id:
            made["id"] = clean(call.id)
        part: dict[str, Any] = {"functionCall": made}
        signature = call.signature or proof or (ANY if self._proves and first else "")
        if signature:
            part["thoughtSignature"] = clean(signature)
        return part

    def _result(self, result: ToolResult, after: list[dict[str, Any]]) -> dict[str, Any]:
        words: list[str] = []
        shown: list[dict[str, Any]] = []
        for part in result.parts:
            if isinstance(part, Text):
                words.append(part.text)
            else:
                shown += self._said(part)
        name = result.name or self._names.get(result.id) or result.id or "tool"
        made: dict[str, Any] = {"name": clean(name), "response": _response("\n".join(words), failed=result.failed)}
        if result.id:
            made["id"] = clean(result.id)
        inline = [item for item in shown if "inlineData" in item] if self._shows else []
        if inline:
            made["parts"] = inline
        after += [item for item in shown if item not in inline]
        return {"functionResponse": made}

    def _image(self, image: Image) -> dict[str, Any]:
        if image.detail and image.detail != "auto":
            self._dropped.note("detail")
        if image.data:
            return _inline(image.media_type or "image/png", image.data)
        return _by_uri(image.url, image.file_id, image.media_type, "image/jpeg")

    def _document(self, document: Document) -> dict[str, Any]:
        if document.data:
            return _inline(document.media_type or "application/pdf", document.data)
        if document.url or document.file_id:
            return _by_uri(document.url, document.file_id, document.media_type, "application/pdf")
        return {"text": clean(f"{document.name}\n\n{document.text}" if document.name else document.text)}


def _inline(kind: str, data: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": clean(kind), "data": clean(data)}}


def _by_uri(url: str, file_id: str, kind: str, otherwise: str) -> dict[str, Any]:
    uri = url
    if not uri:
        if not file_id.startswith(_GOOGLES):
            raise refuse("A file that another provider keeps", WIRE)
        uri = file_id
    ending = uri.partition("?")[0].partition("#")[0].rpartition(".")[2].lower()
    return {"fileData": {"mimeType": clean(kind or _KINDS.get(ending, otherwise)), "fileUri": clean(uri)}}


def arguments_of(arguments: str) -> Any:
    """The arguments of a call as Google has them: an object, empty where the text is none."""
    try:
        found = msgspec.json.decode(clean(arguments), type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return msgspec.Raw(clean(arguments)) if found else {}


def _response(text: str, *, failed: bool) -> Any:
    """A result as an object, which it may be by itself."""
    if failed:
        return {"error": clean(text)}
    return arguments_of(text) or {"output": clean(text)}

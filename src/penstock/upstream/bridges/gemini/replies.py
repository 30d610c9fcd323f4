"""Replies: a `GenerateContentResponse`, read and written."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.ids import new_id
from penstock.upstream.bridges.conversation import Audio, Image, Part, Refusal, Reply, Text, Thought, ToolCall
from penstock.upstream.bridges.custom_tools import wrap
from penstock.upstream.bridges.gemini import finishes
from penstock.upstream.bridges.gemini.parts_out import arguments_of
from penstock.upstream.bridges.gemini.signatures import WIRE, shown
from penstock.upstream.bridges.side import About
from penstock.upstream.dialects.text import clean
from penstock.upstream.usage import Usage
from penstock.upstream.wires import gemini_usage


class Blob(msgspec.Struct, gc=False, rename="camel"):
    """Something that is not text, in base64."""

    mime_type: str = ""
    data: str = ""


class Called(msgspec.Struct, gc=False):
    """A call of a function."""

    name: str = ""
    id: str | None = None
    args: msgspec.Raw = msgspec.Raw()


class Piece(msgspec.Struct, gc=False, rename="camel"):
    """A part of what a model says. What Google's own tools did is left out: nobody else asks for them."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: Called | None = None
    inline_data: Blob | None = None


class Content(msgspec.Struct, gc=False):
    """What a model says."""

    parts: list[Piece] | None = None


class Candidate(msgspec.Struct, gc=False, rename="camel"):
    """One of the answers; we only ask for one."""

    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None


class Feedback(msgspec.Struct, gc=False, rename="camel"):
    """Why a prompt was not answered."""

    block_reason: str | None = None
    block_reason_message: str | None = None


class Response(msgspec.Struct, gc=False, rename="camel"):
    """An answer, or a chunk of one."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: msgspec.Raw = msgspec.Raw()
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None


_DECODE = msgspec.json.Decoder(Response).decode
_FIGURES = msgspec.json.Decoder(gemini_usage.Figures).decode


def read_chunk(data: bytes) -> Response:
    """An answer or a chunk. Raises ValueError (msgspec's errors are) or RecursionError."""
    return _DECODE(data)


def usage_in(figures: msgspec.Raw) -> Usage:
    """The usage of an answer; nothing but a call where it is not stated, or makes no sense."""
    try:
        return gemini_usage.normalised(_FIGURES(figures)) if figures else Usage()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Usage()


def call_in(called: Called, signature: str) -> ToolCall:
    """A call of a tool; it gets an id where the model has given none."""
    return ToolCall(called.id or new_id("call"), called.name, arguments_in(called.args), signature=signature)


def arguments_in(args: msgspec.Raw) -> str:
    """The arguments as JSON text; an empty object where they are none."""
    text = bytes(args).strip()
    return text.decode("utf-8", "replace") if text.startswith(b"{") else "{}"


def blocked(feedback: Feedback) -> str:
    """What is said of a prompt that was blocked."""
    return feedback.block_reason_message or f"The provider has blocked the prompt: {feedback.block_reason}."


def read_reply(body: bytes) -> Reply:
    """A provider's whole answer. Raises ValueError for one that cannot be read or has nothing in it."""
    try:
        response = read_chunk(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    reply = Reply(response.response_id or "", response.model_version or "", [], "end", usage_in(response.usage_metadata))
    if not response.candidates:
        feedback = response.prompt_feedback
        if feedback is None or not feedback.block_reason:
            raise ValueError("it has no candidates")
        reply.parts, reply.stop = [Refusal(blocked(feedback))], "refusal"
        return reply
    candidate = response.candidates[0]
    for piece in (candidate.content.parts if candidate.content is not None else None) or ():
        _take(piece, reply.parts)
    finish = candidate.finish_reason or ""
    if not reply.parts and finishes.failed(finish):
        raise ValueError(candidate.finish_message or f"the model has said nothing and ended with {finish or 'no reason'}")
    reply.stop = finishes.stop_of(finish, calls=any(isinstance(part, ToolCall) for part in reply.parts))
    if reply.stop == "refusal" and not reply.parts:
        reply.parts = [Refusal(candidate.finish_message or f"The provider has stopped the answer: {finish}.")]
    return reply


def _take(piece: Piece, parts: list[Part]) -> None:
    before = parts[-1] if parts else None
    if piece.function_call is not None and piece.function_call.name:
        parts.append(call_in(piece.function_call, piece.thought_signature or ""))
    elif piece.inline_data is not None:
        kind, data = piece.inline_data.mime_type, piece.inline_data.data
        if kind.startswith("image/"):
            parts.append(Image(kind, data))
        elif kind.startswith("audio/"):
            parts.append(Audio(data, kind.removeprefix("audio/")))
    elif piece.text is None:
        return
    elif piece.thought:
        if isinstance(before, Thought) and not before.signature:
            before.text += piece.text
            before.signature = piece.thought_signature or ""
        elif piece.text or piece.thought_signature:
            parts.append(Thought(piece.text, piece.thought_signature or "", wire=WIRE))
    elif isinstance(before, Text):
        before.text += piece.text
    elif piece.text:
        parts.append(Text(piece.text))


def write_reply(reply: Reply, about: About) -> bytes:
    """The client's whole answer."""
    parts = _parts(reply.parts, about)
    candidate: dict[str, Any] = {
        "content": {"parts": parts or [{"text": ""}], "role": "model"},
        "finishReason": finishes.finish_of(reply.stop),
        "index": 0,
    }
    return msgspec.json.encode(
        {
            "candidates": [candidate],
            "usageMetadata": gemini_usage.written(reply.usage),
            "modelVersion": clean(reply.model or about.model),
            "responseId": clean(reply.id or about.request_id),
        }
    )


def _parts(said: list[Part], about: About) -> list[dict[str, Any]]:
    """What was said. The proof of a thought that is not shown goes with the call that it has led to."""
    thoughts = bool(about.asked.shows_thoughts)
    parts: list[dict[str, Any]] = []
    proof = ""
    for part in said:
        if isinstance(part, Thought) and not thoughts:
            proof = shown(part) or proof
            continue
        written = _written(part, about)
        if isinstance(part, ToolCall) and proof:
            written[0].setdefault("thoughtSignature", proof)
            proof = ""
        parts += written
    return parts


def _written(part: Part, about: About) -> list[dict[str, Any]]:
    match part:
        case Text() | Refusal():
            return [{"text": clean(part.text)}] if part.text else []
        case Thought():
            return [thought_part(part)]
        case ToolCall():
            return [call_part(part, about)]
        case Image() if part.data:
            return [image_part(part)]
        case Image():
            return [{"fileData": {"mimeType": part.media_type or "image/png", "fileUri": clean(part.url)}}] if part.url else []
        case Audio():
            return [{"inlineData": {"mimeType": f"audio/{part.format}", "data": part.data}}]
    return []


def thought_part(thought: Thought) -> dict[str, Any]:
    """A thought as clients of Gemini's get it."""
    made: dict[str, Any] = {"text": clean(thought.text), "thought": True}
    signature = shown(thought)
    if signature:
        made["thoughtSignature"] = clean(signature)
    return made


def image_part(image: Image) -> dict[str, Any]:
    """A picture."""
    return {"inlineData": {"mimeType": image.media_type or "image/png", "data": image.data}}


def call_part(call: ToolCall, about: About) -> dict[str, Any]:
    """A call, under the name that the client knows."""
    arguments = wrap(call.arguments) if call.custom else call.arguments
    made: dict[str, Any] = {"name": clean(about.aliases.get(call.name, call.name)), "args": arguments_of(arguments)}
    if call.id:
        made["id"] = clean(call.id)
    part: dict[str, Any] = {"functionCall": made}
    if call.signature:
        part["thoughtSignature"] = clean(call.signature)
    return part

"""The conversation: what a request asks and what a reply says, in words that no protocol owns.

Bridges read one wire into these and write another wire from them. It is never used where the client's wire is one that the
channel speaks: there the bytes go through. What a wire cannot say is refused or noted as dropped by the side that writes it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from penstock.upstream.usage import Usage

Role = Literal["system", "user", "assistant"]
"""`developer` is read as system. A system turn in the middle of a conversation stays where it is."""


class Text(msgspec.Struct):
    """Text. `cache`: the provider is to keep everything up to here for so long ("5m", "1h"), as Anthropic's cache_control asks."""

    text: str
    cache: str | None = None


class Image(msgspec.Struct):
    """A picture: `data` is base64 with its `media_type`, else `url` or a `file_id` of the provider's says where it is."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    detail: str = ""
    cache: str | None = None


class Document(msgspec.Struct):
    """A file to be read, such as a PDF: `data` is base64 with its `media_type`, or `text`, `url`, `file_id` stand for it."""

    media_type: str = ""
    data: str = ""
    text: str = ""
    url: str = ""
    file_id: str = ""
    name: str = ""
    cache: str | None = None


class Audio(msgspec.Struct):
    """Sound: base64 `data` in a `format` such as wav or mp3."""

    data: str
    format: str


class Thought(msgspec.Struct):
    """Reasoning. `signature` is the provider's proof of it, to be given back unread, and `wire` says whose it is.

    `redacted` is reasoning that only the provider can read (Anthropic's redacted_thinking, OpenAI's encrypted_content). `id` is
    the item's own, where the wire has one.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""
    id: str = ""
    wire: str = ""


class Refusal(msgspec.Struct):
    """What the model says when it will not answer."""

    text: str


class ToolCall(msgspec.Struct):
    """The model calls a tool. `arguments` is JSON text as the model wrote it; for a `custom` tool any text.

    `signature` is Gemini's proof of the thought that led to the call.
    """

    id: str
    name: str
    arguments: str
    custom: bool = False
    signature: str = ""


class ToolResult(msgspec.Struct):
    """What a tool has given. `name` is empty where the wire does not repeat it."""

    id: str
    parts: list[Text | Image | Document]
    name: str = ""
    failed: bool = False
    cache: str | None = None


Part = Text | Image | Document | Audio | Thought | Refusal | ToolCall | ToolResult


class Turn(msgspec.Struct):
    """What one side says at once. `name` is the participant's, where the wire has one."""

    role: Role
    parts: list[Part]
    name: str = ""


class Tool(msgspec.Struct):
    """A tool that the model may call.

    `kind` "function" has a JSON Schema; "custom" takes text, perhaps by a grammar in `raw`; "hosted" is one of the provider's
    own, which only providers of the wire it was written for know: `name` is its type, `raw` the whole of it.
    """

    name: str
    description: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    kind: Literal["function", "custom", "hosted"] = "function"
    raw: dict[str, Any] | None = None
    cache: str | None = None


class Choice(msgspec.Struct):
    """How far the model is free to call tools: as it likes, not at all, some tool, or the one named."""

    mode: Literal["auto", "none", "required", "named"]
    name: str = ""


class Format(msgspec.Struct):
    """What the text of the answer must be: any JSON object, or one that follows a JSON Schema."""

    kind: Literal["json", "schema"]
    name: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str = ""


class Asked(msgspec.Struct):
    """A whole request. None and empty mean that the client did not say.

    `effort` is how hard to think: none, minimal, low, medium, high, xhigh or max; `thinking_tokens` is the same as a budget;
    `adaptive` leaves it to the model. `shows_thoughts`: the client wants to see (a summary of) them. `other` has the fields
    that mean nothing to any other wire, by name: whoever writes the request notes them as dropped.
    """

    model: str
    turns: list[Turn]
    tools: list[Tool] = []
    choice: Choice | None = None
    parallel: bool | None = None
    output_cap: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = []
    stream: bool = False
    shows_usage: bool = True
    """In a stream, where the wire leaves that to the client (chat's `stream_options.include_usage`)."""
    effort: str | None = None
    thinking_tokens: int | None = None
    adaptive: bool = False
    shows_thoughts: bool | None = None
    format: Format | None = None
    verbosity: str | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, Any] | None = None
    logprobs: int | None = None
    """How many alternatives to each token; 0: only the chosen ones."""
    choices: int = 1
    user: str | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    cache_key: str | None = None
    store: bool | None = None
    other: dict[str, Any] = {}


Stop = Literal["end", "length", "stop_sequence", "tools", "refusal", "pause"]
"""Why a reply ended: by itself, at a bound, at a stop sequence, to have tools called, for its content, to be taken up again."""


class Reply(msgspec.Struct):
    """A whole answer. `model` is its name as the provider gives it; empty where it does not say. `created` is in seconds, 0 if unknown."""

    id: str
    model: str
    parts: list[Part]
    stop: Stop
    usage: Usage
    created: int = 0
    stop_sequence: str | None = None


class Failure(msgspec.Struct):
    """An error of the provider's: `kind` is its code or type as it was sent."""

    status: int
    message: str
    kind: str = ""
    param: str | None = None

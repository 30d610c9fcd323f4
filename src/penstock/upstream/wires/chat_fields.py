"""The shapes that are read of chat completions: of a request, and of an event of a stream."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.wires.asks import Scalar
from penstock.upstream.wires.openai_figures import Answer

NULL = msgspec.Raw(b"null")


class StreamOptions(msgspec.Struct, gc=False):
    """What the client wants of a stream."""

    include_usage: Scalar = None


class ChatFields(msgspec.Struct, gc=False):
    """What we read of a request. Cursor sends the cap by its name in Responses."""

    model: Scalar = None
    stream: Scalar = None
    max_completion_tokens: Scalar = None
    max_tokens: Scalar = None
    max_output_tokens: Scalar = None
    n: Scalar = None
    stream_options: StreamOptions | msgspec.UnsetType | None = msgspec.UNSET
    messages: msgspec.Raw = NULL
    input: msgspec.Raw = NULL
    system: msgspec.Raw = NULL


class Tool(msgspec.Struct, gc=False):
    """How a tool is written."""

    type: str | None = None
    name: str | None = None
    function: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    custom: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Tooled(ChatFields, gc=False):
    """A request with tools that are objects, as they always should be."""

    tools: list[Tool] | None = None


class Chunk(Answer, gc=False):
    """What we read of an event."""

    choices: Any = None

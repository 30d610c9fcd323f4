"""Open items: the parts of a response that are being told, and the events that they consist of."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from penstock.upstream.bridges import custom_tools
from penstock.upstream.bridges.responses import shape
from penstock.upstream.dialects.text import clean

_ANY = msgspec.json.Decoder(msgspec.Raw)


class Writer(Protocol):
    """Where events are written."""

    def piece(self, before: bytes, after: bytes, delta: str) -> None:
        """One event of which only its number and its `delta` are new: both are between `before` and `after`."""

    def event(self, kind: str, about: dict[str, Any]) -> None:
        """One event of any kind."""


def encoded(text: str) -> bytes:
    """A string as JSON. Halves of surrogate pairs, which no provider should send, are replaced."""
    try:
        return msgspec.json.encode(text)
    except UnicodeEncodeError:
        return msgspec.json.encode(clean(text))


def _around(kind: str, where: dict[str, Any], after: bytes = b"") -> tuple[bytes, bytes]:
    """What stands before the number, and after the `delta`, of events of one kind about one thing."""
    about = b"," + msgspec.json.encode(where)[1:-1]
    return b'event: %b\ndata: {"type":"%b","sequence_number":' % (kind.encode(), kind.encode()), b"%b%b}\n\n" % (about, after)


class OpenMessage:
    """A message. Its parts are text and refusals."""

    __slots__ = ("_after", "_before", "_content", "_kind", "_text", "_where")

    def __init__(self, item_id: str, index: int) -> None:
        self._where: dict[str, Any] = {"item_id": item_id, "output_index": index, "content_index": 0}
        self._content: list[dict[str, Any]] = []
        self._kind = ""
        self._text: list[str] = []
        self._before = self._after = b""

    def more(self, writer: Writer, kind: str, delta: str) -> None:
        """More of a part of `kind`, output_text or refusal."""
        if kind != self._kind:
            self.close(writer)
            self._kind = kind
            self._where["content_index"] = len(self._content)
            after = b',"logprobs":[]' if kind == "output_text" else b""
            self._before, self._after = _around(f"response.{kind}.delta", self._where, after)
            writer.event("response.content_part.added", {**self._where, "part": self._part("")})
        self._text.append(delta)
        writer.piece(self._before, self._after, delta)

    def close(self, writer: Writer) -> None:
        """The end of the part that is open."""
        if not self._kind:
            return
        told = clean("".join(self._text))
        self._text.clear()
        if self._kind == "output_text":
            writer.event("response.output_text.done", {**self._where, "text": told, "logprobs": []})
        else:
            writer.event("response.refusal.done", {**self._where, "refusal": told})
        part = self._part(told)
        writer.event("response.content_part.done", {**self._where, "part": part})
        self._content.append(part)
        self._kind = ""

    def item(self, status: str) -> dict[str, Any]:
        """The item, as far as its parts are closed."""
        return shape.message_item(self._where["item_id"], status, self._content)

    def _part(self, told: str) -> dict[str, Any]:
        return shape.text_part(told) if self._kind == "output_text" else shape.refusal_part(told)


class OpenThought:
    """Reasoning: one summary, and what only the provider can read."""

    __slots__ = ("_after", "_before", "_text", "_told", "_where", "sealed")

    def __init__(self, item_id: str, index: int) -> None:
        self.sealed: str | None = None
        self._where: dict[str, Any] = {"item_id": item_id, "output_index": index, "summary_index": 0}
        self._text: list[str] = []
        self._told = ""
        self._before, self._after = _around("response.reasoning_summary_text.delta", self._where)

    def more(self, writer: Writer, delta: str) -> None:
        """More of the summary."""
        if not self._text:
            writer.event("response.reasoning_summary_part.added", {**self._where, "part": {"type": "summary_text", "text": ""}})
        self._text.append(delta)
        writer.piece(self._before, self._after, delta)

    def close(self, writer: Writer) -> None:
        """The end of the summary."""
        if not self._text:
            return
        self._told = clean("".join(self._text))
        writer.event("response.reasoning_summary_text.done", {**self._where, "text": self._told})
        part = {"type": "summary_text", "text": self._told}
        writer.event("response.reasoning_summary_part.done", {**self._where, "part": part})

    def item(self, status: str) -> dict[str, Any]:
        """The item. It has no status of its own."""
        return shape.reasoning_item(self._where["item_id"], self._told, self.sealed)


class OpenCall:
    """A call of a tool. `wrapped`: the tool takes text, but the provider knows it as a function with one string."""

    __slots__ = (
        "_about",
        "_after",
        "_before",
        "_checked",
        "_custom",
        "_home",
        "_pieces",
        "_quiet",
        "_told",
        "_unwrapping",
        "_where",
        "index",
    )

    def __init__(  # noqa: PLR0913  all that a call is
        self,
        item_id: str,
        output_index: int,
        about: tuple[str, str],
        index: int,
        home: tuple[str, str] | None,
        *,
        custom: bool,
        wrapped: bool,
    ) -> None:
        self.index = index
        self._about, self._home = about, home
        self._custom = custom or wrapped
        self._quiet = item_id.startswith("tsc_")  # a search for tools has no events of its own
        self._unwrapping = custom_tools.Unwrapping() if wrapped else None
        self._where: dict[str, Any] = {"item_id": item_id, "output_index": output_index}
        kind = "custom_tool_call_input" if self._custom else "function_call_arguments"
        self._before, self._after = _around(f"response.{kind}.delta", self._where)
        self._pieces: list[str] = []
        """The arguments as the provider gives them."""
        self._told: list[str] = []
        self._checked = 0

    def more(self, writer: Writer, delta: str) -> None:
        """More of the arguments."""
        if not delta:
            return
        self._pieces.append(delta)
        self._tell(writer, delta if self._unwrapping is None else self._unwrapping.more(delta))

    def _tell(self, writer: Writer, delta: str) -> None:
        if delta:
            self._told.append(delta)
            if not self._quiet:
                writer.piece(self._before, self._after, delta)

    def whole(self) -> bool:
        """Whether the arguments are JSON with nothing missing. That of free text nobody can say."""
        if self._custom and self._unwrapping is None:
            return False
        if self._checked == len(self._pieces) or not self._pieces[-1].rstrip().endswith(("}", "]", '"')):
            return self._checked < 0
        self._checked = len(self._pieces)
        try:
            _ANY.decode("".join(self._pieces))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return False
        self._checked = -1
        return True

    def close(self, writer: Writer) -> None:
        """The end of the arguments. A function that takes nothing is called with an empty object."""
        if self._unwrapping is not None:
            self._tell(writer, self._unwrapping.rest())
        elif not self._told and not self._custom:
            self._tell(writer, "{}")
        told = clean("".join(self._told))
        self._told = [told]
        if self._quiet:
            return
        if self._custom:
            writer.event("response.custom_tool_call_input.done", {**self._where, "input": told})
        else:
            writer.event("response.function_call_arguments.done", {**self._where, "name": self._about[1], "arguments": told})

    def item(self, status: str) -> dict[str, Any]:
        """The item, as far as it was told."""
        call = (*self._about, "".join(self._told))
        return shape.call_item(self._where["item_id"], status, call, self._home, custom=self._custom)


OpenItem = OpenMessage | OpenThought | OpenCall

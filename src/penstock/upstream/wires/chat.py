"""Chat completions: /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec
from mypy_extensions import mypyc_attr

from penstock.kit.errors import PenstockError
from penstock.kit.jsonfield import Field
from penstock.kit.sse import payload
from penstock.upstream.wires import asks, endings
from penstock.upstream.wires.answers import Reader, tier
from penstock.upstream.wires.chat_fields import NULL, ChatFields, Chunk, StreamOptions, Tooled
from penstock.upstream.wires.jsonwire import JsonWire
from penstock.upstream.wires.openai_usage import normalised
from penstock.upstream.wires.streams import DONE, TOKENS_MARK, Counting
from penstock.upstream.wires.wire import Ask, Cut, StreamMeter, Verdict, Wire

_STREAM_OPTIONS = Field("stream_options")
_INCLUDE_USAGE = Field("include_usage")
_ONLY_USAGE = b'{"include_usage":true}'
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal", "text")


_FIELDS = msgspec.json.Decoder(ChatFields)
_TOOLED = msgspec.json.Decoder(Tooled)
_CHUNK = Reader(Chunk)
_OWN_KINDS = (None, "function", "custom")


def _fields(body: bytes) -> ChatFields:
    try:
        return asks.read_fields(_TOOLED, body)
    except PenstockError as error:
        if error.param is None or not error.param.startswith("tools"):
            raise
        return asks.read_fields(_FIELDS, body)  # such tools are for the provider to refuse


def _is_respelled(fields: ChatFields) -> bool:
    """Whether it is written as Responses are, with `input` for `messages` or with tools that are flat, or as Anthropic's messages are,
    with `system` beside them. So does Cursor.
    """
    if fields.messages == NULL:
        return fields.input != NULL
    if fields.system != NULL:
        return True
    if not isinstance(fields, Tooled) or fields.tools is None:
        return False
    for tool in fields.tools:
        if tool.function is msgspec.UNSET and tool.custom is msgspec.UNSET and tool.name is not None and tool.type in _OWN_KINDS:
            return True
    return False


def hides_usage(stream: bool, options: StreamOptions | msgspec.UnsetType | None) -> bool:
    """Whether usage has to be asked for, and the chunk that brings it to be hidden."""
    return stream and not (isinstance(options, StreamOptions) and asks.flag(options.include_usage, "stream_options.include_usage"))


def with_usage(body: bytes, ask: Ask) -> bytes:
    """`body` with `stream_options.include_usage` true, and the other stream options as they are."""
    if not ask.stream_options:
        return _STREAM_OPTIONS.added(body, _ONLY_USAGE)
    options = _STREAM_OPTIONS.raw(body) or b"null"
    return _STREAM_OPTIONS.replaced(body, _ONLY_USAGE if options == b"null" else _INCLUDE_USAGE.replaced(options, b"true"))


@mypyc_attr(allow_interpreted_subclasses=True)
class ChatMeter(Counting):
    """Reads a stream of chunks, of chats and of old completions.

    Usage comes in a last chunk without choices; some vendors repeat it, cumulated, in every chunk. The deltas of tool calls
    are read one by one, for their overhead differs from that of text.
    """

    marks: tuple[bytes, ...] = (TOKENS_MARK, DONE, b'"arguments"')
    overhead_bytes: ClassVar[int] = 250

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask)
        self._tier: str | None = None

    def event(self, event: bytes) -> Verdict:
        """Learn from one chunk."""
        data = payload(event)
        if data.startswith(DONE):
            self._final = True
            return Verdict.LAST
        chunk = _CHUNK.read(data)
        if chunk is None:
            return Verdict.PASS
        self._tier = tier(chunk.service_tier) or self._tier
        self._failed = self._failed or bool(chunk.error)
        ended, text = _contents(chunk.choices)
        self._estimate.read(text, event)
        figures = chunk.figures
        if figures is None:
            return Verdict.PASS
        self._usage = normalised(figures, self._tier)
        self._final = ended or not chunk.choices
        return Verdict.HIDE if self._ask.hides_usage and not chunk.choices and not chunk.error else Verdict.PASS


def _contents(choices: Any) -> tuple[bool, str]:
    """Whether a choice has ended, and all text in the choices."""
    ended = False
    texts: list[str] = []
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            ended = ended or bool(choice.get("finish_reason"))
            texts += _texts(choice)
            texts += _texts(choice.get("delta"))
    return ended, "".join(texts)


def _texts(delta: Any) -> Iterator[str]:
    if not isinstance(delta, dict):
        return
    for name in _TEXTS:
        if isinstance(text := delta.get(name), str):
            yield text
    calls = delta.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(text := function.get("arguments"), str):
            yield text


@mypyc_attr(allow_interpreted_subclasses=True)
class ChatWire(JsonWire):
    """POST /v1/chat/completions."""

    name: ClassVar[str] = "chat"
    paths: ClassVar[tuple[str, ...]] = ("/v1/chat/completions",)

    def peek(self, body: bytes) -> Ask:
        """Learn the facts."""
        fields = _fields(body)
        stream = asks.flag(fields.stream, "stream")
        cap = asks.cap(fields.max_completion_tokens) or asks.cap(fields.max_tokens) or asks.cap(fields.max_output_tokens)
        return Ask(
            model=asks.model_of(fields.model),
            stream=stream,
            output_cap=None if cap is None else cap * asks.choices(fields.n),
            input_size=asks.text_size(body),
            hides_usage=hides_usage(stream, fields.stream_options),
            stream_options=fields.stream_options is not msgspec.UNSET,
            respelled=_is_respelled(fields),
        )

    def prepare(self, body: bytes, ask: Ask, model: str | None) -> bytes:
        """The body with the model renamed, and usage asked for."""
        body = super().prepare(body, ask, model)
        return with_usage(body, ask) if ask.hides_usage else body

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader for one stream."""
        return ChatMeter(ask)

    def cut_short(self, error: PenstockError, cut: Cut) -> bytes:
        """A last chunk, as if a bound on the output had been reached."""
        return endings.of_chat(error, cut, {"delta": {}, "logprobs": None})


WIRE: Wire = ChatWire()

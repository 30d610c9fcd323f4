"""Conversations made up by hypothesis: requests and replies of every kind that some wire can say."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from hypothesis import strategies as st

from penstock.upstream.bridges.conversation import (
    Asked,
    Choice,
    Document,
    Format,
    Image,
    Part,
    Refusal,
    Reply,
    Stop,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from penstock.upstream.bridges.custom_tools import wrap
from penstock.upstream.usage import Usage

WORDS = st.text(min_size=1, max_size=10)
CACHE = st.sampled_from([None, None, None, "5m", "1h"])
_OBJECT: dict[str, Any] = {"type": "object", "properties": {"at": {"type": "string"}, "how": {"type": "integer"}}, "required": ["at"]}
_EMPTY: dict[str, Any] = {"type": "object", "properties": {}}
FUNCTIONS = [
    Tool("look", "Look at a place.", _OBJECT),
    Tool("list_all", "", _EMPTY),
    Tool("mcp__files__" + "x" * 60, "A long name.", _OBJECT, strict=True),
    Tool("find.it/now", "A name that few allow.", _OBJECT, strict=False),
]
CUSTOM = Tool("patch", "Change a file.", kind="custom", raw={"type": "custom", "name": "patch"})
ARGUMENTS = st.sampled_from(['{"at":"sea"}', '{"at":"\\u00fc\\n\\"","how":3}', "{}", '{ "at" : "{\\"a\\": [1]}" }', '{"at":"中","how":-1}'])
INPUTS = st.text(max_size=15) | st.sampled_from(['*** Begin Patch\n+"x"\\\n*** End Patch', '{"input": "y"}'])
_PNG = b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
_PDF = b64encode(b"%PDF-1.7 /Type /Page ").decode()
_CALL_ID = st.sampled_from(["call_{}", "toolu_{}", "{}xyz0123", "functions.look:{}", "call_" + "9" * 70 + "_{}"])


class _Numbers:
    """Every text begins with a number of its own, so that it can be found again."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._last = 0

    def text(self) -> str:
        self._last += 1
        return f"T{self._last:03d}{self._draw(WORDS)}."

    def call_id(self) -> str:
        self._last += 1
        return self._draw(_CALL_ID).format(self._last)


IMAGES = st.sampled_from(
    [
        Image("image/png", _PNG),
        Image("image/jpeg", _PNG, detail="high"),
        Image("", url="https://example.com/a.png"),
        Image("image/webp", _PNG),
    ]
)


@st.composite
def _documents(draw: st.DrawFn, numbers: _Numbers) -> Document:
    text = numbers.text()
    return draw(
        st.sampled_from(
            [
                Document("application/pdf", _PDF, name="a.pdf"),
                Document("text/plain", text=text, name="a.txt"),
                Document("text/plain", b64encode(text.encode()).decode()),
                Document("application/pdf", url="https://example.com/a.pdf"),
            ]
        )
    )


def _copy(part: Any) -> Any:
    return type(part)(**{name: getattr(part, name) for name in part.__struct_fields__})


@st.composite
def asks(draw: st.DrawFn, wire: str) -> Asked:
    """A request as a client of `wire` might mean it: its thoughts are that wire's own."""
    numbers = _Numbers(draw)
    tools = draw(st.lists(st.sampled_from([*FUNCTIONS, CUSTOM]), unique_by=lambda tool: tool.name, max_size=4))
    asked = Asked("public", _turns(draw, numbers, tools, wire), [*tools])
    if tools:
        named = [Choice("named", tool.name) for tool in tools]
        asked.choice = draw(st.sampled_from([None, Choice("auto"), Choice("none"), Choice("required"), *named]))
        asked.parallel = draw(st.sampled_from([None, True, False]))
    asked.output_cap = draw(st.sampled_from([None, 1, 300, 5000]))
    asked.temperature = draw(st.sampled_from([None, 0.0, 0.5, 1.0, 1.7]))
    asked.top_p = draw(st.sampled_from([None, 0.3, 1.0]))
    asked.top_k = draw(st.sampled_from([None, None, 40]))
    asked.stop = draw(st.sampled_from([[], [], [], ["END"], ["a", "b", "c", "d"]]))
    asked.stream, asked.shows_usage = draw(st.booleans()), draw(st.booleans())
    asked.effort = draw(st.sampled_from([None, "none", "minimal", "low", "high", "max"]))
    if asked.effort is None:
        asked.thinking_tokens = draw(st.sampled_from([None, 500, 4000, 60000]))
    asked.shows_thoughts = draw(st.sampled_from([None, True, False]))
    asked.format = draw(st.sampled_from([None, None, Format("json"), Format("schema", "place", _OBJECT, strict=True)]))
    _extras(draw, asked)
    return asked


def _extras(draw: st.DrawFn, asked: Asked) -> None:
    extras: dict[str, list[Any]] = {
        "verbosity": ["low"],
        "seed": [7],
        "frequency_penalty": [0.5],
        "presence_penalty": [-0.5],
        "logit_bias": [{"50256": -100}],
        "user": ["u-1"],
        "metadata": [{"a": "b"}],
        "service_tier": ["priority", "auto", "flex"],
        "cache_key": ["k"],
        "store": [True, False],
    }
    for name in draw(st.lists(st.sampled_from(sorted(extras)), max_size=3, unique=True)):
        setattr(asked, name, draw(st.sampled_from(extras[name])))


def _turns(draw: st.DrawFn, numbers: _Numbers, tools: list[Tool], wire: str) -> list[Turn]:
    turns: list[Turn] = []
    system = [Text(numbers.text(), draw(CACHE)) for _ in range(draw(st.integers(0, 2)))]
    if system:
        turns.append(Turn("system", [*system]))
    turns.append(Turn("user", _said(draw, numbers)))
    for _ in range(draw(st.integers(0, 3))):
        calls = _calls(draw, numbers, tools)
        texts = [Text(numbers.text()) for _ in range(draw(st.integers(0 if calls else 1, 2)))]
        turns.append(Turn("assistant", [*_thoughts(draw, numbers, wire), *texts, *calls]))
        results: list[Part] = [_result(draw, numbers, call) for call in draw(st.permutations(calls))]
        if draw(st.integers(0, 9)) == 0 and not results:
            turns.append(Turn("system", [Text(numbers.text())]))
        more = _said(draw, numbers) if not results or draw(st.booleans()) else []
        turns.append(Turn("user", results + more))
    return turns


def _said(draw: st.DrawFn, numbers: _Numbers) -> list[Part]:
    parts: list[Part] = [Text(numbers.text(), draw(CACHE))]
    kind = draw(st.integers(0, 7))
    if kind == 0:
        parts.append(_copy(draw(IMAGES)))
    elif kind == 1:
        parts.append(_copy(draw(_documents(numbers))))
    elif kind == 2:
        parts.append(Text(numbers.text()))
    return parts


def _thoughts(draw: st.DrawFn, numbers: _Numbers, wire: str) -> list[Part]:
    if draw(st.booleans()):
        return []
    return [thought_of(wire, numbers.text())]


def thought_of(wire: str, text: str) -> Thought:
    """A thought with its proof, as a provider of `wire` gives it."""
    if wire == "responses":
        return Thought(text, redacted="gAAAAAB" + "x" * 9, id="rs_1", wire=wire)
    if wire == "chat":
        return Thought(text, '{"type":"reasoning.text","signature":"c2lnbmF0dXJl"}', wire=wire)
    return Thought(text, "c2lnbmF0dXJl", wire=wire)


def _calls(draw: st.DrawFn, numbers: _Numbers, tools: list[Tool]) -> list[ToolCall]:
    if not tools:
        return []
    called = draw(st.lists(st.sampled_from(tools), max_size=3))
    return [
        ToolCall(numbers.call_id(), tool.name, draw(INPUTS if tool.kind == "custom" else ARGUMENTS), custom=tool.kind == "custom")
        for tool in called
    ]


def _result(draw: st.DrawFn, numbers: _Numbers, call: ToolCall) -> ToolResult:
    parts: list[Text | Image | Document] = [Text(numbers.text()) for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2])))]
    if draw(st.integers(0, 5)) == 0:
        parts.append(Image("image/png", _PNG))
    return ToolResult(call.id, parts, call.name, failed=draw(st.integers(0, 4)) == 0)


COUNT = st.integers(0, 10**5)
USAGES = st.builds(
    lambda read, cached, written, lasting, said, thought: Usage(read, cached, written, lasting, said + thought + 1, thought),
    COUNT, COUNT, COUNT, COUNT, COUNT, COUNT,
)  # fmt: skip


@st.composite
def replies(draw: st.DrawFn, tools: list[Tool], wire: str) -> Reply:
    """An answer of a provider of `wire`, which knows `tools`: the calls are of those, as that provider was told of them."""
    parts: list[Part] = [thought_of(wire, draw(WORDS)) for _ in range(draw(st.integers(0, 1)))]
    parts += [Text(text) for text in draw(st.lists(WORDS, max_size=2))]
    calls = []
    for number, tool in enumerate(draw(st.lists(st.sampled_from(tools), max_size=3)) if tools else []):
        text = draw(INPUTS if is_custom(tool) else ARGUMENTS)
        arguments = wrap(text) if is_custom(tool) and tool.kind == "function" else text
        signature = "cHJvb2Y=" if wire == "gemini" and number == 0 else ""
        calls.append(ToolCall(f"call_{number}", tool.name, arguments, tool.kind == "custom", signature))
    if draw(st.integers(0, 9)) == 0 and wire != "messages":  # where models say nothing but text
        parts.append(Image("image/png", _PNG))
    stops: list[Stop] = ["tools", "tools", "length"] if calls else ["end", "length", "refusal", "stop_sequence"]
    stop = draw(st.sampled_from(stops))
    if stop == "refusal" and draw(st.booleans()):
        parts.append(Refusal(draw(WORDS)))
    if not parts and not calls:
        parts.append(Text(draw(WORDS)))
    usage = draw(USAGES)
    if wire == "gemini":
        usage.cache_write_5m_tokens = usage.cache_write_1h_tokens = 0  # no such thing there
    sequence = "END" if stop == "stop_sequence" and wire == "messages" else None
    return Reply(
        draw(st.sampled_from(["", "id_1", "msg_01AbC", "chatcmpl-9", "resp_5"])), "served", [*parts, *calls], stop, usage, 0, sequence
    )


def is_custom(tool: Tool) -> bool:
    """It takes text, by whatever name and as whatever kind it is known."""
    return tool.name == CUSTOM.name


def decoded(arguments: str) -> Any:
    """The arguments of a call."""
    return json.loads(arguments or "{}")

from __future__ import annotations

import json
from typing import Any

from anthropic.types import RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from penstock.kit.sse import end_of_events, split
from penstock.upstream.bridges.between import retell
from penstock.upstream.bridges.conversation import Asked, Failure, Image, Part, Reply, Stop, Text, Thought, ToolCall
from penstock.upstream.bridges.messages import SIDE, blocks_in
from penstock.upstream.bridges.messages.telling import MessagesTeller
from penstock.upstream.bridges.sealed import seal
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage

USAGE = Usage(input_tokens=5, cache_read_tokens=7, cache_write_5m_tokens=2, cache_write_1h_tokens=3, output_tokens=11, reasoning_tokens=4)
EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def teller(**asked: Any) -> MessagesTeller:
    found = SIDE.teller(About(Asked("m", [], **asked), "m", "req_1", 0))
    assert isinstance(found, MessagesTeller)
    return found


def grammatical(stream: bytes) -> list[dict[str, Any]]:
    """The events of a whole stream, which is one that Anthropic could have written."""
    events = []
    for event in split(stream):
        name, data = event.decode().removesuffix("\n\n").split("\n")
        found = json.loads(data.removeprefix("data: "))
        assert name == f"event: {found['type']}"
        EVENT.validate_python(found)
        events.append(found)
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_start") == 1 and kinds.count("message_delta") == 1
    open_at, index, block = None, 0, ""
    allowed = {
        "text": ["text_delta"],
        "thinking": ["thinking_delta", "signature_delta"],
        "tool_use": ["input_json_delta"],
        "redacted_thinking": [],
    }
    for event in events[1:-2]:
        assert event["index"] == index
        if event["type"] == "content_block_start":
            assert open_at is None
            open_at, block = index, event["content_block"]["type"]
        elif event["type"] == "content_block_delta":
            assert open_at == index and event["delta"]["type"] in allowed[block]
        else:
            assert event["type"] == "content_block_stop" and open_at == index
            open_at, index = None, index + 1
    assert open_at is None
    return events


def content(stream: bytes) -> list[dict[str, Any]]:
    """The blocks of a whole stream."""
    blocks: list[dict[str, Any]] = []
    inputs: dict[int, str] = {}
    for event in grammatical(stream):
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            delta, index = event["delta"], event["index"]
            match delta["type"]:
                case "text_delta":
                    blocks[index]["text"] += delta["text"]
                case "thinking_delta":
                    blocks[index]["thinking"] += delta["thinking"]
                case "signature_delta":
                    blocks[index]["signature"] = delta["signature"]
                case "input_json_delta":
                    inputs[index] = inputs.get(index, "") + delta["partial_json"]
    for index, text in inputs.items():
        blocks[index]["input"] = json.loads(text)
    return blocks


def done(one: MessagesTeller, stop: Stop = "end", usage: Usage = USAGE) -> list[dict[str, Any]]:
    one.end(stop, usage)
    assert one.ended
    return content(one.take())


def test_text_and_thought():
    one = teller()
    one.thought("h")
    one.thought("m")
    one.signed("sig", "messages")
    one.text("Hi ")
    one.text("✓ \u2028 \x00")
    assert done(one) == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "text", "text": "Hi ✓ \u2028 \x00"},
    ]


def test_what_is_known_is_written_at_once():
    one = teller()
    one.begin("chatcmpl-1", "gpt", Usage(input_tokens=7))
    start = json.loads(one.take().split(b"data: ")[1])["message"]
    assert start["usage"]["input_tokens"] == 7 and start["id"].startswith("msg_") and start["model"] == "gpt"
    one.begin("again")
    assert one.take() == b""
    one.text("a")
    assert one.take().endswith(b'"delta":{"type":"text_delta","text":"a"}}\n\n')
    one.text("b")
    assert (
        one.take()
        == b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b"}}\n\n'
    )


def test_the_usage_is_whole_at_the_end():
    one = teller()
    one.text("a")
    one.end("end", USAGE)
    events = grammatical(one.take())
    assert events[0]["message"]["usage"]["input_tokens"] == 1
    assert events[-2]["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 7,
        "output_tokens": 11,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
        "output_tokens_details": {"thinking_tokens": 4},
    }


def test_calls_one_after_the_other_are_streamed():
    one = teller()
    one.tool(0, "a", "f")
    one.arguments(0, '{"x":1}')
    one.tool(1, "b", "g")
    one.arguments(1, '{"y":')
    stream = one.take()
    assert stream.endswith(b'"partial_json":"{\\"y\\":"}}\n\n')
    one.arguments(1, "2}")
    one.end("tools", USAGE)
    assert [block["input"] for block in content(stream + one.take())] == [{"x": 1}, {"y": 2}]


def test_interleaved_calls_wait_for_each_other():
    one = teller()
    one.tool(0, "a", "f")
    one.tool(1, "b", "g")
    one.arguments(1, '{"y":')
    one.arguments(0, '{"x":"}')
    one.arguments(1, "2}")
    one.arguments(0, '"}')
    assert done(one, "tools") == [
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": "}"}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {"y": 2}},
    ]


def test_text_after_an_unfinished_call_waits():
    one = teller()
    one.tool(0, "a", "f")
    one.arguments(0, "{")
    one.text("then")
    one.arguments(0, "}")
    assert [block["type"] for block in done(one)] == ["tool_use", "text"]


def test_arguments_that_are_no_object_are_left_out():
    one = teller()
    for index, arguments in enumerate(["", "  ", "[1]", "null"]):
        one.tool(index, f"t{index}", "f")
        one.arguments(index, arguments)
    assert [block["input"] for block in done(one, "tools")] == [{}] * 4


def test_a_custom_tool():
    one = teller()
    one.tool(0, "a", "apply_patch", custom=True)
    for piece in ("*** ", 'Begin "x"\n', "\\"):
        one.arguments(0, piece)
    one.tool(1, "b", "apply_patch", custom=True)
    assert [block["input"] for block in done(one, "tools")] == [{"input": '*** Begin "x"\n\\'}, {"input": ""}]


def test_what_is_told_of_no_call_is_left_out():
    one = teller()
    one.arguments(5, "{}")
    one.tool(0, "a", "f")
    one.tool(0, "again", "g")
    assert [block["id"] for block in done(one)] == ["a"]


def test_thoughts_of_others_are_sealed():
    one = teller()
    one.thought("hm")
    one.redacted("enc", "responses", "rs_1")
    one.redacted("enc", "responses", "rs_2")
    one.tool(0, "t", "f", signature="s")
    one.arguments(0, "{}")
    blocks = done(one)
    assert [block["type"] for block in blocks] == ["thinking", "redacted_thinking", "redacted_thinking", "tool_use"]
    assert blocks_in.parts(blocks, "x", {}) == [
        Thought("hm", redacted="enc", id="rs_1", wire="responses"),
        Thought(redacted="enc", id="rs_2", wire="responses"),
        ToolCall("t", "f", "{}", signature="s"),
    ]


def test_a_signature_without_a_thought():
    one = teller()
    one.signed("sig", "messages")
    one.signed("sig2", "gemini")
    assert done(one) == [
        {"type": "thinking", "thinking": "", "signature": "sig"},
        {"type": "redacted_thinking", "data": seal(Thought(signature="sig2", wire="gemini"))},
    ]


def test_a_client_that_wants_no_thoughts_gets_their_proof():
    one = teller(shows_thoughts=False)
    one.thought("hm")
    one.signed("sig", "messages")
    one.thought("hm")
    one.text("a")
    assert done(one) == [{"type": "thinking", "thinking": "", "signature": "sig"}, {"type": "text", "text": "a"}]


def test_a_refusal_and_a_picture_are_text():
    one = teller()
    one.refusal("No.")
    one.image(Image(url="https://x/y.png"))
    one.end("end", USAGE)
    stream = one.take()
    assert content(stream) == [{"type": "text", "text": "No.![image](https://x/y.png)"}]
    assert grammatical(stream)[-2]["delta"]["stop_reason"] == "refusal"


def test_after_the_end_nothing_is_written():
    for finish in (lambda one: one.end("end", USAGE), lambda one: one.fail(Failure(529, "Overloaded", "overloaded_error"))):
        one = teller()
        finish(one)
        one.take()
        one.begin()
        one.text("a")
        one.thought("a")
        one.signed("a", "messages")
        one.redacted("a", "messages")
        one.tool(0, "a", "f")
        one.arguments(0, "{}")
        one.end("end", USAGE)
        one.fail(Failure(500, "x"))
        assert one.ended and one.take() == b""


def test_names_come_back_by_the_aliases():
    one = SIDE.teller(About(Asked("m", []), "m", "req_1", 0, {"short": "the_long_one"}))
    one.tool(0, "a", "short")
    one.end("tools", USAGE)
    assert content(one.take())[0]["name"] == "the_long_one"


TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
WORDS = st.text(alphabet="abcXYZ09-_", min_size=1, max_size=8)
PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(Thought, TEXTS, WORDS, wire=st.just("messages")),
    st.builds(Thought, redacted=WORDS, wire=st.just("messages")),
    st.builds(
        ToolCall,
        WORDS,
        WORDS,
        st.dictionaries(TEXTS, TEXTS | st.integers(), max_size=3).map(lambda found: json.dumps(found, ensure_ascii=False)),
    ),
)
USAGES = st.builds(
    Usage,
    input_tokens=st.integers(1, 9999),
    output_tokens=st.integers(10, 9999),
    cache_read_tokens=st.integers(0, 99),
    cache_write_5m_tokens=st.integers(0, 99),
    cache_write_1h_tokens=st.integers(0, 99),
    reasoning_tokens=st.integers(0, 10),
)
STOPS = st.sampled_from(["end", "length", "tools", "refusal", "pause"])
REPLIES = st.builds(Reply, WORDS.map(lambda word: f"msg_{word}"), st.just("claude"), st.lists(PARTS, max_size=5), STOPS, USAGES)


def joined(parts: list[Part]) -> list[Part]:
    """Texts that follow each other are one."""
    found: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and found and isinstance(found[-1], Text):
            found[-1] = Text(found[-1].text + part.text)
        else:
            found.append(part)
    return found


@settings(max_examples=150)
@given(REPLIES, st.integers(1, 7))
def test_a_reply_told_heard_and_told_again_is_the_same(reply, width):
    told = MessagesTeller(About(Asked("m", []), "m", "req_1", 0))
    retell(reply, told)
    again = MessagesTeller(About(Asked("m", []), "m", "req_1", 0))
    listener = SIDE.listener(again)
    stream, held = told.take(), b""
    for at in range(0, len(stream), width):
        held += stream[at : at + width]
        end = end_of_events(held)
        for event in split(held[:end]):
            listener.event(event)
        held = held[end:]
    assert again.ended and held == b""
    second = again.take()
    grammatical(stream)
    message = grammatical(second)[0]["message"] | {"content": content(second)}
    message |= grammatical(second)[-2]["delta"]
    found = SIDE.read_reply(json.dumps(message).encode())
    expected = [
        ToolCall(part.id, part.name, _compact(part.arguments)) if isinstance(part, ToolCall) else part for part in joined(reply.parts)
    ]
    assert found.parts == expected
    assert (found.id, found.model, found.stop) == (reply.id, reply.model, reply.stop)


def _compact(arguments: str) -> str:
    return json.dumps(json.loads(arguments), ensure_ascii=False, separators=(",", ":"))


TELLINGS = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.just("a")),
        st.tuples(st.just("thought"), st.just("h")),
        st.tuples(st.just("signed"), st.just("s"), st.sampled_from(["messages", "gemini"])),
        st.tuples(st.just("redacted"), st.just("r"), st.sampled_from(["messages", "responses"])),
        st.tuples(st.just("refusal"), st.just("no")),
        st.tuples(st.just("tool"), st.integers(0, 3), st.just("t"), st.just("f")),
        st.tuples(st.just("arguments"), st.integers(0, 3), st.sampled_from(["{", "}", '"a":1', "x", " "])),
        st.tuples(st.just("begin")),
    ),
    max_size=25,
)


@given(TELLINGS, st.booleans())
def test_whatever_the_order_the_grammar_holds(tellings, hides):
    one = teller(shows_thoughts=False if hides else None)
    stream = b""
    for name, *arguments in tellings:
        getattr(one, name)(*arguments)
        piece = one.take()
        assert piece == b"" or piece.endswith(b"\n\n")
        stream += piece
    one.end("end", USAGE)
    grammatical(stream + one.take())


def test_a_message_that_has_begun_has_some_output():
    one = teller()
    one.begin("msg_1", "claude", Usage(input_tokens=5))
    usage = json.loads(one.take().split(b"data: ")[1])["message"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (5, 1)

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import Collector
from penstock.kit.sse import split
from penstock.upstream.bridges.between import retell
from penstock.upstream.bridges.chat.listening import ChatListener
from penstock.upstream.bridges.chat.telling import ChatTeller
from penstock.upstream.bridges.conversation import Asked, Failure, Image, Refusal, Reply, Text, Thought, ToolCall
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
SEEN = Usage(input_tokens=10, output_tokens=5)


def listened(*events: object, over: bool = True) -> Collector:
    """What is understood of chunks (objects) and other events (bytes)."""
    collector = Collector()
    listener = ChatListener(collector)
    for event in events:
        listener.event(event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() + b"\n\n")
    if over:
        listener.over()
    return collector


def chunk(delta: dict | None = None, finish: str | None = None, **more) -> dict:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5.2", "choices": [choice]} | more


DONE = b"data: [DONE]\n\n"


def test_a_stream_of_openai():
    heard = listened(
        chunk({"role": "assistant", "content": "", "refusal": None}, usage=None),
        chunk({"content": "Hel"}, usage=None),
        chunk({"content": "lo"}, usage=None),
        chunk(finish="stop", usage=None),
        chunk(usage=USAGE) | {"choices": []},
        DONE,
        DONE,
    )
    assert heard.reply == Reply("chatcmpl-1", "gpt-5.2", [Text("Hello")], "end", SEEN)


def test_the_reply_waits_for_the_usage_that_follows_its_reason():
    heard = listened(chunk({"content": "a"}), chunk(finish="stop"), over=False)
    assert not heard.ended
    heard = listened(chunk({"content": "a"}), chunk(finish="stop"), chunk(usage=USAGE) | {"choices": []})
    assert heard.reply.usage == SEEN


def test_usage_in_every_chunk_is_for_all_so_far():
    first = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    heard = listened(chunk({"content": "a"}, usage=first), chunk({"content": "b"}, usage=USAGE), chunk(finish="stop", usage={}), DONE)
    assert heard.reply.usage == SEEN


def test_what_is_wrong_in_streams_of_workers_ai():
    heard = listened(
        {"choices": [{"delta": {"content": "**"}}]},
        {"choices": [{"delta": {"content": 1}}], "usage": {"prompt_tokens": "10", "completion_tokens": 5.0}},
        {"choices": [{"delta": {"tool_calls": [{"id": None, "type": None, "index": 0, "function": {"name": None, "arguments": ""}}]}}]},
        {"response": "", "p": "abdefgh"},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"id": "another", "usage": None},
        DONE,
    )
    assert heard.reply == Reply("", "", [Text("**1")], "end", SEEN)


def test_only_the_first_choice_is_heard():
    two = {"id": "x", "choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "yes"}}]}
    assert listened(two, DONE).reply.parts == [Text("yes")]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning(name):
    heard = listened(chunk({name: "hm"}), chunk({name: "m", "content": None}), chunk({"content": "So"}), chunk(finish="stop"))
    assert heard.reply.parts == [Thought("hmm"), Text("So")]


def test_reasoning_details_of_openrouter_come_with_the_same_words_and_are_proved():
    words = {"type": "reasoning.text", "text": "hm", "format": "anthropic-claude-v1", "index": 0}
    proof = {"type": "reasoning.text", "signature": "SIG", "format": "anthropic-claude-v1", "index": 0}
    secret = {"type": "reasoning.encrypted", "data": "DATA", "id": "rs_1", "index": 1}
    heard = listened(
        chunk({"reasoning": "hm", "reasoning_details": [words], "content": ""}),
        chunk({"reasoning": None, "reasoning_details": [proof]}),
        chunk({"reasoning_details": [secret]}),
        chunk(finish="stop"),
    )
    first, second = heard.reply.parts
    assert (first.text, first.wire, json.loads(first.signature)) == ("hm", "chat", {k: v for k, v in proof.items() if k != "index"})
    assert (second.id, second.wire, json.loads(second.redacted)["data"]) == ("rs_1", "chat", "DATA")


def test_reasoning_only_in_details():
    heard = listened(chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "short"}]}), chunk(finish="stop"))
    assert heard.reply.parts == [Thought("short")]


def test_thoughts_among_the_parts_of_mistrals_content():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    heard = listened(chunk({"content": [thinking]}), chunk({"content": [{"type": "text", "text": "So"}]}), chunk(finish="stop"))
    assert heard.reply.parts == [Thought("hm"), Text("So")]


def call(index: object = 0, call_id: object = None, name: object = None, arguments: object = "", **more) -> dict:
    return {"tool_calls": [{"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}} | more]}


def test_parallel_tool_calls():
    heard = listened(
        chunk(call(0, "call_a", "f")),
        chunk(call(0, arguments='{"x"')),
        chunk(call(1, "call_b", "g", "{}")),
        chunk(call(0, arguments=":1}")),
        chunk(finish="tool_calls"),
    )
    assert heard.reply.parts == [ToolCall("call_a", "f", '{"x":1}'), ToolCall("call_b", "g", "{}")]
    assert heard.reply.stop == "tools"


def test_calls_that_repeat_their_id_and_name():
    heard = listened(chunk(call(0, "call_a", "f", '{"x"')), chunk(call(0, "call_a", "f", ":1}")), chunk(finish="stop"))
    assert heard.reply.parts == [ToolCall("call_a", "f", '{"x":1}')]
    assert heard.reply.stop == "tools"


def test_calls_of_google_all_have_the_same_index():
    signed = {"extra_content": {"google": {"thought_signature": "SIG"}}}
    heard = listened(chunk(call(0, "a", "f", "{}", **signed)), chunk(call(0, "b", "f", '{"y":2}')), chunk(finish="stop"))
    assert heard.reply.parts == [ToolCall("a", "f", "{}", signature="SIG"), ToolCall("b", "f", '{"y":2}')]


def test_calls_without_index_or_id_and_with_objects_for_arguments():
    heard = listened(
        chunk({"tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}),
        chunk({"tool_calls": [{"function": {"name": "g", "arguments": '{"y"'}}]}),
        chunk({"tool_calls": [{"function": {"arguments": ":2}"}}]}),
        chunk(finish="stop"),
    )
    first, second = heard.reply.parts
    assert (first.name, first.arguments) == ("f", '{"x":1}')
    assert (second.name, second.arguments) == ("g", '{"y":2}')
    assert first.id != second.id and first.id.startswith("call_")


def test_a_call_whose_name_comes_after_its_arguments():
    heard = listened(chunk(call(0, "a", None, '{"x"')), chunk(call(0, None, "f", ":1}")), chunk(finish="stop"))
    assert heard.reply.parts == [ToolCall("a", "f", '{"x":1}')]


def test_custom_tools_and_the_function_call_of_old():
    custom = {"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "c", "input": "free"}}]}
    heard = listened(chunk(custom), chunk({"tool_calls": [{"index": 0, "custom": {"input": " text"}}]}), chunk(finish="tool_calls"))
    assert heard.reply.parts == [ToolCall("a", "c", "free text", custom=True)]
    heard = listened(chunk({"function_call": {"name": "f", "arguments": ""}}), chunk({"function_call": {"arguments": "{}"}}), DONE)
    assert [(part.name, part.arguments) for part in heard.reply.parts] == [("f", "{}")]
    assert heard.reply.stop == "tools"


def test_refusals_and_pictures():
    picture = {"type": "image_url", "image_url": {"url": "data:image/webp;base64,QUJD"}}
    heard = listened(chunk({"images": [picture]}), chunk({"refusal": "I will"}), chunk({"refusal": " not"}), chunk(finish="stop"))
    assert heard.reply.parts == [Image("image/webp", "QUJD"), Refusal("I will not")]
    assert heard.reply.stop == "refusal"


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ({"error": {"message": "Overloaded", "code": 503, "type": "x"}}, Failure(503, "Overloaded", "x")),
        ({"error": {"message": "No", "code": "content_filter"}, "choices": []}, Failure(502, "No", "content_filter")),
        ({"error": "text"}, Failure(502, "text")),
    ],
)
def test_errors_in_the_middle(error, failure):
    heard = listened(chunk({"content": "a"}), error, chunk({"content": "b"}), DONE)
    assert heard.failure == failure


def test_an_event_named_error():
    heard = listened(chunk({"content": "a"}), b'event: error\ndata: {"message": "gone"}\n\n')
    assert heard.failure == Failure(502, "gone")


def test_a_reason_that_is_an_error():
    assert listened(chunk({"content": "a"}), chunk(finish="error")).failure.kind == "upstream_broken"


def test_a_stream_that_breaks_off_is_not_ended():
    assert listened(chunk({"content": "a"})).failure == Failure(502, "The provider broke its answer off.", "upstream_broken")
    assert listened().failure.kind == "upstream_broken"
    assert listened(DONE).failure.kind == "upstream_broken"
    assert listened(b": ping\n\n", b"data: not json\n\n", b"data: [1]\n\n", b"\n\n").failure is not None


def test_events_may_be_written_in_any_way_that_sse_allows():
    heard = listened(
        b'data:{"choices":\r\ndata:[{"delta":{"content":"a"}}]}\r\n\r\n',
        b'id: 5\ndata: {"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}',
        b"data:[DONE]\r\n\r\n",
    )
    assert heard.reply.parts == [Text("ab")]


def test_words_that_are_repeated_in_a_detail_are_heard_once():
    detail = {"type": "reasoning.text", "text": "hm, yes", "signature": "~psk1.x", "index": 0}
    heard = listened(
        chunk({"reasoning_content": "hm, "}), chunk({"reasoning_content": "yes"}), chunk({"reasoning_details": [detail]}), DONE
    )
    assert [part.text for part in heard.reply.parts] == ["hm, yes"]


def test_a_stream_that_has_its_mark_but_no_reason_is_ended():
    assert listened(chunk({"content": "a"}), DONE).reply.stop == "end"


NAMES = re.findall(
    r"\w+",
    """
    choices delta index content tool_calls function name arguments id usage error message finish_reason images image_url url
    reasoning_details type text signature data code prompt_tokens custom input extra_content google thought_signature
    """,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES) | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
DELTAS = st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({"delta": JSON, "finish_reason": JSON, "index": JSON | st.just(0)}))}
)


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=40) | (JSON | DELTAS).map(lambda value: b"data: " + json.dumps(value).encode()), max_size=6))
def test_nothing_that_a_provider_sends_makes_it_raise(events):
    heard = listened(*events)
    assert heard.ended


TEXTS = st.text(min_size=1, max_size=12)
PARTS = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(Thought, TEXTS),
    st.builds(Refusal, TEXTS),
    st.builds(lambda data: Image("image/png", data), st.text("ABCD", min_size=4, max_size=4)),
    st.builds(
        ToolCall, st.uuids().map(str), st.text("abc_", min_size=1, max_size=5), st.dictionaries(TEXTS, TEXTS, max_size=2).map(json.dumps)
    ),
)


@given(st.lists(PARTS, max_size=6), st.booleans())
def test_what_is_told_is_heard_again(parts, shows):
    told = Collector()
    usage = Usage(input_tokens=7, cache_read_tokens=3, cache_write_5m_tokens=2, output_tokens=9, reasoning_tokens=4)
    reply = Reply("chatcmpl-9", "m", parts, "end", usage if shows else Usage())
    retell(reply, told)
    teller = ChatTeller(About(Asked("m", [], shows_usage=shows), "m", "req_1", 1))
    retell(reply, teller)
    heard = listened(*split(teller.take()))
    calls, refused = any(isinstance(part, ToolCall) for part in parts), any(isinstance(part, Refusal) for part in parts)
    told.reply.stop = "tools" if calls else "refusal" if refused else "end"
    assert heard.reply == told.reply

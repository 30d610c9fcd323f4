from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_responses import JSON, Said
from penstock.upstream.bridges.conversation import Image, Refusal, Text, Thought, ToolCall
from penstock.upstream.bridges.responses.listening import ResponsesListener
from penstock.upstream.usage import Usage

USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


def event(kind, **fields) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


def done(**fields) -> bytes:
    return event("response.completed", response={"id": "resp_1", "model": "gpt-5", "status": "completed", "usage": USAGE, **fields})


def hear(*events) -> Said:
    said = Said()
    listener = ResponsesListener(said)
    for one in events:
        listener.event(one)
    listener.over()
    return said


def item(index, **fields):
    return {"output_index": index, "item": fields}


def test_a_stream_of_openais():
    said = hear(
        event("response.created", response={"id": "resp_1", "model": "gpt-5", "status": "in_progress"}),
        event("response.in_progress", response={"id": "resp_1"}),
        event("response.output_item.added", **item(0, type="reasoning", id="rs_1", summary=[])),
        event("response.reasoning_summary_part.added", output_index=0, summary_index=0, part={}),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="One"),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=1, delta="Two"),
        event("response.output_item.done", **item(0, type="reasoning", id="rs_1", summary=[{"text": "One"}], encrypted_content="enc")),
        event("response.output_item.added", **item(1, type="web_search_call", id="ws")),
        event("response.web_search_call.searching", output_index=1),
        event("response.output_item.done", **item(1, type="web_search_call", id="ws")),
        event("response.output_item.added", **item(2, type="message", id="msg", content=[])),
        event("response.output_text.delta", output_index=2, delta="He"),
        event("response.output_text.delta", output_index=2, delta="y"),
        event("response.output_text.annotation.added", output_index=2, annotation={}),
        event("response.output_text.done", output_index=2, text="Hey"),
        event("response.output_item.done", **item(2, type="message", content=[{"type": "output_text", "text": "Hey"}])),
        event("response.output_item.added", **item(3, type="function_call", id="fc", call_id="c", name="f", arguments="")),
        event("response.function_call_arguments.delta", output_index=3, item_id="fc", delta='{"a"'),
        event("response.function_call_arguments.delta", output_index=3, item_id="fc", delta=":1}"),
        event("response.function_call_arguments.done", output_index=3, arguments='{"a":1}'),
        event("response.output_item.done", **item(3, type="function_call", id="fc", call_id="c", name="f", arguments='{"a":1}')),
        event("response.output_item.added", **item(4, type="custom_tool_call", id="ctc", call_id="d", name="p", input="")),
        event("response.custom_tool_call_input.delta", output_index=4, delta="text"),
        event("response.output_item.done", **item(4, type="custom_tool_call", call_id="d", name="p", input="text")),
        b": keepalive\n\n",
        event("keepalive"),
        event("response.something.new", delta="x"),
        done(output=[]),
    )  # fmt: skip
    assert said.parts == [
        Thought("One\n\nTwo", redacted="enc", id="rs_1", wire="responses"),
        Text("Hey"),
        ToolCall("c", "f", '{"a":1}'),
        ToolCall("d", "p", "text", custom=True),
    ]
    assert (said.id, said.model, said.stop, said.usage) == ("resp_1", "gpt-5", "tools", Usage(3, output_tokens=2))


@pytest.mark.parametrize(
    ("last", "stop"),
    [
        (done(), "end"),
        (event("response.incomplete", response={"incomplete_details": {"reason": "max_output_tokens"}}), "length"),
        (event("response.incomplete", response={"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}), "refusal"),
        (event("response.incomplete"), "length"),
        (b"data: [DONE]\n\n", "end"),
    ],
)
def test_the_end(last, stop):
    assert hear(event("response.output_text.delta", delta="x"), last).stop == stop


@pytest.mark.parametrize(
    ("last", "status", "kind"),
    [
        (event("response.failed", response={"error": {"code": "rate_limit_exceeded", "message": "m"}}), 429, "rate_limit_exceeded"),
        (event("response.failed", response={}), 502, "server_error"),
        (event("error", code="server_is_overloaded", message="m", param=None), 503, "server_is_overloaded"),
        (event("error", error={"type": "invalid_request_error", "message": "m"}), 400, "invalid_request_error"),
        (b'data: {"error": {"message": "m", "code": "odd"}}\n\n', 502, "odd"),
        (b"", 502, "upstream_broken"),
    ],
)
def test_what_goes_wrong(last, status, kind):
    failure = hear(event("response.output_text.delta", delta="x"), last).failure
    assert (failure.status, failure.kind) == (status, kind) and failure.message


def test_nothing_counts_after_the_end():
    said = hear(done(), event("response.output_text.delta", delta="x"), event("error", message="m"), done())
    assert said.parts == [] and said.stop == "end"


def test_imitators_that_send_only_whole_items_are_understood():
    said = hear(
        event("response.output_item.done", **item(0, type="reasoning", summary=[], content=[{"type": "reasoning_text", "text": "Hm"}])),
        event(
            "response.output_item.done",
            **item(1, type="message", content=[{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "b"}]),
        ),
        event("response.output_item.done", **item(2, type="function_call", call_id="c", name="f", arguments="{}")),
        event("response.output_item.done", **item(3, type="image_generation_call", result="aGk=")),
        done(),
    )
    assert said.parts == [Thought("Hm"), Text("a"), Refusal("b"), ToolCall("c", "f", "{}"), Image("image/png", "aGk=")]


def test_imitators_that_send_only_the_end_are_understood():
    output = [
        {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "enc"},
        {"type": "message", "content": [{"type": "output_text", "text": "a"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "d", "name": "g", "arguments": "{}"},
    ]
    said = hear(done(output=output))
    assert said.parts == [Thought(redacted="enc", id="rs", wire="responses"), Text("a"), ToolCall("c", "f", "{}"), ToolCall("d", "g", "{}")]
    assert said.stop == "tools" and said.model == "gpt-5"


def test_calls_that_only_the_end_tells_of_are_heard():
    known = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    said = hear(
        event("response.output_text.delta", output_index=0, delta="a"),
        event("response.output_item.done", **item(1, **known)),
        done(output=[{"type": "message", "content": [{"type": "output_text", "text": "a"}]}, known, known | {"call_id": "d"}]),
    )
    assert said.parts == [Text("a"), ToolCall("c", "f", "{}"), ToolCall("d", "f", "{}")]


def test_imitators_that_do_not_number_their_items_are_understood():
    said = hear(
        event("response.output_item.added", item={"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": ""}),
        event("response.output_item.added", item={"type": "function_call", "id": "fc_2", "call_id": "d", "name": "g", "arguments": ""}),
        event("response.function_call_arguments.delta", item_id="fc_2", delta="{2}"),
        event("response.function_call_arguments.delta", item_id="fc_1", delta="{1}"),
        done(),
    )
    assert said.parts == [ToolCall("c", "f", "{1}"), ToolCall("d", "g", "{2}")]


def test_reasoning_is_not_told_twice():
    said = hear(
        event("response.reasoning_text.delta", output_index=0, delta="full"),
        event("response.reasoning_summary_text.delta", output_index=0, delta="short"),
        event("response.reasoning_summary_text.delta", output_index=1, delta="short"),
        event("response.reasoning_text.delta", output_index=1, delta="full"),
        done(),
    )
    assert said.parts == [Thought("fullshort")]


def test_what_is_missing_of_arguments_is_told_in_the_end():
    said = hear(
        event("response.output_item.added", **item(0, type="function_call", call_id="c", name="f", arguments="")),
        event("response.function_call_arguments.delta", output_index=0, delta='{"a"'),
        event("response.output_item.done", **item(0, type="function_call", call_id="c", name="f", arguments='{"a":1}')),
        done(),
    )
    assert said.parts == [ToolCall("c", "f", '{"a":1}')]


_TYPES = st.sampled_from(sorted(ResponsesListener._acts)) | JSON
_ITEMS = st.dictionaries(
    st.sampled_from(["type", "id", "call_id", "name", "arguments", "content", "summary", "encrypted_content"]),
    JSON | st.sampled_from(["message", "function_call", "custom_tool_call", "reasoning", "x"]),
)
_WHOLE = st.dictionaries(
    st.sampled_from(["id", "output", "usage", "error", "status", "incomplete_details"]), JSON | st.lists(_ITEMS, max_size=2)
)
_HEARD = st.fixed_dictionaries(
    {"type": _TYPES},
    optional=dict.fromkeys(("delta", "item_id", "summary_index", "error", "message", "code"), JSON)
    | {"output_index": JSON | st.integers(0, 2), "item": _ITEMS | JSON, "response": _WHOLE | JSON},
).map(lambda value: b"data: " + json.dumps(value).encode() + b"\n\n")


@given(st.lists(_HEARD | st.binary(max_size=40) | JSON.map(lambda value: b"data: " + json.dumps(value).encode()), max_size=8))
def test_nothing_that_a_provider_sends_makes_it_raise(events):
    assert hear(*events).ended


def test_json_nested_too_deeply_is_skipped():
    assert hear(b'data: {"type":"response.completed","response":' + b"[" * 100_000 + b"\n\n").failure.kind == "upstream_broken"

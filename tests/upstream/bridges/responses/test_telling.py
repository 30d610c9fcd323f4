from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from made_responses import REPLIES, TOOLS, Said, about_of, events_of, plain
from penstock.kit.sse import split
from penstock.upstream.bridges.between import retell
from penstock.upstream.bridges.conversation import Asked, Failure, Image, Refusal, Text, Thought, Tool, ToolCall
from penstock.upstream.bridges.responses.asks_in import ResponsesAsked
from penstock.upstream.bridges.responses.listening import ResponsesListener
from penstock.upstream.bridges.responses.telling import ResponsesTeller
from penstock.upstream.bridges.sealed import unseal
from penstock.upstream.usage import Usage

EVENT = TypeAdapter(ResponseStreamEvent)


def told(*steps, asked=None):
    """The events of what a teller is told: `("text", "a")` and so on."""
    teller = ResponsesTeller(about_of(asked))
    for name, *arguments in steps:
        getattr(teller, name)(*arguments)
    return events_of(teller.take())


def kinds(events):
    return [event["type"].removeprefix("response.") for event in events]


END = ("end", "end", Usage(5, output_tokens=2))


def test_text_is_told_in_the_grammar_of_openai():
    events = told(("begin", "msg_x", "served"), ("text", "He"), ("text", "y"), END)
    assert kinds(events) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    for event in events:
        EVENT.validate_python(event)
    created, last = events[0]["response"], events[-1]["response"]
    assert created["id"] == last["id"] == "resp_0123" and created["status"] == "in_progress" and created["model"] == "served"
    assert events[4] == {
        "type": "response.output_text.delta", "sequence_number": 4, "item_id": "msg_0123_0", "output_index": 0, "content_index": 0,
        "delta": "He", "logprobs": [],
    }  # fmt: skip
    assert last["status"] == "completed" and last["completed_at"] == 1_700_000_000
    assert last["output"] == [events[-2]["item"]] and last["output"][0]["content"][0]["text"] == "Hey"
    assert last["usage"] == {
        "input_tokens": 5, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7,
    }  # fmt: skip
    Response.model_validate(last)


def test_reasoning_text_and_calls_are_items_of_their_own():
    events = told(
        ("thought", "Hm"), ("signed", "sig", "messages"), ("text", "So"), ("tool", 7, "call_a", "look"), ("arguments", 7, '{"a":'),
        ("arguments", 7, "1}"), ("tool", 8, "call_b", "look"), ("end", "tools", Usage()),
    )  # fmt: skip
    done = [event for event in events if event["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in done] == [0, 1, 2, 3]
    thought, message, first, second = (event["item"] for event in done)
    assert thought["summary"] == [{"type": "summary_text", "text": "Hm"}]
    assert unseal(thought["encrypted_content"]) == Thought(signature="sig", wire="messages")
    assert message["content"][0]["text"] == "So"
    assert (first["call_id"], first["arguments"]) == ("call_a", '{"a":1}') and (second["call_id"], second["arguments"]) == ("call_b", "{}")
    assert [item["id"] for item in events[-1]["response"]["output"]] == ["rs_0123_0", "msg_0123_1", "fc_0123_2", "fc_0123_3"]


def test_what_is_told_while_a_call_is_not_whole_waits():
    events = told(
        ("tool", 0, "a", "look"), ("tool", 1, "b", "look"), ("arguments", 1, "{}"), ("arguments", 0, '{"x"'), ("text", "after"),
        ("arguments", 0, ":1}"), END,
    )  # fmt: skip
    output = events[-1]["response"]["output"]
    assert [item.get("arguments") for item in output] == ['{"x":1}', "{}", None]
    assert [event["output_index"] for event in events if event["type"] == "response.output_item.added"] == [0, 1, 2]


def test_what_waits_for_a_call_that_is_never_whole_is_told_in_the_end():
    events = told(("tool", 0, "a", "look"), ("arguments", 0, "{"), ("text", "x"), ("thought", "y"), END)
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["function_call", "message", "reasoning"]


def test_a_custom_tool_is_called_with_its_text_as_it_is_written():
    asked = Asked("m", [], TOOLS)
    events = told(
        ("tool", 0, "c", "patch"), ("arguments", 0, '{"input":"a\\'), ("arguments", 0, 'nb"'), ("arguments", 0, "}"), END, asked=asked
    )
    assert [event["delta"] for event in events if event["type"].endswith("input.delta")] == ["a", "\nb"]
    item = events[-1]["response"]["output"][0]
    assert (item["type"], item["input"], item["name"], item["id"]) == ("custom_tool_call", "a\nb", "patch", "ctc_0123_0")


def test_a_call_of_a_tool_in_a_namespace_names_both():
    asked = ResponsesAsked("m", [], [Tool("mcp__files__read")], homes={"mcp__files__read": ("mcp__files", "read")})
    item = told(("tool", 0, "c", "mcp__files__read"), END, asked=asked)[-1]["response"]["output"][0]
    assert (item["namespace"], item["name"]) == ("mcp__files", "read")


def test_the_clients_own_search_for_tools_is_an_item_of_its_own():
    asked = ResponsesAsked("m", [], [Tool("tool_search")], searches=True)
    events = told(("tool", 0, "c", "tool_search"), ("arguments", 0, '{"query":'), ("arguments", 0, '"q"}'), END, asked=asked)
    assert kinds(events) == ["created", "in_progress", "output_item.added", "output_item.done", "completed"]
    item = events[-1]["response"]["output"][0]
    assert (item["type"], item["execution"], item["arguments"]) == ("tool_search_call", "client", {"query": "q"})
    for event in events:
        EVENT.validate_python(event)


def test_a_tool_that_was_renamed_is_called_by_its_own_name():
    about = about_of()
    about.aliases["long_abc"] = "long.name"
    teller = ResponsesTeller(about)
    teller.tool(0, "c", "long_abc")
    teller.end("tools", Usage())
    assert events_of(teller.take())[-1]["response"]["output"][0]["name"] == "long.name"


def test_geminis_proof_goes_before_the_call():
    thought, call = told(("thought", "Hm"), ("tool", 0, "c", "look"), END)[-1]["response"]["output"]
    assert "encrypted_content" not in thought
    teller = ResponsesTeller(about_of())
    teller.tool(0, "c", "look", signature="proof")
    teller.end("tools", Usage())
    proof, call = events_of(teller.take())[-1]["response"]["output"]
    assert unseal(proof["encrypted_content"]) == Thought(signature="proof", wire="gemini") and proof["summary"] == []
    assert call["type"] == "function_call"


def test_what_openai_has_encrypted_belongs_to_its_summary_and_that_of_others_does_not():
    thought = told(("thought", "Hm"), ("redacted", "enc", "responses", "rs_9"), END)[-1]["response"]["output"]
    assert [item["encrypted_content"] for item in thought] == ["enc"]
    first, second = told(("thought", "Hm"), ("redacted", "enc", "messages"), END)[-1]["response"]["output"]
    assert "encrypted_content" not in first and second["summary"] == []


@pytest.mark.parametrize(
    ("stop", "status", "reason"),
    [
        ("end", "completed", None),
        ("tools", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("refusal", "incomplete", "content_filter"),
    ],
)
def test_the_end_says_why(stop, status, reason):
    last = told(("text", "x"), ("end", stop, Usage()))[-1]
    assert last["type"] == f"response.{status}" and last["response"]["output"][0]["status"] == status
    assert (last["response"]["incomplete_details"] or {}).get("reason") == reason
    EVENT.validate_python(last)


def test_a_refusal_in_words_is_a_whole_answer():
    events = told(("text", "Well."), ("refusal", "No"), ("refusal", "."), ("end", "refusal", Usage()))
    assert events[-1]["type"] == "response.completed"
    assert [part["type"] for part in events[-1]["response"]["output"][0]["content"]] == ["output_text", "refusal"]
    for event in events:
        EVENT.validate_python(event)


def test_a_failure_ends_the_stream_with_a_code_that_codex_knows():
    events = told(("text", "x"), ("fail", Failure(529, "Overloaded", "overloaded_error")), ("text", "y"), END)
    assert kinds(events)[-1] == "failed" and kinds(events).count("failed") == 1
    response = events[-1]["response"]
    assert response["status"] == "failed" and response["error"] == {"code": "server_is_overloaded", "message": "Overloaded"}


def test_nothing_is_told_after_the_end():
    teller = ResponsesTeller(about_of())
    teller.end("end", Usage())
    assert teller.ended and kinds(events_of(teller.take())) == ["created", "in_progress", "completed"]
    teller.text("x"), teller.thought("x"), teller.tool(0, "a", "b"), teller.arguments(0, "x"), teller.signed("s", "w")
    teller.redacted("s", "w"), teller.refusal("x"), teller.image(Image(data="x")), teller.end("end", Usage()), teller.begin()
    teller.fail(Failure(500, "x"))
    assert teller.take() == b""


def test_a_picture_is_what_openais_own_tool_gives():
    events = told(("image", Image("image/jpeg", "aGk=")), ("image", Image(url="https://e.example/p.png")), END)
    picture, message = events[-1]["response"]["output"]
    assert (picture["type"], picture["result"], picture["output_format"]) == ("image_generation_call", "aGk=", "jpeg")
    assert "https://e.example/p.png" in message["content"][0]["text"]
    for event in events:
        EVENT.validate_python(event)


def test_calls_with_one_id_get_their_own():
    events = told(("tool", 0, "c", "look"), ("arguments", 0, "{}"), ("tool", 1, "c", "look"), ("tool", 2, "", "look"), END)
    assert [item["call_id"] for item in events[-1]["response"]["output"]] == ["c", "call_0123_1", "call_0123_2"]


def test_half_a_surrogate_pair_is_replaced():
    assert told(("text", "a\ud800"), END)[-1]["response"]["output"][0]["content"][0]["text"] == "a?"


@settings(max_examples=40)
@given(REPLIES)
def test_the_sdk_accepts_every_stream_and_finds_the_same_in_it(reply):
    teller = ResponsesTeller(about_of(Asked("m", [], TOOLS)))
    retell(reply, teller)
    state = ResponseStreamState(input_tools=[], text_format=omit)
    events = events_of(teller.take())
    for event in events:
        state.handle_event(EVENT.validate_python(event))
    last = Response.model_validate(events[-1]["response"])
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    assert added == [item.id for item in last.output]
    assert last.output_text == "".join(part.text for part in reply.parts if isinstance(part, Text))


@given(REPLIES, st.booleans())
def test_what_is_told_is_heard_again(reply, natively):
    tools = [] if natively else TOOLS
    teller = ResponsesTeller(about_of(Asked("m", [], tools)))
    retell(reply, teller)
    said = Said()
    listener = ResponsesListener(said)
    for event in split(teller.take()):
        listener.event(event)
    listener.over()
    assert said.failure is None and plain(said.parts, tools) == plain(reply.parts, tools)
    assert said.model == "served" and said.usage == reply.usage
    if any(isinstance(part, ToolCall) for part in reply.parts) or any(isinstance(part, Refusal) for part in reply.parts):
        assert said.stop == reply.stop or reply.stop in ("end", "tools", "refusal")
    elif reply.stop != "tools":
        assert said.stop == reply.stop


_STEPS = st.lists(
    st.tuples(st.sampled_from(["text", "thought", "refusal"]), st.text(min_size=1, max_size=3))
    | st.tuples(st.sampled_from(["tool", "piece"]), st.integers(0, 2))
    | st.tuples(st.just("signed"), st.just("sig"), st.just("messages")),
    max_size=20,
)
_WHOLE = ['{"a":', '"x', 'y"', ",", '"b":1', "}"]


@settings(max_examples=60)
@given(_STEPS)
def test_whatever_order_things_are_told_in_nothing_is_lost(steps):
    teller = ResponsesTeller(about_of())
    left: dict[int, list[str]] = {}
    words = {"text": "", "thought": "", "refusal": ""}
    for name, *arguments in steps:
        if name in words:
            getattr(teller, name)(*arguments)
            words[name] += arguments[0]
        elif name == "signed":
            teller.signed(*arguments)
        elif name == "tool" and arguments[0] not in left:
            left[arguments[0]] = list(_WHOLE)
            teller.tool(arguments[0], f"c{arguments[0]}", "look")
        elif name == "piece" and left.get(arguments[0]):
            teller.arguments(arguments[0], left[arguments[0]].pop(0))
    for index, pieces in left.items():
        for piece in pieces:
            teller.arguments(index, piece)
    teller.end("end", Usage())
    events = events_of(teller.take())
    state = ResponseStreamState(input_tools=[], text_format=omit)
    for event in events:
        state.handle_event(EVENT.validate_python(event))
    output = events[-1]["response"]["output"]
    content = [part for item in output for part in item.get("content", [])]
    assert "".join(part.get("text", "") for part in content) == words["text"]
    assert "".join(part.get("refusal", "") for part in content) == words["refusal"]
    assert "".join(part["text"] for item in output for part in item.get("summary", [])) == words["thought"]
    calls = {item["call_id"]: item["arguments"] for item in output if item["type"] == "function_call"}
    assert calls == {f"c{index}": "".join(_WHOLE) for index in left}


def test_the_base_repeats_what_was_asked():
    schema = {"type": "object"}
    echo = {"instructions": "Be kind.", "tools": [{"type": "function", "name": "f", "parameters": schema}], "metadata": {"a": "b"}}
    response = told(END, asked=ResponsesAsked("m", [], echo=echo, temperature=0.5, output_cap=99))[0]["response"]
    assert (response["instructions"], response["temperature"], response["max_output_tokens"]) == ("Be kind.", 0.5, 99)
    assert response["tools"] == [{"description": None, "parameters": schema, "strict": None, "type": "function", "name": "f"}]
    assert json.dumps(response).startswith('{"id": "resp_0123"')

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.sse import payload, split
from penstock.upstream.bridges.workers.answers import Known
from penstock.upstream.bridges.workers.streams import Repair, replayed

KNOWN = Known(frozenset(("f",)), "public", "req_7", 5)
NAMES = ["choices", "delta", "content", "tool_calls", "response", "usage", "function", "name", "arguments", "index", "id", "error"]
NAMES += ["result", "finish_reason", "message"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=12,
)


def told(*events, known=KNOWN, shows_usage=False):
    repair = Repair(known, shows_usage=shows_usage)
    out = b"".join(repair.event(b"data: %b\n\n" % (one if isinstance(one, str) else json.dumps(one)).encode()) for one in events)
    out += repair.over()
    assert repair.ended
    return [json.loads(data) for event in split(out) if not (data := payload(event.rstrip(b"\n"))).startswith(b"[DONE]")]


def calls(chunks):
    return [call for one in chunks for choice in one["choices"] for call in choice["delta"].get("tool_calls", [])]


def delta(**fields):
    return {"choices": [{"index": 0, "delta": fields}]}


def call(**fields):
    return delta(tool_calls=[fields])


def test_a_name_and_an_id_come_once():
    pieces = [{"index": 0, "id": "a", "function": {"name": "f", "arguments": one}} for one in ('{"x"', ":1}")]
    found = calls(told(*(call(**piece) for piece in pieces), "[DONE]"))
    assert [one.get("id") for one in found] == ["a", None]
    assert [one["function"].get("name") for one in found] == ["f", None]


def test_calls_without_an_index():
    found = calls(told(delta(tool_calls=[{"name": "f", "arguments": {}}, {"name": "f", "arguments": {}}]), "[DONE]"))
    assert [one["index"] for one in found] == [0, 1]
    more = calls(told(call(id="a", function={"name": "f"}), call(function={"arguments": "{}"}), "[DONE]"))
    assert [(one["index"], one["function"]["arguments"]) for one in more] == [(0, ""), (0, "{}")]


def test_calls_that_say_nothing():
    assert (
        calls(told(call(index=0, function={"name": None, "arguments": ""}), call(), delta(tool_calls=[7], content="a"), "[DONE]", delta()))
        == []
    )


def test_an_answer_that_says_nothing_but_why_it_ended():
    chunks = told(delta(), {"choices": [{"finish_reason": "stop"}]}, "[DONE]")
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("events", [[], [delta()], [delta(), "[DONE]"], [{"result": {}}, "[DONE]"], [{"choices": []}, "[DONE]"]])
def test_an_answer_that_says_nothing_at_all(events):
    assert told(*events)[-1]["error"]["code"] in ("upstream_broken", "upstream_invalid")


def test_usage_only_where_there_is_some():
    assert all("usage" not in one for one in told(delta(content="a"), "[DONE]", shows_usage=True))
    chunks = told(
        {**delta(content="a"), "usage": None}, {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}, "[DONE]", shows_usage=True
    )
    assert chunks[-1]["usage"]["total_tokens"] == 3


def test_a_text_that_is_a_call_after_a_thought():
    found = calls(told(delta(content="<think>x</think>"), delta(content='{"name":"f",'), delta(content='"arguments":{}}'), "[DONE]"))
    assert [one["function"]["name"] for one in found] == ["f"]


def test_an_envelope_that_says_it_failed():
    assert told({"success": False, "errors": [{"code": 3036, "message": "m"}]})[-1]["error"]["code"] == "daily_quota"
    assert told({"name": "AiError", "internalCode": 3030, "message": "m"})[-1]["error"]["code"] == "content_policy_violation"


def test_a_whole_answer_as_a_stream():
    body = json.dumps({"choices": [{"message": {"content": "a", "reasoning": "b"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    data = replayed(body.encode(), KNOWN, shows_usage=True)
    assert data.endswith(b"data: [DONE]\n\n") and data.count(b'"usage"') == 1
    assert replayed(b"{}", KNOWN, shows_usage=True) is None


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"result":{"response":"a"},"success":true}\n', b'"content":"a"'),
        (b'{"errors":[{"code":3036}],"success":false}', b'"daily_quota"'),
    ],
)
def test_json_that_is_labelled_as_a_stream(body, shown):
    repair = Repair(KNOWN, shows_usage=False)
    assert shown in repair.event(body) and repair.ended


@given(st.lists(JSON, max_size=6), st.booleans())
def test_nothing_escapes(events, shows_usage):
    for chunk in told(*events, shows_usage=shows_usage):
        assert "error" in chunk or chunk["object"] == "chat.completion.chunk"


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_no_bytes_escape(events):
    repair = Repair(KNOWN, shows_usage=False)
    for event in events:
        repair.event(event)
    repair.over()
    assert repair.ended

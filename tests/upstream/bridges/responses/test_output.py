from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_responses import JSON
from penstock.upstream.bridges.conversation import Image, Refusal, Text, Thought, ToolCall
from penstock.upstream.bridges.responses.output import parts_of_item

MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "a", "annotations": [1]}, {"type": "refusal", "refusal": "b"}]}
REASONING = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "s"}], "encrypted_content": "e"}


@pytest.mark.parametrize(
    ("item", "parts"),
    [
        (MESSAGE, [Text("a"), Refusal("b")]),
        ({"type": "message", "content": "plain"}, [Text("plain")]),
        (REASONING, [Thought("s", "", "e", "rs", "responses")]),
        ({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "r"}]}, [Thought("r")]),
        ({"type": "reasoning", "summary": []}, []),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": {"a": 1}}, [ToolCall("c", "f", '{"a":1}')]),
        ({"type": "function_call", "id": "fc", "name": "f", "arguments": "{}"}, [ToolCall("fc", "f", "{}")]),
        ({"type": "custom_tool_call", "call_id": "c", "name": "p", "input": "x"}, [ToolCall("c", "p", "x", custom=True)]),
        ({"type": "function_call", "call_id": "c"}, []),
        ({"type": "image_generation_call", "result": "aGk=", "output_format": "webp"}, [Image("image/webp", "aGk=")]),
        ({"type": "web_search_call", "id": "ws"}, []),
        ("odd", []),
    ],
)
def test_items(item, parts):
    assert parts_of_item(item) == parts


@given(
    JSON
    | st.dictionaries(
        st.sampled_from(["type", "content", "summary", "name", "arguments", "result", "id"]),
        JSON | st.sampled_from(["message", "reasoning", "function_call"]),
    )
)
def test_odd_items_never_raise(item):
    parts_of_item(item)

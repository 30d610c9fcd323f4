from __future__ import annotations

import pytest

from penstock.upstream.bridges.conversation import Audio, Document, Image, Refusal, Text, Thought, ToolCall, ToolResult, Turn
from penstock.upstream.bridges.responses.items_in import DROPPED_ITEMS, Reading, parts_of
from penstock.upstream.bridges.sealed import seal


def read(*items) -> Reading:
    reading = Reading()
    reading.all(list(items))
    return reading


def call(call_id, **fields):
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **fields}


def result(call_id, output="ok", **fields):
    return {"type": "function_call_output", "call_id": call_id, "output": output, **fields}


def test_what_one_side_says_without_a_break_is_one_turn():
    turns = read(
        {"role": "user", "content": "Do"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes"}, {"type": "refusal", "refusal": "No"}]},
        call("a"),
        call("b"),
        result("a"),
        result("b"),
        {"role": "user", "content": "More"},
    ).turns
    assert turns == [
        Turn("user", [Text("Do")]),
        Turn("assistant", [Thought("Hm", id="rs_1"), Text("Yes"), Refusal("No"), ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")]),
        Turn("user", [ToolResult("a", [Text("ok")], "f"), ToolResult("b", [Text("ok")], "f")]),
        Turn("user", [Text("More")]),
    ]


def test_calls_of_custom_tools_and_of_namespaces():
    turns = read(
        {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "*** Begin"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "done"}]},
        call("d", namespace="mcp__files", name="read", arguments={"a": 1}),
        result("d", status="incomplete"),
    ).turns
    assert turns[0].parts == [ToolCall("c", "apply_patch", "*** Begin", custom=True)]
    assert turns[1].parts == [ToolResult("c", [Text("done")], "apply_patch")]
    assert turns[2].parts == [ToolCall("d", "mcp__files__read", '{"a":1}')]
    assert turns[3].parts == [ToolResult("d", [Text("ok")], "mcp__files__read", failed=True)]


def test_what_the_client_has_run_for_openais_tools_stays():
    turns = read(
        {"type": "local_shell_call", "call_id": "s", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "local_shell_call_output", "id": "s", "output": "a b"},
        {"type": "shell_call", "call_id": "t", "action": {"commands": ["ls"]}},
        {"type": "shell_call_output", "call_id": "t", "output": [{"stdout": "a"}]},
    ).turns
    assert turns[0].parts == [ToolCall("s", "local_shell", '{"type":"exec","command":["ls"]}')]
    assert turns[1].parts == [ToolResult("s", [Text("a b")], "local_shell")]
    assert turns[3].parts == [ToolResult("t", [Text('[{"stdout":"a"}]')], "shell")]


@pytest.mark.parametrize("kind", sorted(DROPPED_ITEMS))
def test_what_openais_own_tools_have_done_is_left_out_and_named(kind):
    reading = read({"type": kind, "id": "x"}, {"role": "user", "content": "Hi"})
    assert reading.dropped == [f"input.{kind}"] and len(reading.turns) == 1


def test_thoughts_of_other_providers_are_unsealed():
    sealed = seal(Thought(signature="sig", wire="messages"))
    turns = read({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}], "encrypted_content": sealed}).turns
    assert turns[0].parts == [Thought("Hm", "sig", wire="messages")]


def test_openais_own_thoughts_stay_its_own():
    item = {"type": "reasoning", "id": "rs_1", "summary": [{"text": "a"}, {"text": "b"}], "encrypted_content": "gAAAA"}
    assert read(item).turns[0].parts == [Thought("a\n\nb", redacted="gAAAA", id="rs_1", wire="responses")]
    raw = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "raw"}]}
    assert read(raw).turns[0].parts == [Thought("raw")]
    assert read({"type": "reasoning", "id": "rs_1", "summary": []}).turns == []


def test_geminis_proof_is_put_back_onto_its_call():
    proof = {"type": "reasoning", "summary": [], "encrypted_content": seal(Thought(signature="proof", wire="gemini"))}
    assert read(proof, call("a")).turns[0].parts == [ToolCall("a", "f", "{}", signature="proof")]
    assert read(proof, {"role": "assistant", "content": "x"}).turns[0].parts == [Thought(signature="proof", wire="gemini"), Text("x")]


def test_the_clients_own_searches_for_tools():
    tools = [{"type": "function", "name": "g"}]
    reading = read(
        {"type": "tool_search_call", "call_id": "s", "execution": "client", "arguments": {"query": "q"}},
        {"type": "tool_search_output", "call_id": "s", "execution": "client", "tools": tools},
        {"type": "tool_search_call", "execution": "server", "arguments": {}},
    )
    assert reading.turns[0].parts == [ToolCall("s", "tool_search", '{"query":"q"}')]
    assert reading.turns[1].parts == [ToolResult("s", [Text('[{"type":"function","name":"g"}]')], "tool_search")]
    assert reading.more_tools == [("input[1].tools", tools)] and reading.dropped == ["input.tool_search_call"]


def test_tools_that_come_as_items_are_kept():
    tools = [{"type": "function", "name": "f"}]
    assert read({"type": "additional_tools", "role": "developer", "tools": tools}).more_tools == [("input[0].tools", tools)]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}, Text("a", "5m")),
        ({"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}, Text("a", "1h")),
        ({"type": "input_image", "image_url": "data:image/PNG;base64,aGk=", "detail": "low"}, Image("image/png", "aGk=", detail="low")),
        ({"type": "input_image", "image_url": "https://e.example/p"}, Image(url="https://e.example/p")),
        (
            {"type": "image_url", "image_url": {"url": "https://e.example/p", "detail": "high"}},
            Image(url="https://e.example/p", detail="high"),
        ),
        ({"type": "input_image", "file_id": "file-1"}, Image(file_id="file-1")),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
            Document("application/pdf", "aGk=", name="a.pdf"),
        ),
        ({"type": "input_file", "filename": "a.txt", "file_data": "aGk="}, Document("text/plain", "aGk=", name="a.txt")),
        ({"type": "input_file", "file_data": "data:text/plain,h%69"}, Document("text/plain", "aGk=")),
        ({"type": "input_file", "file_url": "https://e.example/a.pdf"}, Document(url="https://e.example/a.pdf")),
        ({"type": "file", "file": {"file_id": "file-1", "filename": "a"}}, Document(file_id="file-1", name="a")),
        ({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}, Audio("aGk=", "wav")),
        ("bare", Text("bare")),
    ],
)
def test_parts(part, expected):
    assert parts_of([part], "content") == [expected]

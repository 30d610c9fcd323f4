"""Cursor: requests that are written as Responses and posted to the chat path, over any wire, with answers that are chats."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from fake_answers import answer as said
from fake_answers import chat_answer, chat_chunk, chat_events, chat_usage, messages_events, responses_events, stream
from penstock.kit.sse import payload, split
from raw_client import Answer, bearer, request

KIND = "content-type: application/json"
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'}
PATCH = {"type": "custom", "name": "ApplyPatch", "description": "Edit files.", "format": GRAMMAR}
READ = {"type": "function", "name": "Read", "description": "Read a file.", "parameters": {"type": "object"}, "strict": False}
NESTED = {"type": "function", "function": {"name": "Grep", "parameters": {"type": "object"}}}
INPUT: list[dict[str, Any]] = [
    {"role": "system", "content": "You are an editor."},
    {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
]
AGENT = {
    "input": INPUT,
    "tools": [READ, PATCH],
    "tool_choice": "auto",
    "reasoning": {"effort": "high", "summary": "auto"},
    "text": {"verbosity": "low"},
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_retention": "24h",
    "store": False,
    "user": "someone",
}
EVENTS = {"chat": chat_events, "messages": messages_events, "responses": responses_events}


@pytest.fixture
def ask(crossroads, vendor, dial):
    """Posts a body to the chat path, and gives the answer."""

    def send(**body: Any) -> Answer:
        return dial(crossroads).ask(request("POST /v1/chat/completions", bearer(crossroads.key), KIND, body=json.dumps(body).encode()))

    return send


def received(vendor) -> dict[str, Any]:
    (one,) = vendor.requests
    return json.loads(one.body)


def chunks(answer: Answer) -> list[dict[str, Any]]:
    events = [payload(event.rstrip()) for event in split(answer.body)]
    assert events[-1] == b"[DONE]"
    return [json.loads(event) for event in events[:-1]]


def test_input_becomes_messages_on_a_channel_that_speaks_chat(ask, vendor, crossroads):
    vendor.script(said(chat_answer()))
    answer = ask(model="gpt-by-chat", **AGENT)
    assert (answer.status, answer.json["object"]) == (200, "chat.completion"), answer.body
    assert answer.json["choices"][0]["message"]["content"] == "Hello there."
    assert answer.header("x-penstock-channel") == "chat"
    sent = received(vendor)
    assert vendor.requests[0].target == "/v1/chat/completions"
    assert sent["messages"][0] == {"role": "system", "content": "You are an editor."}
    assert sent["messages"][1]["role"] == "user" and "Hello" in str(sent["messages"][1]["content"])
    assert sent["model"] == "gpt-4o" and "input" not in sent
    assert [sorted(tool) for tool in sent["tools"]] == [["function", "type"], [sent["tools"][1]["type"], "type"]]
    assert sent["tools"][0]["function"]["name"] == "Read"
    charge = next(row for row in crossroads.charges() if row["id"] == answer.header("x-request-id"))
    assert (charge["wire"], charge["input_tokens"], charge["output_tokens"]) == ("chat", 19, 10)


@pytest.mark.parametrize("wire", EVENTS)
@pytest.mark.parametrize("usage", [False, True])
def test_streams_are_chunks_on_every_wire(ask, vendor, wire, usage):
    vendor.script(stream(*EVENTS[wire](3)))
    answer = ask(model=f"gpt-by-{wire}", stream=True, **AGENT, **({"stream_options": {"include_usage": True}} if usage else {}))
    assert answer.status == 200, answer.body
    assert (answer.header("content-type") or "").startswith("text/event-stream")
    told = chunks(answer)
    assert {chunk["object"] for chunk in told} == {"chat.completion.chunk"}
    assert "".join(choice["delta"].get("content") or "" for chunk in told for choice in chunk["choices"]) == " word0 word1 word2"
    assert [choice["finish_reason"] for chunk in told for choice in chunk["choices"]][-1] == "stop"
    assert [chunk["usage"] for chunk in told if not chunk["choices"]] == ([told[-1]["usage"]] if usage else [])
    assert told[-1].get("usage", {}).get("prompt_tokens") == (19 if usage else None)


@pytest.mark.parametrize("wire", EVENTS)
def test_a_custom_tool_is_called_in_the_envelope_of_a_function(ask, vendor, wire):
    """Cursor reads the text of the patch straight from `function.arguments`."""
    patch = "*** Begin Patch\n*** End Patch"
    if wire == "chat":
        call = {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "ApplyPatch", "input": ""}}
        more = {"index": 0, "custom": {"input": patch}}
        vendor.script(
            stream(
                chat_chunk({"role": "assistant", "content": None, "tool_calls": [call]}),
                chat_chunk({"tool_calls": [more]}),
                chat_chunk({}, "tool_calls"),
                chat_usage(),
                b"data: [DONE]\n\n",
            )
        )
    elif wire == "messages":
        vendor.script(said(messages_call("ApplyPatch", {"input": patch})))
    else:
        item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "ApplyPatch", "input": patch, "status": "completed"}
        vendor.script(said(response_of(item)))
    answer = ask(model=f"gpt-by-{wire}", stream=True, **AGENT)
    calls = [call for chunk in chunks(answer) for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", ())]
    assert (calls[0]["type"], calls[0]["function"]["name"]) == ("function", "ApplyPatch")
    assert "".join(call["function"].get("arguments", "") for call in calls) == patch
    assert chunks(answer)[-1]["choices"][0]["finish_reason"] == "tool_calls"


def messages_call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    usage = {"input_tokens": 19, "output_tokens": 10}
    about = {"id": "msg_fake", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "tool_use"}
    return about | {"content": [{"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments}], "usage": usage}


def response_of(item: dict[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(payload(responses_events(1)[-1].rstrip()))["response"]
    return whole | {"output": [item]}


@pytest.mark.parametrize("wire", EVENTS)
def test_what_a_tool_gave_comes_back_as_items_or_as_messages(ask, vendor, wire):
    good = {
        "chat": chat_answer(),
        "messages": messages_call("Read", {}),
        "responses": response_of({"type": "message", "role": "assistant"}),
    }
    patched = {"type": "function_call", "call_id": "call_1", "name": "ApplyPatch", "arguments": "*** Begin Patch"}
    items = [*INPUT, patched, {"type": "function_call_output", "call_id": "call_1", "output": "patched"}]
    vendor.always(said(good[wire]))
    assert ask(model=f"gpt-by-{wire}", **{**AGENT, "input": items}).status == 200
    assert b"patched" in vendor.requests[0].body
    assert b"Begin Patch" in vendor.requests[0].body


def test_flat_tools_beside_nested_ones_with_messages(ask, vendor):
    """Ask mode: chat's messages, and both spellings of tools."""
    messages = [{"role": "user", "content": "Hello"}]
    tool = {"name": "Edit", "description": "Anthropic's way.", "input_schema": {"type": "object"}}
    vendor.script(said(chat_answer()))
    assert ask(model="gpt-by-chat", messages=messages, tools=[NESTED, READ, tool]).status == 200
    sent = received(vendor)
    assert [(one["type"], one["function"]["name"]) for one in sent["tools"]] == [("function", name) for name in ("Grep", "Read", "Edit")]
    assert sent["messages"] == messages


def test_anthropics_way_is_understood_on_the_chat_path(ask, vendor):
    """Models whose name is Claude's get their own spelling of everything, at OpenAI's address."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "Edit", "input": {"path": "a"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "edited"}]}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    tool = {"name": "Edit", "description": "Edit.", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}
    system = [{"type": "text", "text": "You are an editor."}]
    vendor.script(said(chat_answer()))
    assert ask(model="claude-by-chat", messages=messages, system=system, tools=[tool], tool_choice={"type": "auto"}).status == 200
    sent = received(vendor)
    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", "tool"]
    assert sent["messages"][0]["content"] == "You are an editor."
    assert sent["messages"][2]["tool_calls"][0]["function"] == {"name": "Edit", "arguments": '{"path":"a"}'}
    assert sent["messages"][3]["tool_call_id"] == sent["messages"][2]["tool_calls"][0]["id"]
    assert "edited" in str(sent["messages"][3]["content"])
    assert sent["tools"][0]["function"]["parameters"] == tool["input_schema"]
    vendor.requests.clear()
    vendor.script(said(chat_answer()))
    assert ask(model="claude-by-chat", input=INPUT, tools=[tool]).status == 200
    assert received(vendor)["tools"][0]["function"]["parameters"] == tool["input_schema"]


@pytest.mark.parametrize(
    "tools",
    [
        [NESTED],
        [{"type": "custom", "custom": {"name": "x"}}],
        [{"type": "web_search"}],
        [],
        None,
        "odd",
        [1],
        [{"type": 1, "name": "x"}],
        {},
    ],
)
def test_requests_in_chats_own_words_pass_byte_for_byte(crossroads, vendor, dial, tools):
    body = json.dumps(
        {"model": "gpt-4o", "messages": [{"role": "user", "content": "é"}], "tools": tools, "odd": {"b": 1, "a": 2}}, indent=1
    )
    key = crossroads.key
    asked = request("POST /v1/chat/completions", bearer(key), KIND, body=body.replace("gpt-4o", "gpt-by-chat").encode())
    assert dial(crossroads).ask(asked).status == 200
    assert vendor.requests[0].body == body.encode()


def test_the_clients_own_credential_goes_with_what_it_has_written(make_gateway, module_vendor, vendor, dial):
    gateway = make_gateway(openai_base_url=f"{module_vendor.url}/v1", anthropic_base_url=module_vendor.url)
    body = json.dumps({"model": "gpt-4o", "input": "Hello"}).encode()
    assert dial(gateway).ask(request("POST /v1/chat/completions", "authorization: Bearer sk-mine", KIND, body=body)).status == 200
    (one,) = vendor.requests
    assert (one.body, one.header("authorization")) == (body, b"Bearer sk-mine")


def test_neither_messages_nor_input_is_for_the_provider_to_refuse(ask, vendor):
    error = {"error": {"message": "Missing required parameter: 'messages'.", "type": "invalid_request_error", "param": "messages"}}
    vendor.script(said(error, 400))
    answer = ask(model="gpt-by-chat")
    assert (answer.status, answer.json) == (400, error)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [({"input": 5}, "input"), ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"), ({"input": "x", "tools": 5}, "tools")],
)
def test_what_cannot_be_read_is_named(ask, vendor, wrong, param):
    answer = ask(model="gpt-by-chat", **wrong)
    assert answer.status == 400 and answer.json["error"]["param"].startswith(param), answer.body
    assert vendor.requests == []


@pytest.mark.parametrize("wire", EVENTS)
def test_the_keys_verification_is_a_small_chat(crossroads, vendor, wire):
    """Settings, Models, Verify: the usual chat request with a model that is switched on."""
    vendor.script(stream(*EVENTS[wire](2)))
    with openai.OpenAI(base_url=f"{crossroads.url}/v1", api_key=crossroads.key, max_retries=0) as client:
        found = client.chat.completions.create(
            model=f"gpt-by-{wire}", messages=[{"role": "user", "content": "Test prompt using gpt-3.5-turbo"}], stream=True, temperature=0
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in found if chunk.choices) == " word0 word1"

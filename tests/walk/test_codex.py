"""Codex: the WebSocket it tries first, its list of models, its streams, its patch tool and its errors, over any wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_answers import DONE, chat_chunk, chat_events, chat_usage, chunk, messages_events, responses_events, stream, stream_head
from fake_answers import answer as said
from fake_provider import close
from penstock.kit.sse import event_name, payload, split
from raw_client import Answer, bearer, request

KIND = "content-type: application/json"
HEADERS = (
    "accept: text/event-stream",
    "user-agent: codex_exec/0.169.0 (Linux; x86_64) unknown",
    "originator: codex_exec",
    "session_id: 0b1c",
    "conversation_id: 0b1c",
)
OFFER = (
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    "openai-beta: responses_websockets=2026-02-06",
)
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edit files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
}
SHELL = {
    "type": "function",
    "name": "exec_command",
    "description": "Runs a command.",
    "strict": False,
    "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"], "additionalProperties": False},
}
TURN: dict[str, Any] = {
    "instructions": "You are Codex.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
    ],
    "tools": [SHELL, PATCH, {"type": "web_search", "external_web_access": False}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0b1c",
    "text": {"verbosity": "low"},
    "client_metadata": {"x-codex-installation-id": "0b1c"},
}
EVENTS = {"chat": chat_events, "messages": messages_events, "responses": responses_events}
OTHERS = ("chat", "messages")
TEXT = "*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch\n"


@pytest.fixture
def ask(crossroads, vendor, dial):
    """Posts a turn."""

    def send(name: str | None, **body: Any) -> Answer:
        named = {} if name is None else {"model": name}
        lines = [*HEADERS, bearer(crossroads.key), KIND]
        return dial(crossroads).ask(request("POST /v1/responses", *lines, body=json.dumps(named | TURN | body).encode()))

    return send


def told(answer: Answer) -> list[dict[str, Any]]:
    """The events, which are numbered, named as they say, and end with the response and nothing after it."""
    assert answer.status == 200, answer.body
    assert (answer.header("content-type") or "").startswith("text/event-stream")
    found = [json.loads(payload(event.rstrip())) for event in split(answer.body)]
    assert [event_name(event).decode() for event in split(answer.body)] == [value["type"] for value in found]
    assert [value["sequence_number"] for value in found] == list(range(len(found)))
    return found


# before the first turn


@pytest.mark.parametrize("path", ["/v1/responses", "/responses"])
def test_a_websocket_is_declined_so_that_it_falls_back_at_once(crossroads, vendor, dial, path):
    client = dial(crossroads)
    answer = client.ask(request(f"GET {path}", *HEADERS, *OFFER, bearer(crossroads.key)))
    assert (answer.status, answer.header("connection"), answer.code) == (426, "close", "upgrade_required")
    assert client.rest() == b""
    assert vendor.requests == []


def test_a_plain_get_is_not_allowed_whatever_the_providers(crossroads, vendor, dial):
    answer = dial(crossroads).ask(request("GET /v1/responses", *HEADERS, bearer(crossroads.key)))
    assert (answer.status, answer.code, answer.header("allow")) == (405, "method_not_allowed", "POST")
    assert dial(crossroads).ask(request("GET /v1/responses", "authorization: Bearer sk-stranger")).status == 401
    assert vendor.requests == []


def test_a_stored_response_can_still_be_read(vendor_gateway, vendor, dial):
    assert dial(vendor_gateway).ask(request("GET /v1/responses/resp_1", bearer(vendor_gateway.key))).status == 200
    assert vendor.requests[0].target == "/v1/responses/resp_1"


def test_the_list_of_models_has_the_field_it_looks_for(crossroads, dial):
    answer = dial(crossroads).ask(request("GET /v1/models?client_version=0.169.0", *HEADERS, bearer(crossroads.key)))
    assert answer.status == 200
    assert (answer.json["object"], answer.json["models"]) == ("list", [])
    assert {"gpt-by-chat", "gpt-by-responses"} <= {model["id"] for model in answer.json["data"]}
    assert "models" not in dial(crossroads).ask(request("GET /v1/models", bearer(crossroads.key))).json


# turns


@pytest.mark.parametrize("wire", EVENTS)
def test_a_stream_ends_with_the_whole_response(ask, vendor, wire):
    vendor.script(stream(*EVENTS[wire](3)))
    events = told(ask(f"gpt-by-{wire}"))
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-1], kinds.count("response.completed")) == ("response.created", "response.completed", 1)
    assert "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta") == " word0 word1 word2"
    (item,) = (event["item"] for event in events if event["type"] == "response.output_item.done")
    assert item["content"][0]["text"] == " word0 word1 word2"
    response = events[-1]["response"]
    assert response["id"] and response["id"] == events[0]["response"]["id"]
    usage = response["usage"]
    assert (usage["input_tokens"], usage["total_tokens"]) == (19, 19 + usage["output_tokens"])
    assert type(usage["input_tokens_details"]["cached_tokens"]) is int
    assert type(usage["output_tokens_details"]["reasoning_tokens"]) is int


def test_its_own_protocol_passes_byte_for_byte(crossroads, vendor, dial):
    vendor.script(stream(*responses_events(2)))
    body = json.dumps({"model": "gpt-5", **TURN}, indent=1).encode()
    asked = request("POST /v1/responses", *HEADERS, bearer(crossroads.key), KIND, body=body.replace(b"gpt-5", b"gpt-by-responses"))
    answer = dial(crossroads).ask(asked)
    assert answer.body == b"".join(responses_events(2))
    (one,) = vendor.requests
    assert one.body == body
    assert not set(HEADERS) - set(one.raw_head.decode().split("\r\n"))


@pytest.mark.parametrize("wire", OTHERS)
def test_what_only_a_websocket_has_is_left_out(ask, vendor, wire):
    vendor.script(stream(*EVENTS[wire](1)))
    answer = ask(f"gpt-by-{wire}", generate=False)
    assert told(answer)[-1]["type"] == "response.completed"
    assert b"generate" not in vendor.requests[0].body
    assert "generate" not in (answer.header("x-penstock-dropped") or "")


@pytest.mark.parametrize("wire", OTHERS)
def test_the_patch_tool_is_a_function_elsewhere_and_its_call_is_what_it_was(ask, vendor, wire):
    """Its input is free text for Codex, and an argument of a function for models of others."""
    vendor.script(patching(wire))
    events = told(ask(f"gpt-by-{wire}"))
    (item,) = (event["item"] for event in events if event["type"] == "response.output_item.done")
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", TEXT)
    assert "".join(event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta") == TEXT
    sent = json.loads(vendor.requests[0].body)
    tools = [tool.get("function") or tool.get("custom") or tool for tool in sent["tools"]]
    assert [tool["name"] for tool in tools] == ["exec_command", "apply_patch"]
    assert "lark" in json.dumps(tools[1])
    vendor.requests.clear()
    vendor.script(stream(*EVENTS[wire](1)))
    result = {"type": "custom_tool_call_output", "call_id": item["call_id"], "output": "Success. Updated a.txt"}
    assert told(ask(f"gpt-by-{wire}", input=[*TURN["input"], item, result]))[-1]["type"] == "response.completed"
    assert b"Success. Updated a.txt" in vendor.requests[0].body
    assert b"Add File" in vendor.requests[0].body


def patching(wire: str) -> bytes:
    """A stream in which the tool is called."""
    arguments = json.dumps({"input": TEXT})
    if wire == "chat":
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "apply_patch", "arguments": ""}}
        pieces = [{"index": 0, "function": {"arguments": arguments[at : at + 7]}} for at in range(0, len(arguments), 7)]
        deltas = [{"role": "assistant", "content": None, "tool_calls": [call]}, *({"tool_calls": [piece]} for piece in pieces)]
        return stream(*map(chat_chunk, deltas), chat_chunk({}, "tool_calls"), chat_usage(), DONE)
    begin, _, _, *_, stop, delta, end = messages_events(1)
    block = {"type": "tool_use", "id": "toolu_1", "name": "apply_patch", "input": {}}
    values: list[dict[str, Any]] = [{"type": "content_block_start", "index": 0, "content_block": block}]
    values += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": arguments[at : at + 7]}}
        for at in range(0, len(arguments), 7)
    ]
    middle = [b"event: %b\ndata: %b\n\n" % (value["type"].encode(), json.dumps(value).encode()) for value in values]
    return stream(begin, *middle, stop, delta.replace(b"end_turn", b"tool_use"), end)


# what goes wrong


@pytest.mark.parametrize("body", [{}, {"model": None}, {"model": ""}])
def test_a_turn_without_a_model_is_told_so(ask, vendor, body):
    answer = ask(None, **body)
    assert (answer.status, answer.code, answer.json["error"]["param"]) == (400, "missing_model", "model")
    assert "model" in answer.json["error"]["message"]
    assert vendor.requests == []


def test_errors_of_its_own_protocol_are_not_modified(ask, vendor):
    error = {"type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus", "resets_at": 1790000000}
    for status, more in ((429, "x-codex-primary-used-percent: 100.0"), (400, "x-oai-request-id: req_theirs")):
        body = json.dumps({"error": error}, indent=1).encode()
        vendor.always(said(body, status, more))
        answer = ask("gpt-by-responses")
        assert (answer.status, answer.body) == (status, body)
        assert answer.header(more.partition(":")[0]) == more.partition(": ")[2]


@pytest.mark.parametrize("wire", OTHERS)
@pytest.mark.parametrize(("status", "code"), [(429, "rate_limit_exceeded"), (400, None), (503, "server_is_overloaded")])
def test_errors_of_others_are_told_as_openai_would(ask, vendor, wire, status, code):
    words = "Rate limited, please try again in 1.5s." if status == 429 else "No."
    error = {"message": words, "type": "rate_limit_error" if status == 429 else "invalid_request_error"}
    vendor.always(said({"type": "error", "error": error} if wire == "messages" else {"error": error}, status, "retry-after: 2"))
    answer = ask(f"gpt-by-{wire}")
    assert (answer.status, answer.header("content-type")) == (status, "application/json")
    assert answer.json["error"]["message"] == words
    if code is not None:
        assert answer.json["error"]["code"] == code
    assert answer.header("retry-after") == "2"


TOO_LONG = {
    "chat": ({"error": {"message": "Too long.", "type": "invalid_request_error", "code": "context_length_exceeded"}}, 400),
    "messages": ({"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"}}, 400),
}


@pytest.mark.parametrize("wire", OTHERS)
def test_a_prompt_that_is_too_long_has_the_code_that_it_compacts_for(ask, vendor, wire):
    body, status = TOO_LONG[wire]
    vendor.script(said(body, status))
    answer = ask(f"gpt-by-{wire}")
    assert (answer.status, answer.code) == (400, "context_length_exceeded")
    assert answer.json["error"]["message"] == body["error"]["message"]


@pytest.mark.parametrize("wire", OTHERS)
def test_an_error_in_the_middle_is_a_failed_response(ask, vendor, wire):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    last = (
        b"event: error\ndata: %b\n\n" % json.dumps(error).encode() if wire == "messages" else b"data: %b\n\n" % json.dumps(error).encode()
    )
    vendor.script(stream(*EVENTS[wire](9)[:5], last))
    events = told(ask(f"gpt-by-{wire}"))
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["message"] == "Overloaded"
    assert events[-1]["response"]["error"]["code"]


@pytest.mark.parametrize("wire", EVENTS)
def test_a_stream_that_breaks_off_is_not_completed(ask, vendor, wire):
    vendor.script(stream_head() + b"".join(map(chunk, EVENTS[wire](9)[:5])), close)
    answer = ask(f"gpt-by-{wire}")
    kinds = [json.loads(payload(event.rstrip()))["type"] for event in split(answer.body)]
    assert kinds[-1] == "response.failed" and "response.completed" not in kinds

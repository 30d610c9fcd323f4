"""Claude Code: its probes, its headers and fields, its streams and errors, on Anthropic's own protocol and over bridges.

As its gateway protocol reference has it: https://code.claude.com/docs/en/llm-gateway
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import anthropic
import pytest

from fake_answers import answer as said
from fake_answers import chat_chunk, chat_events, chunk, messages_events, responses_events, stream, stream_head
from fake_provider import hold
from penstock.kit.sse import event_name, payload, split
from raw_client import Answer, bearer, request

KIND = "content-type: application/json"
HEADERS = (
    "accept: application/json",
    "user-agent: claude-cli/2.1.197 (external, sdk-cli)",
    "anthropic-version: 2023-06-01",
    "anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,something-new-2027-01-01",
    "anthropic-dangerous-direct-browser-access: true",
    "anthropic-something-new: 1",
    "x-app: cli",
    "x-claude-code-session-id: 0b1c",
    "x-claude-code-agent-id: a1",
    "x-stainless-lang: js",
    "x-stainless-retry-count: 0",
    "x-stainless-timeout: 600",
)
SYSTEM = [
    {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197"},
    {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
    {"type": "text", "text": "Rules.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
]
TOOL = {"name": "Write", "description": "Write a file.", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}
TURN: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Héllo", "cache_control": {"type": "ephemeral"}}]}],
    "system": SYSTEM,
    "tools": [{**TOOL, "strict": True, "defer_loading": True, "input_examples": [{"path": "a"}]}],
    "metadata": {"user_id": "user_1"},
    "max_tokens": 32000,
    "thinking": {"type": "adaptive"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"},
    "something_new": {"b": 1, "a": [2.50, None]},
}
EVENTS = {"chat": chat_events, "messages": messages_events, "responses": responses_events}
OTHERS = ("chat", "responses")
TOO_LONG = "prompt is too long: 250000 tokens > 200000 maximum"


@pytest.fixture
def ask(crossroads, vendor, dial):
    """Posts a turn; the connection is the test's."""

    def send(model: str, *headers: str, path: str = "/v1/messages?beta=true", gateway: Any = crossroads, **body: Any) -> Answer:
        lines = [*HEADERS, *(headers or [bearer(gateway.key)]), KIND]
        return dial(gateway).ask(request(f"POST {path}", *lines, body=json.dumps({"model": model} | body).encode()))

    return send


def received(vendor) -> dict[str, Any]:
    (one,) = vendor.requests
    return json.loads(one.body)


def told(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    found = []
    for event in split(answer.body):
        value = json.loads(payload(event.rstrip()))
        assert event_name(event).decode() == value["type"]
        found.append(value)
    return found


# probes and the list of models


@pytest.mark.parametrize("line", ["HEAD /", "HEAD /api/hello", "GET /api/hello"])
def test_the_probe_at_startup_needs_no_key(crossroads, dial, line):
    assert dial(crossroads).ask(request(line, HEADERS[1]), to_head=line.startswith("HEAD")).status == 200


@pytest.mark.parametrize("version", [True, False])
@pytest.mark.parametrize("credential", ["authorization: Bearer KEY", "x-api-key: KEY"])
def test_the_discovery_of_models(crossroads, vendor, dial, version, credential):
    headers = [credential.replace("KEY", crossroads.key), *([HEADERS[2]] if version else [])]
    answer = dial(crossroads).ask(request("GET /v1/models?limit=1000", *headers))
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    found = {model["id"]: model for model in answer.json["data"]}
    assert {"claude-by-chat", "claude-by-messages", "claude-by-responses", "gpt-by-chat"} <= set(found)
    assert all(isinstance(model.get("display_name", ""), str) for model in found.values())
    assert vendor.requests == []


# the protocol that is its own


def test_headers_and_bodies_go_on_as_they_are(crossroads, vendor, dial):
    body = json.dumps(TURN | {"stream": True, "model": "claude-sonnet-4-5"}, indent=1, ensure_ascii=False).encode()
    asked = body.replace(b"claude-sonnet-4-5", b"claude-by-messages")
    sent = stream(*messages_events(2), headers=["request-id: req_theirs", "anthropic-ratelimit-requests-limit: 5"])
    vendor.script(sent)
    answer = dial(crossroads).ask(request("POST /v1/messages?beta=true", *HEADERS, bearer(crossroads.key), KIND, body=asked))
    assert answer.status == 200
    (one,) = vendor.requests
    assert (one.target, one.body) == ("/v1/messages?beta=true", body)
    lines = one.raw_head.decode("latin-1").split("\r\n")
    assert [line for line in HEADERS if line not in lines] == []
    assert (one.header("x-api-key"), one.header("authorization")) == (b"sk-vendor-placeholder", None)
    assert answer.body == b"".join(messages_events(2))
    assert answer.header("request-id") == "req_theirs"
    assert answer.header("x-accel-buffering") == "no"


@pytest.mark.parametrize(
    "credentials", [["authorization: Bearer KEY"], ["x-api-key: KEY"], ["authorization: Bearer KEY", "x-api-key: KEY"]]
)
@pytest.mark.parametrize("wire", EVENTS)
def test_either_header_opens_and_so_do_both(ask, vendor, crossroads, credentials, wire):
    vendor.script(stream(*EVENTS[wire](2)))
    headers = [line.replace("KEY", crossroads.key) for line in credentials]
    assert [event["type"] for event in told(ask(f"claude-by-{wire}", *headers, **TURN, stream=True))][-1] == "message_stop"
    assert crossroads.key.encode() not in vendor.requests[0].raw_head


def test_pings_and_comments_are_relayed(ask, vendor):
    sent = [b": a comment\n\n", *messages_events(2), b""]
    sent.insert(4, b'event: ping\ndata: {"type":"ping","more":1}\n\n')
    vendor.script(stream(*filter(None, sent)))
    assert ask("claude-by-messages", **TURN, stream=True).body == b"".join(sent)


ERRORS = {
    "too long": (400, {"type": "invalid_request_error", "message": TOO_LONG}),
    "thinking": (400, {"type": "invalid_request_error", "message": "messages.1.content.0: `thinking` blocks cannot be modified"}),
    "extra": (400, {"type": "invalid_request_error", "message": "context_management: Extra inputs are not permitted"}),
    "large": (413, {"type": "request_too_large", "message": "Request exceeds the maximum size"}),
    "overloaded": (529, {"type": "overloaded_error", "message": "Overloaded"}),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_not_modified(ask, vendor, name):
    status, error = ERRORS[name]
    body = json.dumps({"type": "error", "error": error, "request_id": "req_theirs"}, indent=2).encode()
    vendor.always(said(body, status, "x-should-retry: false", "retry-after: 7"))
    answer = ask("claude-by-messages", **TURN, stream=True)
    assert (answer.status, answer.body) == (status, body)
    assert (answer.header("x-should-retry"), answer.header("retry-after")) == ("false", "7")


def test_our_own_errors_have_the_same_shape(ask, vendor):
    answer = ask("claude-of-nobody", **TURN)
    assert (answer.status, answer.header("content-type")) == (404, "application/json")
    shape = answer.json
    assert (shape["type"], shape["error"]["type"], shape["request_id"]) == ("error", "not_found_error", answer.header("x-request-id"))
    assert ask("claude-by-messages", "x-api-key: sk-stranger", **TURN).json["error"]["type"] == "authentication_error"
    assert vendor.requests == []


# over bridges


@pytest.mark.parametrize("wire", OTHERS)
def test_what_is_only_anthropics_stays_here_when_another_protocol_is_spoken(ask, vendor, wire):
    vendor.script(stream(*EVENTS[wire](2)))
    answer = ask(f"claude-by-{wire}", **TURN, stream=True)
    events = told(answer)
    assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
    (one,) = vendor.requests
    assert one.target == {"chat": "/v1/chat/completions", "responses": "/v1/responses"}[wire]
    assert not [name for name in one.names() if name.startswith(("anthropic-", "x-claude", "x-stainless", "x-app"))]
    sent = json.loads(one.body)
    assert not {"context_management", "output_config", "something_new", "thinking", "system", "max_tokens"} & set(sent) - {"max_tokens"}
    assert b"defer_loading" not in one.body and b"input_examples" not in one.body
    dropped = (answer.header("x-penstock-dropped") or "").split(", ")
    assert {"context_management", "something_new"} <= set(dropped)
    assert events[-2]["usage"]["input_tokens"] == 19


@pytest.mark.parametrize("wire", OTHERS)
def test_system_blocks_keep_their_order(ask, vendor, wire):
    vendor.script(stream(*EVENTS[wire](2)))
    ask(f"claude-by-{wire}", **TURN, stream=True)
    text = vendor.requests[0].body.decode()
    places = [text.index(block["text"]) for block in SYSTEM]
    assert places == sorted(places) and text.index("H") > 0


@pytest.mark.parametrize("wire", OTHERS)
def test_a_prompt_that_is_too_long_is_told_in_the_providers_words(ask, vendor, wire):
    """It compacts the conversation when it reads these, and not when it reads others."""
    words = "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens."
    vendor.script(said({"error": {"message": words, "type": "invalid_request_error", "code": "context_length_exceeded"}}, 400))
    answer = ask(f"claude-by-{wire}", **TURN, stream=True)
    assert (answer.status, answer.header("content-type")) == (400, "application/json")
    assert (answer.json["type"], answer.json["error"]["type"]) == ("error", "invalid_request_error")
    assert words in answer.json["error"]["message"]


@pytest.mark.parametrize("wire", OTHERS)
@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limit_error"), (401, "authentication_error"), (503, "overloaded_error")])
def test_errors_of_others_are_told_as_anthropic_would(ask, vendor, wire, status, kind):
    vendor.always(said({"error": {"message": "No.", "type": "x", "code": None}}, status, "retry-after: 7"))
    answer = ask(f"claude-by-{wire}", **TURN)
    assert answer.json["type"] == "error" and answer.header("content-type") == "application/json"
    if status != 401:  # a channel's own key is no business of its
        assert (answer.status, answer.json["error"]["type"]) in ((status, kind), (529, kind))


def test_a_page_of_html_is_an_error(ask, vendor):
    vendor.script(said(b"<html>Welcome</html>", 200, kind="text/html"))
    answer = ask("claude-by-chat", **TURN)
    assert (answer.status, answer.json["error"]["type"]) == (502, "api_error")


def test_a_silent_provider_is_covered_with_pings(make_crossroads, vendor, loop_thread, dial):
    """It gives up after 300 s of silence, and providers of other protocols say nothing while they think."""
    gateway = make_crossroads(comment_every_s=0.05)
    events = chat_events(2)
    gate = asyncio.Event()

    async def let_go() -> None:
        gate.set()

    vendor.script(stream_head(), chunk(events[0]), hold(gate), b"".join(map(chunk, events[1:])) + b"0\r\n\r\n")
    body = json.dumps(TURN | {"model": "claude-by-chat", "stream": True}).encode()
    client = dial(gateway).send(request("POST /v1/messages?beta=true", *HEADERS, bearer(gateway.key), KIND, body=body))
    assert client.head().status == 200
    got, end = b"", time.monotonic() + 10
    while got.count(b"event: ping") < 3:
        assert time.monotonic() < end
        got += client.chunk()
    loop_thread.run(let_go())
    found = told(Answer(200, [], got + b"".join(iter(client.chunk, b""))))
    assert next(event["type"] for event in found if event["type"] != "ping") == "message_start"
    assert found[-1]["type"] == "message_stop"


@pytest.mark.parametrize("wire", OTHERS)
def test_a_tool_is_called_and_its_result_is_told(ask, vendor, wire):
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "Write", "arguments": '{"path": "a"}'}}
    vendor.script(
        stream(chat_chunk({"role": "assistant", "content": None, "tool_calls": [call]}), chat_chunk({}, "tool_calls"), b"data: [DONE]\n\n")
    )
    events = told(ask("claude-by-chat", **TURN, stream=True))
    (block,) = (event["content_block"] for event in events if event["type"] == "content_block_start")
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "Write", {})
    assert "".join(event["delta"].get("partial_json", "") for event in events if event["type"] == "content_block_delta") == '{"path": "a"}'
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    vendor.requests.clear()
    vendor.script(stream(*EVENTS[wire](1)))
    use = {"type": "tool_use", "id": block["id"], "name": "Write", "input": {"path": "a"}}
    result = {"type": "tool_result", "tool_use_id": block["id"], "content": "File created", "is_error": False}
    turns = [*TURN["messages"], {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    assert told(ask(f"claude-by-{wire}", **{**TURN, "messages": turns}, stream=True))[-1]["type"] == "message_stop"
    assert b"File created" in vendor.requests[0].body


# counting


def test_tokens_are_counted_by_the_provider_where_it_can(ask, vendor):
    vendor.script(said({"input_tokens": 1234}))
    body = {name: TURN[name] for name in ("messages", "system", "tools", "thinking")}
    answer = ask("claude-by-messages", path="/v1/messages/count_tokens?beta=true", **body)
    assert (answer.status, answer.json) == (200, {"input_tokens": 1234})
    assert vendor.requests[0].target == "/v1/messages/count_tokens?beta=true"
    assert received(vendor) == {"model": "claude-sonnet-4-5"} | body


@pytest.mark.parametrize("wire", OTHERS)
def test_tokens_are_counted_here_where_it_cannot(ask, vendor, crossroads, wire):
    def count(**body: Any) -> int:
        answer = ask(f"claude-by-{wire}", path="/v1/messages/count_tokens?beta=true", **body)
        assert answer.status == 200, answer.body
        assert list(answer.json) == ["input_tokens"]
        number: int = answer.json["input_tokens"]
        return number

    hello = [{"role": "user", "content": "Hello, how are you today?"}]
    alone = count(messages=hello)
    assert 3 <= alone <= 40
    with_system = count(messages=hello, system="A long story. " * 500)
    with_tools = count(messages=hello, tools=[{**TOOL, "description": "A long story. " * 500}])
    assert alone + 1000 < with_system < alone + 4000
    assert alone + 1000 < with_tools < alone + 4000
    assert vendor.requests == []


# as its SDK sees it


@pytest.mark.parametrize("wire", EVENTS)
def test_its_sdk_reads_every_stream(crossroads, vendor, wire):
    vendor.script(stream(*EVENTS[wire](3)))
    with anthropic.Anthropic(base_url=crossroads.url, auth_token=crossroads.key, max_retries=0) as client:
        body = {name: TURN[name] for name in ("messages", "system", "tools", "max_tokens", "thinking", "context_management")}
        with client.beta.messages.stream(model=f"claude-by-{wire}", betas=["context-management-2025-06-27"], **body) as found:
            message = found.get_final_message()
    assert "".join(block.text for block in message.content if block.type == "text") == " word0 word1 word2"
    assert (message.stop_reason, message.usage.input_tokens) == ("end_turn", 19)

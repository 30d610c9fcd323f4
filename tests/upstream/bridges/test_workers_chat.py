"""Chat completions, and every wire that has a side, over a Workers AI that does everything it is known to do."""

from __future__ import annotations

import json

import pytest
from openai import AsyncOpenAI

from fake_answers import answer, event, stream
from fake_workers_ai import LLAMA, SCOUT, USAGE, FakeWorkersAI, crossed
from penstock.kit.errors import PenstockError
from penstock.kit.sse import split
from penstock.upstream.bridges import BRIDGES
from penstock.upstream.bridges.bridge import Spot

CHAT = BRIDGES["chat", "workers_chat"]
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
]
HELLO = [{"role": "user", "content": "Hello"}]
SPOT = Spot("@cf/x/y", "public", "/v1/chat/completions", b"", b"application/json", "req_1", 1_700_000_000)
OTHERS = {
    "messages": {"max_tokens": 100, "messages": HELLO},
    "responses": {"input": "Hello"},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
}


@pytest.fixture
async def workers():
    async with FakeWorkersAI() as fake:
        yield fake


def text(chunks) -> str:
    return "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks if isinstance(one, dict) and one.get("choices"))


def strict(chunks, *, usage=False):
    """Every chunk is one that the strictest client takes, and the last ones are where they belong."""
    assert chunks[-1] == "[DONE]" and chunks.count("[DONE]") == 1
    body = chunks[:-1]
    if usage:
        last = body.pop()
        assert (
            last["choices"] == [] and last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + last["usage"]["completion_tokens"]
        )
    assert len({(one["id"], one["model"], one["created"], one["object"]) for one in chunks[:-1]}) == 1
    assert all(set(one) == {"id", "object", "created", "model", "choices"} for one in body)
    choices = [one["choices"] for one in body]
    assert all(len(one) == 1 and one[0]["index"] == 0 and "finish_reason" in one[0] for one in choices)
    assert choices[0][0]["delta"]["role"] == "assistant"
    assert all("role" not in one[0]["delta"] for one in choices[1:])
    assert [one[0]["finish_reason"] is None for one in choices] == [True] * (len(choices) - 1) + [False]
    return choices[-1][0]["finish_reason"]


@pytest.mark.parametrize(
    ("model", "said", "reason"),
    [
        (LLAMA, "Hello1", "stop"),
        ("@cf/test/bare", "**a", "stop"),
        ("@cf/test/usage-each", "ab", "stop"),
        ("@cf/test/odd", "123", "stop"),
        ("@cf/test/wrapped", "hi", "stop"),
        ("@cf/test/no-done", "a", "length"),
        ("@cf/test/think", "yes", "length"),
        ("@cf/test/reasoning", "yes", "stop"),
        ("@cf/test/json-stream", "Hello", "stop"),
    ],
)
async def test_streams_are_put_right(workers, model, said, reason):
    back = await crossed(workers, CHAT, {"messages": HELLO, "stream": True}, model)
    assert strict(back.chunks) == reason
    assert text(back.chunks) == said
    assert back.ended


@pytest.mark.parametrize("model", [LLAMA, "@cf/test/bare", "@cf/test/usage-each", "@cf/test/wrapped", "@cf/test/json-stream"])
async def test_usage_comes_once_and_only_if_it_is_asked_for(workers, model):
    back = await crossed(workers, CHAT, {"messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}, model)
    strict(back.chunks, usage=True)
    shown = back.chunks[-2]["usage"]
    assert shown == {name: USAGE[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details")}


async def test_the_id_is_that_of_the_first_chunk(workers):
    back = await crossed(workers, CHAT, {"messages": HELLO, "stream": True}, "@cf/test/odd")
    assert {(one["id"], one["created"], one["model"]) for one in back.chunks[:-1]} == {("id-1", 1, "m")}
    bare = await crossed(workers, CHAT, {"messages": HELLO, "stream": True}, "@cf/test/bare")
    assert (bare.chunks[0]["id"], bare.chunks[0]["created"], bare.chunks[0]["model"]) == (
        "chatcmpl-1",
        1_700_000_000,
        "public/@cf/test/bare",
    )


async def test_thoughts_are_told_apart(workers):
    for model, thought in (("@cf/test/think", "hmm"), ("@cf/test/reasoning", "hmmm")):
        back = await crossed(workers, CHAT, {"messages": HELLO, "stream": True}, model)
        assert "".join(one["choices"][0]["delta"].get("reasoning_content", "") for one in back.chunks[:-1]) == thought


async def judged(provider, body: bytes, *, streamed: bool):
    """What OpenAI's SDK makes of it."""
    provider.always(stream(*split(body)) if streamed else answer(body))
    client = AsyncOpenAI(base_url=provider.url + "/v1", api_key="sk-x", max_retries=0)
    async with client:
        if not streamed:
            return (await client.chat.completions.create(model="m", messages=HELLO)).choices[0]
        async with client.chat.completions.stream(model="m", messages=HELLO, tools=TOOLS) as told:
            return (await told.get_final_completion()).choices[0]


@pytest.mark.parametrize(
    ("model", "arguments"),
    [("@cf/test/tools", ["Oslo", "Bergen"]), ("@cf/test/native-tools", ["Oslo", "Oslo"]), ("@cf/test/leak", ["Oslo"])],
)
async def test_tool_calls_in_streams(workers, provider, model, arguments):
    back = await crossed(workers, CHAT, {"messages": HELLO, "stream": True, "tools": TOOLS}, model)
    assert strict(back.chunks) == "tool_calls"
    choice = await judged(provider, back.body, streamed=True)
    assert [json.loads(call.function.arguments)["city"] for call in choice.message.tool_calls] == arguments
    assert {call.function.name for call in choice.message.tool_calls} == {"weather"}
    assert len({call.id for call in choice.message.tool_calls}) == len(arguments)
    assert not choice.message.content


async def test_json_that_is_no_call_stays_text(workers):
    tools = {"messages": HELLO, "stream": True, "tools": TOOLS}
    back = await crossed(workers, CHAT, tools, "@cf/test/json-text")
    assert strict(back.chunks) == "stop" and text(back.chunks) == '{"names": []}'
    without = await crossed(workers, CHAT, {"messages": HELLO, "stream": True}, "@cf/test/leak")
    assert strict(without.chunks) == "stop" and json.loads(text(without.chunks))["name"] == "weather"
    never = await crossed(workers, CHAT, {**tools, "tool_choice": "none"}, "@cf/test/leak")
    assert strict(never.chunks) == "stop"


@pytest.mark.parametrize(("model", "code"), [("fails", "out_of_capacity"), ("breaks", "upstream_broken"), ("silent", "upstream_invalid")])
async def test_streams_that_fail(workers, model, code):
    back = await crossed(workers, CHAT, {"messages": HELLO, "stream": True}, f"@cf/test/{model}")
    assert back.chunks[-1]["error"]["code"] == code
    assert "[DONE]" not in back.chunks and back.ended


@pytest.mark.parametrize(
    ("model", "said", "reason"),
    [
        (LLAMA, "Hello", "stop"),
        (SCOUT, "Hello", "stop"),
        ("@cf/test/json-mode", '{"a":1}', "stop"),
        ("@cf/test/number", "42", "stop"),
        ("@cf/test/think", "yes", "stop"),
        ("@cf/test/reasoning", "", "length"),
        ("@cf/test/native-tools", None, "tool_calls"),
        ("@cf/test/tools", None, "tool_calls"),
        ("@cf/test/leak", None, "tool_calls"),
    ],
)
async def test_plain_answers(workers, provider, model, said, reason):
    back = await crossed(workers, CHAT, {"messages": HELLO, "tools": TOOLS}, model)
    choice = await judged(provider, back.body, streamed=False)
    assert (choice.message.content, choice.finish_reason, choice.index, choice.message.role) == (said, reason, 0, "assistant")
    if reason == "tool_calls":
        assert all(call.type == "function" and isinstance(json.loads(call.function.arguments), dict) for call in choice.message.tool_calls)
    if model in {"@cf/test/think", "@cf/test/reasoning"}:
        assert choice.message.reasoning_content == "hmm"


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("list-3036", 429, "daily_quota"),
        ("list-3040", 429, "out_of_capacity"),
        ("object", 400, "invalid_request"),
        ("named", 403, "terms_not_accepted"),
        ("openai", 422, "invalid_request"),
        ("page", 502, "upstream_error"),
        ("nothing", 500, "upstream_error"),
        ("flagged", 400, "content_policy_violation"),
        ("busy-200", 429, "out_of_capacity"),
        ("empty", 502, "upstream_invalid"),
        ("null", 502, "upstream_invalid"),
        ("text", 502, "upstream_invalid"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_errors(workers, model, status, code, streamed):
    back = await crossed(workers, CHAT, {"messages": HELLO, "stream": streamed}, f"@cf/test/{model}")
    assert (back.status, back.json["error"]["code"]) == (status, code)
    assert back.json["error"]["message"]


@pytest.mark.parametrize("wire", sorted(OTHERS))
@pytest.mark.parametrize("model", ["list-3036", "empty"])
async def test_errors_in_the_words_of_other_wires(workers, wire, model):
    back = await crossed(workers, BRIDGES[wire, "workers_chat"], OTHERS[wire], f"@cf/test/{model}")
    assert back.status == (429 if model == "list-3036" else 502)
    assert "error" in back.json


@pytest.mark.parametrize("wire", ["messages", "responses"])
@pytest.mark.parametrize("model", [LLAMA, "@cf/test/bare", "@cf/test/odd", "@cf/test/json-stream", "@cf/test/no-done"])
async def test_streams_of_other_wires(workers, wire, model):
    back = await crossed(workers, BRIDGES[wire, "workers_chat"], {**OTHERS[wire], "stream": True}, model)
    kinds = [one["type"] for one in back.chunks]
    if wire == "messages":
        assert (kinds[0], kinds[-1], kinds.count("message_delta")) == ("message_start", "message_stop", 1)
        said = "".join(one["delta"].get("text", "") for one in back.chunks if one["type"] == "content_block_delta")
    else:
        last = "response.incomplete" if model == "@cf/test/no-done" else "response.completed"
        assert (kinds[0], kinds[-1]) == ("response.created", last)
        said = "".join(one["delta"] for one in back.chunks if one["type"] == "response.output_text.delta")
    assert said == {LLAMA: "Hello1", "@cf/test/bare": "**a", "@cf/test/odd": "123", "@cf/test/json-stream": "Hello"}.get(model, "a")
    assert back.ended


@pytest.mark.parametrize("wire", ["messages", "responses"])
async def test_plain_answers_of_other_wires(workers, wire):
    back = await crossed(workers, BRIDGES[wire, "workers_chat"], OTHERS[wire], LLAMA)
    assert back.status == 200
    content = back.json["content"][0] if wire == "messages" else back.json["output"][0]["content"][0]
    assert content["text"] == "Hello"
    assert back.json["usage"]["output_tokens"] == 5
    assert back.sent.json["messages"] == HELLO
    assert back.sent.json["max_tokens"] == (100 if wire == "messages" else 8192)


async def test_tools_of_codex_are_functions_here(workers):
    """A tool that takes free text is a function with one string for Workers AI, and itself again for the client."""
    asked = {"input": "Hello", "stream": True, "tools": [{"type": "custom", "name": "weather", "description": "d"}]}
    back = await crossed(workers, BRIDGES["responses", "workers_chat"], asked, "@cf/test/tools")
    assert [tool["type"] for tool in back.sent.json["tools"]] == ["function"]
    done = [one["item"] for one in back.chunks if one["type"] == "response.output_item.done"]
    assert {one["type"] for one in done} == {"custom_tool_call"}


async def test_what_cursor_sends_to_the_chat_path(workers, provider):
    asked = {"messages": HELLO, "stream": True, "tools": [{"type": "custom", "custom": {"name": "weather"}}]}
    back = await crossed(workers, CHAT, asked, "@cf/test/tools")
    assert back.sent.json["messages"] == HELLO
    calls = [call for one in back.chunks[:-1] for choice in one["choices"] for call in choice["delta"].get("tool_calls", [])]
    assert {call["type"] for call in calls if "type" in call} == {"custom"}
    plain = await crossed(workers, CHAT, {"input": "Hello"}, LLAMA)
    assert plain.json["choices"][0]["message"]["content"] == "Hello"


async def test_a_broken_stream_of_another_wire(workers):
    back = await crossed(workers, BRIDGES["messages", "workers_chat"], {**OTHERS["messages"], "stream": True}, "@cf/test/breaks")
    assert back.chunks[-1]["type"] == "error" and back.ended


async def test_the_session_keeps_its_cache(workers):
    first = await crossed(workers, CHAT, {"messages": HELLO, "prompt_cache_key": "a\r\nb", "user": "u"}, LLAMA)
    second = await crossed(workers, CHAT, {"messages": HELLO, "prompt_cache_key": "a\r\nb"}, LLAMA)
    other = await crossed(workers, CHAT, {"messages": HELLO, "user": "u"}, LLAMA)
    none = await crossed(workers, CHAT, {"messages": HELLO}, LLAMA)
    session = first.sent.headers["x-session-affinity"]
    assert session.startswith("ses_") and session == second.sent.headers["x-session-affinity"]
    assert other.sent.headers["x-session-affinity"] not in (session, "u")
    assert "x-session-affinity" not in none.sent.headers
    assert not {"user", "prompt_cache_key"} & first.sent.json.keys()


def test_what_was_left_out_is_said():
    crossing = CHAT.cross(json.dumps({"model": "m", "messages": HELLO, "store": True, "verbosity": "low"}).encode(), SPOT)
    assert crossing.dropped == b"x-penstock-dropped: store, verbosity\r\n"
    assert CHAT.cross(json.dumps({"model": "m", "messages": HELLO}).encode(), SPOT).dropped == b""


def test_what_cannot_be_read():
    with pytest.raises(PenstockError) as refused:
        CHAT.cross(b"{", SPOT)
    assert refused.value.code == "invalid_json"


def test_bytes_that_nobody_has_foreseen_end_no_stream():
    told = CHAT.cross(json.dumps({"model": "m", "messages": HELLO, "stream": True}).encode(), SPOT).stream()
    assert told.event(b": ping\n\n") == b""
    assert told.event(b"data: [1]\n\n") == b""
    assert told.event(event({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}) + b"\r\n") != b""
    assert told.over().endswith(b"data: [DONE]\n\n") and told.ended
    assert told.event(b"data: [DONE]\n\n") == b"" == told.over()

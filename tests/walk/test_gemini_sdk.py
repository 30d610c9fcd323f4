"""The official google-genai SDK through a whole gateway: to Google itself, and to a model of somebody else's."""

from __future__ import annotations

import json

import pytest
from google import genai
from google.genai import errors, types

from google_door import GoogleServer
from live_gateway import LiveGateway

USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 4, "thoughtsTokenCount": 3, "totalTokenCount": 17}


@pytest.fixture(scope="module")
def door():
    with GoogleServer() as found:
        yield found


@pytest.fixture(scope="module")
def gateway(door, tmp_path_factory):
    settings = {
        "gemini_api_key": "sk-google",
        "gemini_base_url": door.url,
        "openai_api_key": "sk-openai",
        "openai_base_url": f"{door.url}/v1",
        "api_model_rewrite": "mine=>gemini-2.5-flash",
    }
    with LiveGateway(tmp_path_factory.mktemp("gateway"), **settings) as running:
        yield running


@pytest.fixture
def sdk(gateway, door):
    door.heard.clear()
    client = genai.Client(api_key=gateway.key, http_options={"base_url": gateway.url})
    yield client
    client.close()


def chunk(text: str, finish: str | None = None) -> dict:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0} | ({"finishReason": finish} if finish else {})
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "gemini-2.5-flash", "responseId": "r"}


def stream(*events: dict | str) -> bytes:
    return b"".join(b"data: %b\r\n\r\n" % (event if isinstance(event, str) else json.dumps(event)).encode() for event in events)


def test_a_plain_answer(sdk, door):
    door.answers(json.dumps(chunk("Hello", "STOP")).encode())
    found = sdk.models.generate_content(model="gemini-2.5-flash", contents="hi")
    assert (found.text, found.usage_metadata.thoughts_token_count) == ("Hello", 3)
    assert json.loads(door.heard[0][1])["contents"][0]["parts"] == [{"text": "hi"}]


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "mine"])
def test_a_stream_is_whole_and_its_model_is_named_in_the_address(sdk, door, model):
    door.answers(stream(chunk("Hel"), chunk("lo"), chunk("", "STOP")), streams=True)
    found = list(sdk.models.generate_content_stream(model=model, contents="hi"))
    assert "".join(one.text or "" for one in found) == "Hello"
    assert found[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert door.heard[0][0].endswith("/models/gemini-2.5-flash:streamGenerateContent?alt=sse")


def test_tokens_are_counted_and_texts_embedded(sdk, door):
    door.answers(b'{"totalTokens":31}')
    assert sdk.models.count_tokens(model="mine", contents="hi").total_tokens == 31
    door.answers(b'{"embeddings":[{"values":[0.5]}]}')
    found = sdk.models.embed_content(model="gemini-embedding-001", contents="hi")
    assert found.embeddings[0].values == [0.5]


def test_a_model_of_another_vendors(sdk, door):
    called = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}
    deltas = [
        {"role": "assistant", "content": "Hello"},
        {"tool_calls": [called]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
    ]
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    chunks = [about | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    end = about | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    usage = about | {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}}
    door.answers(stream(*chunks, end, usage, "[DONE]"), streams=True)
    tool = types.Tool(function_declarations=[types.FunctionDeclaration(name="f", parameters_json_schema={"type": "object"})])
    config = types.GenerateContentConfig(
        tools=[tool], system_instruction="be nice", automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
    )
    found = list(sdk.models.generate_content_stream(model="gpt-4o", contents="hi", config=config))
    assert found[0].text == "Hello"
    assert [(call.id, call.name, call.args) for one in found for call in one.function_calls or ()] == [("call_1", "f", {"a": 1})]
    assert (found[-1].usage_metadata.prompt_token_count, found[-1].usage_metadata.candidates_token_count) == (9, 5)
    assert found[-1].candidates[0].finish_reason is types.FinishReason.STOP


def test_errors_are_googles_own(sdk, door, gateway):
    door.answers(b'{"error":{"code":400,"message":"Bad.","status":"INVALID_ARGUMENT"}}', status=400)
    with pytest.raises(errors.ClientError, match="Bad") as caught:
        sdk.models.generate_content(model="gemini-2.5-flash", contents="hi")
    assert caught.value.status == "INVALID_ARGUMENT"
    stranger = genai.Client(api_key="sk-unknown", http_options={"base_url": gateway.url})
    with pytest.raises(errors.ClientError) as refused:
        stranger.models.generate_content(model="gemini-2.5-flash", contents="hi")
    assert (refused.value.code, refused.value.status) == (401, "UNAUTHENTICATED")
    stranger.close()

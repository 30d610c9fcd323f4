"""A gateway in front of a Workers AI with all its quirks, as people's programs use it: the official SDKs judge."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import httpx
import pytest
from anthropic import Anthropic
from openai import APIStatusError, OpenAI

from fake_workers_ai import BGE, FLUX2, IMG2IMG, JPEG, LLAMA, PNG, SCOUT, SDXL, TOKEN, FakeWorkersAI
from live_gateway import LiveGateway
from loop_thread import LoopThread
from penstock.accounts.identity import CLI
from penstock.channels.drafts import Draft
from penstock.channels.service import Given

HELLO = [{"role": "user", "content": "Hello"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(scope="module")
def workers(loop_thread: LoopThread) -> Iterator[FakeWorkersAI]:
    """The server; it runs on the loop thread."""
    fake = FakeWorkersAI()
    loop_thread.run(fake.__aenter__())
    yield fake
    loop_thread.run(fake.__aexit__())


@pytest.fixture(scope="module")
def gateway(make_gateway, workers) -> LiveGateway:
    """A gateway with a channel to it."""
    gateway = make_gateway(own_keys=True)
    options = {"max_image_count": 2, "default_image_size": "512x512"}
    draft = Draft("workers", "workers-ai", workers.base_url, allow_private=True, options=options)
    gateway.run(gateway.app.state.channels.create(CLI, draft, [Given(TOKEN)]))
    found = gateway.run(gateway.app.state.discovery.ask("workers"))
    assert found.failure is None
    end = time.monotonic() + 20
    while not gateway.plane.channels or gateway.plane.channels[0].offers is None:
        assert time.monotonic() < end, gateway.plane.channels
        time.sleep(0.02)
    return gateway


@pytest.fixture
def openai(gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.url + "/v1", api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic(gateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (LLAMA, "Hello1"),
        ("@cf/test/bare", "**a"),
        ("@cf/test/usage-each", "ab"),
        ("@cf/test/odd", "123"),
        ("@cf/test/json-stream", "Hello"),
    ],
)
def test_streams(openai, anthropic, model, said):
    with openai.chat.completions.stream(model=model, messages=HELLO) as stream:
        assert stream.get_final_completion().choices[0].message.content == said
    with anthropic.messages.stream(model=model, messages=HELLO, max_tokens=50) as told:
        assert told.get_final_text() == said
    with openai.responses.stream(model=model, input="Hello") as events:
        assert events.get_final_response().output_text == said


def test_plain_answers(openai, anthropic):
    assert openai.chat.completions.create(model=SCOUT, messages=HELLO).choices[0].message.content == "Hello"
    answer = anthropic.messages.create(model=SCOUT, messages=HELLO, max_tokens=50)
    assert (answer.content[0].text, answer.usage.output_tokens) == ("Hello", 5)
    assert openai.responses.create(model=LLAMA, input="Hello").output_text == "Hello"


def test_tools(openai, anthropic):
    with openai.chat.completions.stream(model="@cf/test/leak", messages=HELLO, tools=TOOLS) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Oslo"}')
    tools = [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]
    with anthropic.messages.stream(model="@cf/test/tools", messages=HELLO, max_tokens=50, tools=tools) as told:
        uses = [block.input for block in told.get_final_message().content if block.type == "tool_use"]
    assert uses == [{"city": "Oslo"}, {"city": "Bergen"}]


def test_what_was_used_is_on_the_ledger(gateway):
    asked = {"model": "@cf/test/usage-each", "messages": HELLO, "stream": True}
    headers = {"authorization": f"Bearer {gateway.key}"}
    answer = httpx.post(gateway.url + "/v1/chat/completions", json=asked, headers=headers, trust_env=False)
    assert answer.content.endswith(b"data: [DONE]\n\n")
    (row,) = (row for row in gateway.charges() if row["id"] == answer.headers["x-request-id"])
    assert (row["model"], row["wire"]) == ("@cf/test/usage-each", "chat")
    assert (row["input_tokens"], row["output_tokens"]) == (8, 5), row


def test_embeddings(openai):
    found = openai.embeddings.create(model=BGE, input=["a", "bbb"])
    assert [one.embedding for one in found.data] == [[0.5, -1.0], [1.5, -1.0]]


def test_pictures(openai, workers):
    found = openai.images.generate(model=SDXL, prompt="a robot", n=2)
    assert [base64.b64decode(one.b64_json) for one in found.data] == [PNG, PNG]
    del workers.heard[:]
    shown = openai.images.generate(model=FLUX2, prompt="a robot", response_format="url")
    assert [heard.method for heard in workers.heard] == ["POST"]  # the list has said how the model is asked
    assert shown.data[0].url == f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}"


@pytest.mark.parametrize(
    ("model", "fields", "status"),
    [
        (SDXL, {"n": 3}, 400),
        (IMG2IMG, {}, 400),
        ("@cf/test/flagged", {}, 400),
        ("@cf/test/list-3036", {}, 429),
        ("@cf/test/empty", {}, 502),
    ],
)
def test_pictures_that_are_not_made(openai, model, fields, status):
    with pytest.raises(APIStatusError) as refused:
        openai.images.generate(model=model, prompt="a robot", **fields)
    assert refused.value.status_code == status, refused.value.body


def test_edits_are_refused(openai):
    with pytest.raises(APIStatusError) as refused:
        openai.images.edit(model=SDXL, image=("a.png", PNG), prompt="a robot")
    assert refused.value.status_code == 400, refused.value.body


@pytest.mark.parametrize(("model", "status"), [("object", 400), ("named", 403), ("flagged", 400), ("empty", 502)])
def test_errors(openai, anthropic, model, status):
    with pytest.raises(APIStatusError) as refused:
        openai.chat.completions.create(model=f"@cf/test/{model}", messages=HELLO)
    assert refused.value.status_code == status
    with pytest.raises(Exception, match=str(status)):
        anthropic.messages.create(model=f"@cf/test/{model}", messages=HELLO, max_tokens=5)


def test_the_list(gateway):
    def listed(query: str) -> set[str]:
        answer = httpx.get(f"{gateway.url}/v1/models{query}", headers={"authorization": f"Bearer {gateway.key}"}, trust_env=False)
        return {one["id"] for one in answer.json()["data"]}

    assert {LLAMA, SCOUT, BGE, SDXL, FLUX2} <= listed("")
    assert not {IMG2IMG, "@cf/openai/whisper", "@cf/test/gone"} & listed("")
    assert {LLAMA, SCOUT} <= listed("?protocol=openai-chat") and SDXL not in listed("?protocol=openai-chat")
    assert {SDXL, FLUX2} <= listed("?protocol=openai-images") and LLAMA not in listed("?protocol=openai-images")

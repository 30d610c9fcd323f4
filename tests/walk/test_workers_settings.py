"""Workers AI from two environment variables: nobody needs a key, unless PROXY_API_KEY sets one."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from openai import OpenAI

from fake_workers_ai import LLAMA, SDXL, TOKEN, FakeWorkersAI
from live_gateway import LiveGateway
from loop_thread import LoopThread

KEY = "a-word-of-ones-own"


@pytest.fixture(scope="module")
def workers(loop_thread: LoopThread) -> Iterator[FakeWorkersAI]:
    """The server; it runs on the loop thread."""
    fake = FakeWorkersAI()
    loop_thread.run(fake.__aenter__())
    yield fake
    loop_thread.run(fake.__aexit__())


@pytest.fixture(scope="module")
def start(make_gateway, workers):
    """Starts a gateway with the two variables and other settings, and waits for its list of models."""

    def start(**settings) -> LiveGateway:
        account = {"cloudflare_account_id": "account", "cloudflare_api_token": TOKEN, "cloudflare_base_url": workers.base_url}
        gateway = make_gateway(**account, **settings)
        assert gateway.run(gateway.app.state.discovery.ask("workers-ai")).failure is None
        end = time.monotonic() + 20
        while gateway.plane.channels[0].offers is None:
            assert time.monotonic() < end
            time.sleep(0.02)
        return gateway

    return start


@pytest.fixture(scope="module")
def unlocked(start) -> LiveGateway:
    return start(default_image_model=SDXL)


def test_no_key_is_asked_for(unlocked: LiveGateway):
    models = httpx.get(f"{unlocked.url}/v1/models").json()["data"]
    assert LLAMA in [model["id"] for model in models]
    pictures = httpx.get(f"{unlocked.url}/v1/models?protocol=openai-images").json()["data"]
    assert SDXL in [model["id"] for model in pictures] and LLAMA not in [model["id"] for model in pictures]
    with OpenAI(base_url=f"{unlocked.url}/v1", api_key="anything", max_retries=0) as client:
        answer = client.chat.completions.create(model=LLAMA, messages=[{"role": "user", "content": "Hello"}])
    assert answer.choices[0].message.content
    row = unlocked.charges(1)[-1]
    assert (row["channel"], row["key_id"], row["served_model"]) == ("workers-ai", None, LLAMA)


def test_a_picture_without_a_model_is_made_by_the_usual_one(unlocked: LiveGateway):
    answer = httpx.post(f"{unlocked.url}/v1/images/generations", json={"prompt": "a cat", "response_format": "url"}, timeout=20)
    assert answer.status_code == 200 and answer.json()["data"][0]["url"].startswith("data:image/")
    assert unlocked.charges()[-1]["model"] == SDXL


def test_a_model_of_nobody_is_not_asked_of_cloudflare(unlocked: LiveGateway):
    answer = httpx.post(f"{unlocked.url}/v1/chat/completions", json={"model": "gpt-4o", "messages": []})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_a_key_of_ones_own(start):
    gateway = start(proxy_api_key=KEY)
    body = {"model": LLAMA, "messages": [{"role": "user", "content": "Hello"}]}

    def status(*headers: tuple[str, str]) -> int:
        return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=20).status_code

    assert status(("authorization", f"Bearer {KEY}")) == 200
    assert status(("x-api-key", KEY)) == 200
    assert status() == 401
    assert status(("authorization", "Bearer another")) == 401
    assert httpx.get(f"{gateway.url}/v1/models").status_code == 401
    assert gateway.charges(2)[-1]["account_id"] == "acc_operator"

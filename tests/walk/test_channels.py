"""Channels over real sockets: what the operator makes serves the next request, and what is deleted serves none."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from fake_answers import answer, chat_answer
from fake_provider import FakeProvider
from penstock.accounts.identity import CLI
from penstock.channels.drafts import Draft
from penstock.channels.service import Channels, Given

SECRET = "sk-placeholder-0123456789-wxyz"


@pytest.fixture(scope="module")
def gateway(make_gateway):
    return make_gateway(demo=True, show_channel=True)


@pytest.fixture
def provider(loop_thread):
    fake = loop_thread.run(FakeProvider().start())
    fake.always(answer(chat_answer()))
    yield fake
    loop_thread.run(fake.stop())


@pytest.fixture
def channels(gateway):
    return Channels(gateway.parts.database, gateway.parts.secrets)


def until(true) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def ask(gateway, model: str) -> httpx.Response:
    return httpx.post(
        f"{gateway.url}/v1/chat/completions",
        headers={"authorization": f"Bearer {gateway.key}"},
        json={"model": model, "messages": [{"role": "user", "content": "Hello"}]},
    )


def test_a_channel_serves_from_its_making_to_its_end(gateway, channels, provider):
    draft = Draft(
        "vendor", "openai-compatible", base_url=f"{provider.url}/v1", models=[("owl", "vendor-owl")], headers={"X-Team": "blue"},
        priority=10, allow_private=True,
    )  # fmt: skip
    made = gateway.run(channels.create(CLI, draft, [Given(SECRET)]))
    until(lambda: any(channel.name == "vendor" for channel in gateway.plane.channels))
    answered = ask(gateway, "owl")
    assert answered.status_code == 200 and answered.headers["x-penstock-channel"].startswith("vendor")
    (request,) = provider.requests
    assert json.loads(request.body)["model"] == "vendor-owl"
    assert (request.header("authorization"), request.header("x-team")) == (f"Bearer {SECRET}".encode(), b"blue")
    gateway.run(channels.change_credential(CLI, "vendor", made.credentials[0].id, {"secret": "sk-other"}))
    until(lambda: ask(gateway, "owl").status_code == 200 and provider.requests[-1].header("authorization") == b"Bearer sk-other")
    count = len(provider.requests)
    gateway.run(channels.delete(CLI, "vendor"))
    until(lambda: all(channel.name != "vendor" for channel in gateway.plane.channels))
    ask(gateway, "owl")
    assert len(provider.requests) == count

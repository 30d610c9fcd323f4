"""Trials: what a real, tiny call over each credential says about everything that can be wrong with a channel."""

from __future__ import annotations

import json

import pytest

from fake_answers import answer, chat_answer
from fake_provider import FakeProvider, close, reset
from penstock.channels.drafts import Draft
from penstock.channels.service import Channels, Given
from penstock.channels.trial import Trials, choose
from penstock.kit.errors import PenstockError
from penstock.kit.pulse import Pulse
from penstock.settings import Settings

SECRET = "sk-placeholder-0123456789-wxyz"
PAGE = answer(b"<html>Sign in</html>", kind="text/html; charset=utf-8")


@pytest.fixture
async def trials(channels: Channels):
    pulse = Pulse(0.02)
    pulse.start()
    yield Trials(Settings(), channels, pulse)
    pulse.stop()


@pytest.fixture
async def provider():
    async with FakeProvider() as made:
        yield made


async def make(channels, operator, vendor, **changes) -> None:
    given = {"base_url": f"{vendor.url}/v1", "models": [("one", "vendor-one")], "allow_private": True, **changes}
    await channels.create(operator, Draft("main", given.pop("provider", "openai-compatible"), **given), [Given(SECRET, "first")])


async def test_a_channel_from_settings(channels, provider):
    pulse = Pulse(0.02)
    pulse.start()
    trials = Trials(Settings(openai_api_key="sk-env-placeholder", openai_base_url=f"{provider.url}/v1"), channels, pulse)
    provider.script(answer({"error": {"message": "no such key: sk-env-placeholder"}}, 401))
    (trial,) = await trials.test("openai", model="gpt-4o-mini")
    assert (trial.verdict.code, trial.model) == ("wrong_key", "gpt-4o-mini") and "sk-env" not in trial.verdict.text
    with pytest.raises(PenstockError, match="no channel"):
        await trials.test("anthropic")
    pulse.stop()


@pytest.mark.parametrize(
    ("answered", "code", "said"),
    [
        (answer(chat_answer()), "works", "It works"),
        (answer({"error": {"message": f"Incorrect API key provided: {SECRET}."}}, 401), "wrong_key", "401"),
        (answer({"error": {"message": "no access"}}, 403), "wrong_key", "no access"),
        (answer({"error": {"message": "Not Found"}}, 404), "not_found", "/v1"),
        (answer({"error": {"code": "model_not_found", "message": "It does not exist"}}, 404), "model_gone", "does not have this model"),
        (answer({"error": {"code": "insufficient_quota", "message": "You exceeded"}}, 429), "quota", "money"),
        (answer({"error": {"message": "slow down"}}, 429), "rate_limited", "credential is good"),
        (answer({"error": {"message": "bad field"}}, 400), "rejected", "bad field"),
        (answer({"error": "x"}, 503), "provider_error", "in trouble"),
        (answer(b"<html>", 404, kind="text/html"), "not_found", "web page"),
        (PAGE, "web_page", "web page"),
        (answer(b"", 302, "location: https://example.com/v2/chat?token=hidden-word"), "redirect", "https://example.com/v2/chat."),
        (answer(b"", 301), "redirect", "nowhere"),
        (answer(b"hello", kind="text/plain"), "not_json", "not with JSON"),
        (answer({"error": {"message": "something"}}), "error_object", "something"),
        (answer({"success": False, "errors": [{"message": "no such account"}]}), "error_object", "no such account"),
        (answer({"choices": []}), "empty", "nothing"),
        (answer({}), "empty", "nothing"),
        (answer([1]), "empty", "nothing"),
    ],
)  # fmt: skip
async def test_what_an_answer_means(channels, operator, trials, provider, answered, code, said):
    await make(channels, operator, provider)
    provider.script(answered)
    (trial,) = await trials.test("main")
    assert (trial.verdict.code, trial.model, trial.wire, trial.label, trial.hint) == (code, "vendor-one", "chat", "first", "wxyz")
    assert said in trial.verdict.text
    assert SECRET not in trial.verdict.text and "hidden-word" not in trial.verdict.text
    assert trial.latency_ms is not None
    (request,) = provider.requests
    assert request.target == "/v1/chat/completions" and request.header("authorization") == f"Bearer {SECRET}".encode()
    assert json.loads(request.body)["max_tokens"] == 16


@pytest.mark.parametrize(("step", "code"), [(reset, "broken"), (close, "broken"), (b"220 mail ready\r\n\r\n", "broken")])
async def test_when_no_answer_comes(channels, operator, trials, provider, step, code):
    await make(channels, operator, provider)
    provider.script(step)
    (trial,) = await trials.test("main")
    assert trial.verdict.code == code


async def test_silence(channels, operator, trials, provider):
    await make(channels, operator, provider, timeouts={"first_byte_s": 0.05})
    provider.script(lambda line: line.gone())
    (trial,) = await trials.test("main")
    assert trial.verdict.code == "timeout"


async def test_nobody_listens(channels, operator, trials):
    async with FakeProvider() as gone:
        pass
    await make(channels, operator, gone)
    (trial,) = await trials.test("main")
    assert trial.verdict.code == "refused"


async def test_tls_where_there_is_none_that_is_trusted(channels, operator, trials, authority):
    async with FakeProvider(authority.server()) as secured:
        await make(channels, operator, secured)
        (trial,) = await trials.test("main")
        assert trial.verdict.code == "tls"
        await secured.until_closed()


async def test_a_host_that_nobody_knows(channels, operator, trials, provider):
    await make(channels, operator, provider, base_url="http://nobody.invalid/v1")
    (trial,) = await trials.test("main")
    assert trial.verdict.code == "dns", trial.verdict


async def test_each_credential_is_tried(channels, operator, trials, provider):
    await make(channels, operator, provider)
    second = await channels.add_credential(operator, "main", Given("sk-second", "second", enabled=False))
    provider.always(answer(chat_answer()))
    assert [trial.label for trial in await trials.test("main")] == ["first", "second"]
    (trial,) = await trials.test("main", credential_id=second.id)
    assert (trial.label, provider.requests[-1].header("authorization")) == ("second", b"Bearer sk-second")


@pytest.mark.parametrize(
    ("wire", "path", "answered"),
    [
        ("messages", "/v1/messages", {"type": "message", "content": [{"type": "text", "text": "OK"}]}),
        ("responses", "/v1/responses", {"output": [{"type": "message"}]}),
        ("completions", "/v1/completions", {"choices": [{"text": "OK"}]}),
        ("embeddings", "/v1/embeddings", {"data": [{"embedding": [1]}]}),
    ],
)
async def test_the_first_wire_is_tried(channels, operator, trials, provider, wire, path, answered):
    await make(channels, operator, provider, wires=["images", wire, "chat"])
    provider.script(answer(answered))
    (trial,) = await trials.test("main")
    assert trial.verdict.works and trial.wire == wire and provider.requests[0].target == path


async def test_gemini(channels, operator, trials, provider):
    await make(channels, operator, provider, provider="gemini", base_url=provider.url)
    provider.script(answer({"candidates": [{"content": {}}]}))
    (trial,) = await trials.test("main")
    assert trial.verdict.works and provider.requests[0].target == "/v1beta/models/vendor-one:generateContent"


async def test_a_model_is_chosen_from_the_list(channels, operator, trials, provider):
    await make(channels, operator, provider, models=[("*", None)])
    provider.script(answer({"data": [{"id": "text-embedding-mini"}, {"id": "big"}, {"id": "tiny-8b"}]}))
    provider.script(answer(chat_answer()))
    (trial,) = await trials.test("main")
    assert trial.model == "tiny-8b"
    provider.script(answer(chat_answer()))
    (trial,) = await trials.test("main", model="big")
    assert trial.model == "big"


@pytest.mark.parametrize(
    ("listed", "code"),
    [(answer({"data": []}), "no_model"), (answer({}, 401), "wrong_key"), (PAGE, "web_page"), (answer({"x": 1}), "rejected")],
)
async def test_a_list_that_does_not_help(channels, operator, trials, provider, listed, code):
    await make(channels, operator, provider, models=[("*", None)])
    provider.script(listed)
    (trial,) = await trials.test("main")
    assert trial.verdict.code == code, trial.verdict


async def test_where_every_call_costs_only_the_list_is_asked_for(channels, operator, trials, provider):
    await make(channels, operator, provider, wires=["images"])
    provider.script(answer({"data": [{"id": "painter"}]}))
    (trial,) = await trials.test("main")
    assert trial.verdict.works and trial.wire is None and "1 models" in trial.verdict.text


async def test_where_there_is_no_list_either_nothing_is_called(channels, operator, trials, provider):
    await make(channels, operator, provider, provider="azure-openai", wires=["images"])
    (trial,) = await trials.test("main")
    assert trial.verdict.code == "costs" and provider.requests == []


async def test_without_a_credential(channels, operator, trials):
    await channels.create(operator, Draft("bare", "openai"))
    (trial,) = await trials.test("bare")
    assert trial.verdict.code == "unusable" and "credential" in trial.verdict.text


async def test_what_is_not_there(channels, operator, trials):
    await channels.create(operator, Draft("main", "openai", models=[("one", None)]))
    for asked in ({"credential_id": "crd_x"}, {"model": "two"}):
        with pytest.raises(PenstockError) as caught:
            await trials.test("main", **asked)
        assert caught.value.code == "not_found"


def test_choosing():
    assert choose(["gpt-4o", "gpt-4o-mini", "tts-mini"]) == "gpt-4o-mini"
    assert choose(["whisper-1"]) == "whisper-1"
    assert choose([]) is None

"""The official SDKs against vendors in trouble: each raises its own error, with the vendor's words in it, and nothing is charged."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors

from bridge_stage import ACROSS, SERVED, TALKERS, BridgeStage
from heard import Wants
from model_vendor import Fault
from says import Says

STATUSES = (400, 401, 404, 429, 500, 529)
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>"
RAISED = {"chat": openai.APIError, "responses": openai.APIError, "messages": anthropic.APIStatusError, "gemini": errors.APIError}

each_bridge = pytest.mark.parametrize(("client", "target"), ACROSS)


def status_of(error: Any) -> int:
    """The HTTP status of an SDK's error."""
    found: int = error.code if isinstance(error, errors.APIError) else error.status_code
    return found


def assert_nothing_is_charged(bridges: BridgeStage) -> None:
    assert all(row["cost_nano"] == 0 for row in bridges.gateway.charges()[bridges.rows :])


@pytest.mark.parametrize("how", ["plain", "raw"])
@pytest.mark.parametrize("status", STATUSES)
@each_bridge
def test_the_vendor_s_error(bridges: BridgeStage, client, target, status, how):
    bridges.vendor.say(Fault(status, "It says: no, not this."))
    talker = bridges.talker(client, target)
    talker.say("Hello")
    with pytest.raises(TALKERS[client].errors, match="It says: no, not this") as failed:
        getattr(talker, how)(Wants())
    shown = status_of(failed.value)
    assert shown == status or (client, status, shown) in OTHERS
    assert type(failed.value) is TALKERS[client].statuses[shown]
    assert_nothing_is_charged(bridges)


OTHERS = {("chat", 529, 503), ("responses", 529, 503)}
"""Statuses that a client's protocol has another one for."""


@pytest.mark.parametrize("status", [200, 400, 502])
@each_bridge
def test_a_web_page_instead_of_an_answer(bridges: BridgeStage, client, target, status):
    bridges.vendor.say(Fault(status, body=HTML, kind="text/html"))
    talker = bridges.talker(client, target)
    talker.say("Hello")
    with pytest.raises(TALKERS[client].errors) as failed:
        talker.plain(Wants())
    assert status_of(failed.value) == (400 if status == 400 else 502)
    assert "<h1>" not in str(failed.value)
    assert_nothing_is_charged(bridges)


@pytest.mark.parametrize("body", [b"{}", b'{"choices": null}', b"[]", b"nothing", b'{"choices":[{"message":', b""])
@each_bridge
def test_an_answer_that_is_none(bridges: BridgeStage, client, target, body):
    bridges.vendor.say(Fault(200, body=body or b" "))
    talker = bridges.talker(client, target)
    talker.say("Hello")
    with pytest.raises(TALKERS[client].errors) as failed:
        talker.plain(Wants())
    assert status_of(failed.value) == 502
    assert_nothing_is_charged(bridges)


@pytest.mark.parametrize("breaks", ["error", "cut"])
@pytest.mark.parametrize("how", ["streamed", "raw"])
@each_bridge
def test_a_stream_that_breaks_off(bridges: BridgeStage, client, target, how, breaks):
    bridges.vendor.say(Says("Half of what is to be said", breaks=breaks))
    talker = bridges.talker(client, target)
    talker.say("Hello")
    if client == "responses" and how == "raw":
        events = list(talker.client.responses.create(**talker.options(Wants()), stream=True))  # type: ignore[attr-defined]
        assert events[-1].type == "response.failed"
        message = events[-1].response.error.message
    else:
        with pytest.raises((RAISED[client], RuntimeError) if client == "responses" else RAISED[client]) as failed:
            getattr(talker, how)(Wants())
        message = str(failed.value)
    if breaks == "error" and not (client == "responses" and how == "streamed"):
        assert "It broke." in message
    charge = bridges.charge()
    assert charge["outcome"] == ("upstream_died" if breaks == "cut" else "complete")
    assert charge["estimated"]


@each_bridge
def test_what_was_left_out_is_named(bridges: BridgeStage, client, target):
    talker = bridges.talker(client, target)
    talker.say("Hello")
    headers = talker.headers()
    assert "x-penstock-dropped" not in headers
    assert headers["x-penstock-channel"] == target


@pytest.mark.parametrize(
    ("target", "lost"), [("messages", {"seed", "frequency_penalty"}), ("responses", {"seed", "frequency_penalty"}), ("gemini", {"user"})]
)
def test_what_a_chat_loses(bridges: BridgeStage, target, lost):
    talker = bridges.talker("chat", target)
    talker.say("Hello")
    create = talker.client.chat.completions.with_raw_response.create  # type: ignore[attr-defined]
    answer = create(**talker.options(Wants(more={"seed": 7, "frequency_penalty": 0.5, "user": "me"})))  # type: ignore[attr-defined]
    assert lost <= set(answer.headers["x-penstock-dropped"].split(", "))
    assert answer.parse().choices[0].message.content == "Hello."


def test_what_messages_lose(bridges: BridgeStage):
    talker = bridges.talker("messages", "chat")
    talker.say("Hello")
    create = talker.client.messages.with_raw_response.create  # type: ignore[attr-defined]
    answer = create(**talker.options(Wants(more={"extra_body": {"top_k": 5}})))  # type: ignore[attr-defined]
    assert answer.headers["x-penstock-dropped"] == "top_k"
    assert answer.parse().content[0].text == "Hello."


@pytest.mark.parametrize("target", ["chat", "messages", "gemini"])
def test_what_cannot_be_said_is_refused(bridges: BridgeStage, target):
    client = "chat" if target != "chat" else "responses"
    talker = bridges.talker(client, target)
    talker.say("Hello")
    more: dict[str, Any] = {"n": 2} if client == "chat" else {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}
    with pytest.raises(openai.BadRequestError) as refused:
        talker.plain(Wants(more=more))
    assert refused.value.code == "cannot_translate" and refused.value.param == ("n" if client == "chat" else "tools")
    assert bridges.vendor.asked == [] and len(bridges.gateway.charges()) == bridges.rows


@pytest.mark.parametrize("client", ["messages", "gemini"])
@pytest.mark.parametrize("target", ["chat", "responses", "messages", "gemini"])
def test_tokens_are_counted(bridges: BridgeStage, client, target):
    talker = bridges.talker(client, target)
    talker.say("Hello there, how are you?")
    counted = talker.counted()
    if client == target:
        assert (counted, bridges.asked().model) == (bridges.vendor.tokens, SERVED[target])
    else:  # an estimate
        assert 4 <= counted <= 20 and bridges.vendor.asked == []
    assert_nothing_is_charged(bridges)

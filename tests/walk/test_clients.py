"""LobeChat, NextChat, Chatbox, Cherry Studio, Open WebUI and LibreChat: the base URLs, headers, lists and streams that they count on."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from fake_answers import answer as said
from fake_answers import chat_answer, chat_events, messages_events, responses_events, stream
from penstock.kit.sse import payload, split
from raw_client import Answer, bearer, request

KIND = "content-type: application/json"
ORIGIN = "origin: https://app.example"
BODY = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
EVENTS = {"chat": chat_events, "messages": messages_events, "responses": responses_events}
NEXTCHAT = {"temperature": 0.5, "presence_penalty": 0, "frequency_penalty": 0, "top_p": 1}
WEBUI = {"stream_options": {"include_usage": True}, "reasoning": {"effort": "low"}}


@pytest.fixture
def ask(crossroads, vendor, dial):
    """Asks for something; each time on a connection of its own."""

    def send(line: str, *headers: str, body: dict[str, Any] | None = None) -> Answer:
        lines = headers or (bearer(crossroads.key),)
        content = None if body is None else json.dumps(body).encode()
        return dial(crossroads).ask(request(line, *lines, *([KIND] if body is not None else []), body=content))

    return send


def chunks(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    assert (answer.header("content-type") or "").startswith("text/event-stream")
    assert answer.header("content-encoding") is None
    assert answer.header("x-accel-buffering") == "no"
    events = [payload(event.rstrip()) for event in split(answer.body)]
    assert events[-1] == b"[DONE]" and events.count(b"[DONE]") == 1
    return [json.loads(event) for event in events[:-1]]


# base URLs

BASES = {
    "as it should be": "/v1",
    "LobeChat without the version": "",
    "a slash at the end": "/v1/",
    "only a slash": "/",
    "the version twice": "/v1/v1",
    "two slashes": "//v1",
}


@pytest.mark.parametrize("name", BASES)
def test_every_way_to_write_the_base_url_leads_to_the_same(ask, vendor, name):
    base = BASES[name]
    listed = ask(f"GET {base}/models")
    assert listed.status == 200 and "gpt-by-chat" in {model["id"] for model in listed.json["data"]}
    vendor.script(said(chat_answer()))
    assert ask(f"POST {base}/chat/completions", body={**BODY, "model": "gpt-by-chat", "stream": False}).status == 200
    vendor.script(stream(*responses_events(1)))
    assert ask(f"POST {base}/responses", body={"model": "gpt-by-responses", "input": "Hello", "stream": True}).status == 200
    vendor.script(stream(*messages_events(1)))
    assert ask(f"POST {base}/messages", body={**BODY, "model": "claude-by-messages", "max_tokens": 9}).status == 200
    assert [one.target for one in vendor.requests] == ["/v1/chat/completions", "/v1/responses", "/v1/messages"]


def test_chatbox_asks_a_claude_host_without_a_version(ask, crossroads, vendor):
    listed = ask("GET /models?limit=990", f"x-api-key: {crossroads.key}", "anthropic-version: 2023-06-01")
    assert {"id", "display_name", "type", "created_at"} <= set(listed.json["data"][0])
    vendor.script(stream(*chat_events(1)))
    answer = ask("POST /messages", f"x-api-key: {crossroads.key}", body={**BODY, "model": "claude-by-chat", "max_tokens": 9})
    assert answer.status == 200 and b"message_stop" in answer.body


@pytest.mark.parametrize("base", ["/v1beta", "/v1/v1beta"])
def test_a_gemini_host_is_understood(ask, crossroads, vendor, base):
    listed = ask(f"GET {base}/models", f"x-goog-api-key: {crossroads.key}")
    assert "models/gpt-by-chat" in {model["name"] for model in listed.json["models"]}
    vendor.script(stream(*chat_events(1)))
    body = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    answer = ask(f"POST {base}/models/gpt-by-chat:streamGenerateContent?alt=sse", f"x-goog-api-key: {crossroads.key}", body=body)
    assert answer.status == 200 and b'"candidates"' in answer.body


@pytest.mark.parametrize(
    "path", ["/v1/models/", "/models/", "/v1//models", "/v1/chat/completions/", "/dashboard/billing/usage/", "/v1", "/"]
)
def test_nothing_is_ever_redirected(crossroads, vendor, path):
    """LibreChat and Claude Code take a redirect for a failure."""
    answer = httpx.get(
        crossroads.url + path, headers={"authorization": f"Bearer {crossroads.key}"}, follow_redirects=False, trust_env=False
    )
    assert not 300 <= answer.status_code < 400


# credentials


def test_cherry_studio_sends_its_key_twice_and_says_who_it_is(ask, crossroads, vendor):
    vendor.script(stream(*chat_events(2)))
    key = crossroads.key
    lines = [bearer(key), f"x-api-key: {key}", "http-referer: https://cherry-ai.com", "x-title: Cherry Studio"]
    assert chunks(ask("POST /v1/chat/completions", *lines, body={**BODY, "model": "gpt-by-chat"}))
    assert key.encode() not in vendor.requests[0].raw_head


# the list of models


def test_the_list_has_what_each_of_them_reads(ask, vendor):
    answer = ask("GET /v1/models")
    assert (answer.header("content-type"), answer.json["object"]) == ("application/json", "list")
    for model in answer.json["data"]:
        assert isinstance(model["id"], str) and model["object"] == "model"
        assert type(model["created"]) is int and isinstance(model["owned_by"], str)
        assert None not in model.values()  # a name of null is worse than none
        assert isinstance(model.get("context_length", 0), int)
    assert ask("GET /v1/models/gpt-by-chat").json["id"] == "gpt-by-chat"
    assert vendor.requests == []


def test_a_model_that_there_is_not(ask, vendor):
    """LobeChat's check of a connection asks for a model of its own choice."""
    answer = ask("POST /v1/chat/completions", body={**BODY, "model": "gpt-5-mini"})
    assert (answer.status, answer.code, answer.header("content-type")) == (404, "model_not_found", "application/json")
    assert "gpt-5-mini" in answer.json["error"]["message"]
    assert vendor.requests == []


# streams


@pytest.mark.parametrize("wire", EVENTS)
@pytest.mark.parametrize("more", [{}, NEXTCHAT, WEBUI, {"user": "u", **WEBUI}])
def test_streams_are_openais_whoever_answers(ask, vendor, wire, more):
    vendor.script(stream(*EVENTS[wire](3)))
    found = chunks(ask("POST /v1/chat/completions", body={**BODY, **more, "model": f"gpt-by-{wire}"}))
    assert "".join(choice["delta"].get("content") or "" for chunk in found for choice in chunk["choices"]) == " word0 word1 word2"
    finishes = [choice["finish_reason"] for chunk in found for choice in chunk["choices"] if choice["finish_reason"]]
    assert finishes == ["stop"]
    bare = [chunk for chunk in found if not chunk["choices"]]
    if "stream_options" in more:
        assert [chunk["usage"]["prompt_tokens"] for chunk in bare] == [19] and bare[0] is found[-1]
    else:
        assert bare == [] and not any(chunk.get("usage") for chunk in found)


@pytest.mark.parametrize("wire", EVENTS)
def test_titles_and_tags_are_plain_answers(ask, vendor, wire):
    whole = {"chat": chat_answer, "messages": plain_message, "responses": plain_response}
    vendor.script(said(whole[wire]()))
    answer = ask("POST /v1/chat/completions", body={**BODY, "stream": False, "model": f"gpt-by-{wire}"})
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    assert answer.json["choices"][0]["message"]["content"] == "Hello there."


def plain_message() -> dict[str, Any]:
    about = {"id": "msg_fake", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn"}
    return about | {"content": [{"type": "text", "text": "Hello there."}], "usage": {"input_tokens": 19, "output_tokens": 10}}


def plain_response() -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(payload(responses_events(1)[-1].rstrip()))["response"]
    whole["output"][0]["content"][0]["text"] = "Hello there."
    return whole


# errors


@pytest.mark.parametrize("wire", EVENTS)
@pytest.mark.parametrize("status", [400, 429, 500])
def test_errors_are_json_though_a_stream_was_asked_for(ask, crossroads, vendor, wire, status):
    """Open WebUI hangs on one that says it is a stream; NextChat shows one of plain text as the answer."""
    error = {"error": {"message": "No.", "type": "x", "code": None}}
    vendor.always(said(error if wire != "messages" else {"type": "error", **error}, status, 'www-authenticate: Basic realm="x"'))
    answer = ask("POST /v1/chat/completions", ORIGIN, bearer(crossroads.key), body={**BODY, "model": f"gpt-by-{wire}"})
    assert answer.status in (status, 502, 503)
    assert answer.header("content-type") == "application/json"
    assert answer.json["error"]["message"]
    assert answer.header("www-authenticate") is None
    assert answer.header("access-control-allow-origin") == "*"


@pytest.mark.parametrize("wire", ["messages", "responses"])
@pytest.mark.parametrize("kind", ["text/plain", "text/html", "text/event-stream"])
def test_pages_and_plain_text_become_json_over_a_bridge(ask, vendor, wire, kind):
    vendor.always(said(b"<h1>Bad gateway</h1>", 403, kind=kind))
    answer = ask("POST /v1/chat/completions", body={**BODY, "model": f"gpt-by-{wire}"})
    assert answer.status == 403
    assert (answer.header("content-type"), bool(answer.json["error"]["message"])) == ("application/json", True)


@pytest.mark.parametrize("line", ["GET /v1/models", "POST /v1/chat/completions", "GET /dashboard/billing/usage"])
def test_a_wrong_key_brings_up_no_login_box(ask, vendor, line):
    answer = ask(line, "authorization: Bearer sk-stranger", body={**BODY, "model": "m"} if "POST" in line else None)
    assert (answer.status, answer.header("www-authenticate")) == (401, None)
    assert (answer.header("content-type") or "").startswith("application/json")
    assert answer.json["error"]["message"]


# billing


@pytest.mark.parametrize("prefix", ["/v1", "", "/", "/v1/", "/v1/v1"])
def test_the_balance_that_nextchat_shows(ask, crossroads, vendor, prefix):
    vendor.script(said(chat_answer()))
    assert ask("POST /v1/chat/completions", body={**BODY, "stream": False, "model": "gpt-by-chat"}).status == 200
    spent = sum(row["cost_nano"] for row in crossroads.charges())
    used = ask(f"GET {prefix}/dashboard/billing/usage?start_date=2026-01-01&end_date=2026-12-31")
    assert used.status == 200 and round(used.json["total_usage"] * 10**7) == spent
    limits = ask(f"GET {prefix}/dashboard/billing/subscription")
    assert limits.status == 200 and limits.json["hard_limit_usd"] > 0


# browsers

STAINLESS = ", ".join(
    f"x-stainless-{name}"
    for name in ("lang", "os", "arch", "runtime", "runtime-version", "package-version", "retry-count", "timeout", "helper-method")
)
WANTED = (
    f"authorization, content-type, x-api-key, anthropic-version, anthropic-beta, anthropic-dangerous-direct-browser-access, {STAINLESS}"
)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/models", "/models", "/dashboard/billing/usage"]
)
def test_sdks_in_browsers_may_send_all_their_headers(ask, vendor, path):
    asked = [ORIGIN, "access-control-request-method: POST", f"access-control-request-headers: {WANTED}"]
    answer = ask(f"OPTIONS {path}", *asked)
    assert answer.status in (200, 204)
    allowed = {name.strip() for name in (answer.header("access-control-allow-headers") or "").split(",")}
    assert set(WANTED.split(", ")) <= allowed
    assert answer.header("access-control-allow-origin") in ("*", "https://app.example")
    assert vendor.requests == []


@pytest.mark.parametrize("line", ["GET /v1/models", "GET /dashboard/billing/usage", "GET /v1/dashboard/billing/subscription"])
def test_what_is_answered_here_may_be_read_by_browsers(ask, crossroads, line):
    answer = ask(line, ORIGIN, bearer(crossroads.key))
    assert (answer.status, answer.header("access-control-allow-origin")) == (200, "*")

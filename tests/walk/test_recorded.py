"""What a record of an exchange holds: what was sent, what went out, what came back, what was told, by whom it was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import httpx
import pytest

from bridge_stage import add_channel
from fake_answers import answer, chat_answer, chat_events, messages_events, stream
from fake_provider import close
from live_gateway import LiveGateway
from penstock.accounts.models import OPERATOR
from penstock.records.policies import Policy
from penstock.records.record import PHASES, Record

SAID = answer(chat_answer())
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 3},
}  # fmt: skip
NUMBERS = count()
SECRET = b"sk-vendor-placeholder"


@pytest.fixture(scope="module")
def recorded(make_crossroads: Callable[..., LiveGateway]) -> LiveGateway:
    """A gateway with channels of three wires."""
    return make_crossroads(retries=2)


@pytest.fixture
def key(recorded: LiveGateway) -> str:
    """A key that records what is sent with it."""
    token: str = recorded.run(recorded.parts.keys.create(f"recording {next(NUMBERS)}", record=True)).token
    return token


def ask(gateway: LiveGateway, key: str, model: str = "gpt-by-chat", path: str = "/v1/chat/completions", **body: Any) -> httpx.Response:
    said = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50} | body
    return httpx.post(gateway.url + path, json=said, headers={"authorization": f"Bearer {key}"}, timeout=20)


def record_of(gateway: LiveGateway, answered: httpx.Response, shelf: str = OPERATOR) -> Record:
    """The record of an exchange, once it is written."""
    gateway.run(gateway.parts.recorder.flush())
    _, record, *_ = gateway.run(gateway.parts.records.get(shelf, answered.headers["x-request-id"]))
    assert record is not None
    assert SECRET not in b"".join((record.sent_head, record.request_body, record.sent_body or b"", *record.response_body))
    return record


def test_on_the_same_wire_only_what_differs_is_kept(recorded, vendor, key):
    vendor.always(SAID)
    record = record_of(recorded, answered := ask(recorded, key))
    assert json.loads(record.request_body)["model"] == "gpt-by-chat"
    assert record.sent_body is not None and json.loads(record.sent_body)["model"] == "gpt-4o"
    assert record.sent_head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n") and b"[redacted]" in record.sent_head
    assert (record.came_body, record.came_status, record.ruled_body) == (None, None, None)
    assert b"".join(record.response_body) == answered.content
    assert (record.for_owner, record.for_operator, record.account_id) == (True, False, OPERATOR)
    assert (record.input_tokens, record.output_tokens, record.is_estimated) == (19, 10, False)
    (charge,) = [row for row in recorded.charges() if row["id"] == record.id]
    assert record.cost_nano == charge["cost_nano"]
    assert len(record.phases_us) == len(PHASES) and min(record.phases_us) >= 0


def test_over_a_bridge_both_sides_are_kept(recorded, vendor, key):
    vendor.always(answer(MESSAGE))
    record = record_of(recorded, answered := ask(recorded, key, "gpt-by-messages"))
    assert record.sent_head.startswith(b"POST /v1/messages HTTP/1.1\r\n")
    assert json.loads(record.sent_body or b"")["model"] == "claude-sonnet-4-5"
    assert json.loads(b"".join(record.came_body or [])) == MESSAGE and record.came_status == 200
    assert b"".join(record.response_body) == answered.content


def test_a_bridged_stream_is_kept_as_it_came_and_as_it_was_told(recorded, vendor, key):
    events = messages_events()
    vendor.always(stream(*events))
    record = record_of(recorded, answered := ask(recorded, key, "gpt-by-messages", stream=True))
    assert b"".join(record.came_body or []) == b"".join(events)
    assert b"".join(record.response_body) == answered.content
    assert answered.text.rstrip().endswith("data: [DONE]")


def test_a_stream_of_the_same_wire_is_kept_once(recorded, vendor, key):
    vendor.always(stream(*chat_events()))
    record = record_of(recorded, answered := ask(recorded, key, stream=True, stream_options={"include_usage": True}))
    assert b"".join(record.response_body) == answered.content and record.came_body is None


def test_a_request_that_nobody_has_answered_is_kept_with_what_was_tried(recorded, vendor, key):
    vendor.always(close)
    record = record_of(recorded, answered := ask(recorded, key))
    assert (answered.status_code, record.response_status, record.outcome) == (502, 502, "upstream_error")
    assert json.loads(b"".join(record.response_body)) == answered.json()
    assert len(record.attempts) == 1 and record.attempts[0].startswith("chat: ")
    assert record.sent_head and record.cost_nano == 0
    vendor.always(SAID)
    assert recorded._until(lambda: ask(recorded, key).status_code == 200)  # its breaker has closed again


@pytest.mark.parametrize(
    "said", [(SAID[:-10], close), (answer({"error": {"message": f"no: {SECRET.decode()}"}}),)], ids=["broken off", "a complaint"]
)
def test_an_answer_that_could_not_be_used_is_kept_beside_the_error_that_was_told(recorded, vendor, key, said):
    vendor.always(*said)
    record = record_of(recorded, answered := ask(recorded, key))
    assert (answered.status_code, record.response_status, record.came_status) == (502, 502, 200)
    assert json.loads(b"".join(record.response_body)) == answered.json()
    assert SECRET not in answered.content and record.came_body and SECRET not in record.came_body[0]
    vendor.always(SAID)
    assert recorded._until(lambda: ask(recorded, key).status_code == 200)


def test_what_was_asked_for_by_nobody_is_not_kept(recorded, vendor):
    vendor.always(SAID)
    answered = ask(recorded, recorded.key)
    recorded.run(recorded.parts.recorder.flush())
    with pytest.raises(Exception, match="no record"):
        recorded.run(recorded.parts.records.get(OPERATOR, answered.headers["x-request-id"]))


def test_an_account_has_all_of_its_own_recorded_from_now_on(recorded, vendor):
    vendor.always(SAID)
    policies = recorded.parts.policies
    recorded.run(policies.put(OPERATOR, Policy(record=True)))
    try:
        record = record_of(recorded, ask(recorded, recorded.key))
        assert (record.for_owner, record.for_operator) == (True, False)
    finally:
        recorded.run(policies.put(OPERATOR, Policy(record=False)))


def test_an_upload_is_kept_as_it_came(recorded, vendor, key):
    add_channel(
        recorded, "sound", f"{vendor.url}/v1", provider="openai-compatible", models=[("ear", "whisper-1")], wires=("transcriptions",)
    )
    vendor.always(answer({"text": "x"}))
    form: dict[str, Any] = {"data": {"model": "ear"}, "files": {"file": ("a.wav", b"\1" * 400_000)}}
    answered = httpx.post(f"{recorded.url}/v1/audio/transcriptions", headers={"authorization": f"Bearer {key}"}, timeout=20, **form)
    record = record_of(recorded, answered)
    assert record.request_body.count(b"\1") == 400_000 and b"ear" in record.request_body
    assert vendor.requests[0].body.count(b"whisper-1") == 1

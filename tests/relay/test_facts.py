"""What is written down: every column of a charge from what was seen, and records that share nothing that changes."""

from __future__ import annotations

import json

import msgspec
import pytest

from fake_ends import CHAT, KEY, answer, ask
from penstock.billing.door import Charge
from penstock.records.redact import redact
from penstock.relay.call import Answer
from penstock.relay.facts import billable, extra_usage, make_charge
from penstock.relay.outcome import CLIENT_GONE, COMPLETE, STOPPED, UPSTREAM_DIED
from penstock.relay.upload import Upload
from penstock.upstream.lane import Lane
from penstock.upstream.usage import Usage

USED = Usage(1, 2, 3, 4, 5, 6, web_searches=7)


@pytest.fixture
def charged(rig):
    """A charge for an exchange that was answered, changed as the test says."""

    def charged(exchange=None, *, head=answer(b"{}"), outcome=COMPLETE, price=True, **about):  # noqa: B008  a constant
        exchange = exchange or rig.exchange()
        found = Answer(Lane(rig.plane.channels[0], "fast", "gpt-4o"))
        found.attempts = 2
        found.sent_ns = exchange.began_ns + 3_000_000
        if head:
            found.head, found.head_ns = rig.answered(head, rig.vendor()), exchange.began_ns + 5_999_999
        for name, value in about.items():
            setattr(exchange, name, value)
        cost = rig.plane.catalog.price("openai", "gpt-4o", "fast") if price else None
        return make_charge(exchange, rig.caller, found, outcome, USED, True, 12, cost, 5, (("lse_a", 12),))

    return charged


def test_every_column(rig, charged):
    exchange = rig.exchange()
    charge = charged(exchange, status=200, started=True)
    found = msgspec.structs.asdict(charge)
    assert found.pop("created_at_ms") == pytest.approx(int(exchange.id[4:16], 16), abs=60_000)
    assert found.pop("duration_ms") >= 0
    assert found.pop("price_version").startswith("genai")
    assert found == {
        "id": exchange.id, "account_id": rig.caller.account_id,
        "key_id": rig.caller.key_id, "wire": "chat", "provider": "openai", "channel": "openai", "model": "fast",
        "served_model": "gpt-4o", "status": 200, "outcome": "complete", "streamed": True, "estimated": True, "input_tokens": 1,
        "cache_read_tokens": 2, "cache_write_5m_tokens": 3, "cache_write_1h_tokens": 4, "output_tokens": 5, "reasoning_tokens": 6,
        "extra_usage": '{"web_searches": 7}', "cost_nano": 12,
        "free_nano": 5, "multiplier_micro": 1_000_000, "draws": (("lse_a", 12),), "upload_ms": 3, "first_byte_ms": 5, "attempts": 2,
    }  # fmt: skip
    assert list(msgspec.structs.asdict(charge)) == list(Charge.__struct_fields__)


def test_a_model_without_a_price_has_no_version(charged):
    assert charged(price=False).price_version is None


@pytest.mark.parametrize(("outcome", "head", "status"), [
    (COMPLETE, answer(b"{}", status=201), 201),
    (CLIENT_GONE, b"", 499),
    (CLIENT_GONE, answer(b"{}"), 200),
    (STOPPED, b"", 503),
    (UPSTREAM_DIED, answer(b"{}"), 502),
])  # fmt: skip
def test_the_status_is_what_was_shown_or_would_have_been(charged, outcome, head, status):
    assert charged(head=head, outcome=outcome).status == status
    assert charged(head=head, outcome=outcome, status=207).status == 207


def test_times_grow_even_when_no_answer_came(charged):
    charge = charged(head=b"")
    assert charge.upload_ms == 3 and charge.first_byte_ms >= 0 and charge.duration_ms >= 0


@pytest.mark.parametrize(("line", "status", "charges"), [
    (b"POST /v1/chat/completions", 200, True), (b"POST /v1/chat/completions", 302, True), (b"POST /v1/chat/completions", 400, False),
    (b"POST /v1/chat/completions", None, True), (b"GET /v1/files", 200, False), (b"GET /v1/files", None, False),
    (b"GET /v1/realtime", 101, True), (b"DELETE /v1/files/a", 200, False),
])  # fmt: skip
def test_what_is_charged(rig, line, status, charges):
    exchange, found = rig.exchange(line), Answer(Lane(rig.plane.channels[0], None, None))
    if status:
        more = b"connection: upgrade\r\nupgrade: websocket" if status == 101 else b"content-length: 0"
        found.head = rig.answered(b"HTTP/1.1 %d Fine\r\n%b\r\n\r\n" % (status, more), rig.vendor())
    assert billable(found, exchange) is charges


def test_a_body_that_never_was_whole_is_not_charged(rig):
    exchange = rig.exchange()
    exchange.upload = Upload(exchange.edge, 100, chunked=False)
    assert not billable(Answer(Lane(rig.plane.channels[0], None, None)), exchange)
    exchange.upload.done = True
    assert billable(Answer(Lane(rig.plane.channels[0], None, None)), exchange)


# rare usage


def test_usual_usage_needs_no_extra():
    assert extra_usage(Usage(1, 2, 3, 4, 5, 6)) is None
    assert json.loads(extra_usage(Usage(calls=0))) == {"calls": 0}
    assert json.loads(extra_usage(Usage(calls=2, images=1))) == {"images": 1, "calls": 2}


@pytest.mark.parametrize("name", [name for name in Usage.__struct_fields__[6:] if name != "calls"])
def test_every_rare_quantity_is_kept(name):
    value = "flex" if name == "service_tier" else 3
    assert json.loads(extra_usage(Usage(**{name: value}))) == {name: value}


# records


def test_records_of_a_known_head_share_headers_without_secrets(live_records):
    _, (first, second, third) = live_records
    assert KEY.encode() in dict(first.request_headers)[b"authorization"]
    assert second.request_headers is third.request_headers
    assert KEY.encode() not in dict(second.request_headers)[b"authorization"]
    assert {name for name, _ in first.request_headers} - {name for name, _ in second.request_headers} == {b"content-length"}


def test_redaction_changes_nothing_that_others_see(live_records):
    rig, records = live_records
    before = [list(record.request_headers) for record in records]
    lists = [record.request_headers for record in records]
    for record in records:
        redact(record)
    assert lists == before
    assert not any(KEY.encode() in value for record in records for _, value in record.request_headers)
    assert rig.plane.keys.find(KEY.encode()) is not None


@pytest.fixture
def live_records(rig):
    rig.trust()
    rig.know(KEY, record=True)
    client, vendor = rig.client(), rig.vendor()
    for _ in range(3):
        client.says(ask(b"x-odd: 1", line=b"POST /v1/chat/completions?a=b"))
        vendor.says(answer(b'{"error":{}}', b"x-shown: 1", status=404))
    return rig, rig.kept.records


def test_a_record_has_both_sides(live_records):
    rig, records = live_records
    record = records[0]
    assert (record.method, record.path, record.wire) == ("POST", "/v1/chat/completions?a=b", "chat")
    assert (record.original_model, record.rewritten_model, record.key_id) == ("gpt-4o", "gpt-4o", rig.caller.key_id)
    assert (b"x-odd", b"1") in record.request_headers and record.request_body == CHAT
    assert record.response_status == 404 and (b"x-shown", b"1") in record.response_headers
    assert b"".join(record.response_body) == b'{"error":{}}'
    assert (record.is_stream, record.outcome, record.request_truncated, record.response_truncated) == (False, "complete", False, False)
    assert (record.channel, record.attempts) == ("openai", ())


def test_a_record_of_what_was_never_answered(rig):
    rig.trust()
    rig.know(KEY, record=True)
    client = rig.client()
    rig.vendor()
    client.says(ask(line=b"GET /v1/files", body=b""))
    client.leaves()
    (record,) = rig.kept.records
    assert (record.response_status, record.response_headers, record.response_body) == (None, [], [])
    assert record.outcome == CLIENT_GONE


def test_what_is_refused_before_it_was_sent_is_not_recorded(rig):
    rig.trust()
    rig.know(KEY, record=True)
    rig.client().says(ask(body=b"{"))
    assert rig.kept.records == []


@pytest.mark.parametrize("own", [False, True])
def test_an_account_is_not_told_who_the_operator_is_to_the_provider(make_rig, own):
    rig = make_rig(record=True)
    rig.trust()
    rig.know(KEY, record=own)
    client, vendor = rig.client(), rig.vendor()
    client.says(ask())
    vendor.says(answer(b'{"error":{}}', b"OpenAI-Organization: acme", b"x-shown: 1", status=404))
    headers = dict(rig.kept.records[0].response_headers)
    assert (headers[b"openai-organization"], headers[b"x-shown"]) == (b"[redacted]" if own else b"acme", b"1")

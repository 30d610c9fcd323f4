"""An exchange: how it is answered, in whose words, and that it is finished once."""

from __future__ import annotations

import json

import pytest

from fake_ends import parts_of
from penstock.kit.errors import PenstockError
from penstock.relay.exchange import CORS_LINES, REASONS, STATUS_LINES, ClientGone, Stopping
from penstock.relay.outcome import CLIENT_GONE, STOPPED
from penstock.relay.upload import Upload


def refused(exchange, error=None):
    exchange.refuse(error or PenstockError("invalid_json", "It cannot be read.", param="x"))
    return parts_of(exchange.edge.transport.taken())


@pytest.mark.parametrize(("line", "headers", "anthropic"), [
    (b"POST /v1/chat/completions", (), False),
    (b"POST /v1/messages", (), True),
    (b"POST /v1/messages/count_tokens", (), True),
    (b"POST /v1/complete", (), True),
    (b"GET /v1/files", (), False),
    (b"GET /v1/files", ((b"anthropic-version", b"2023-06-01"),), True),
    (b"GET /v1/messages/batches", (), True),
    (b"POST /v1/chat/completions", ((b"anthropic-version", b"2023-06-01"),), False),
])  # fmt: skip
def test_an_error_is_in_the_callers_dialect(rig, line, headers, anthropic):
    exchange = rig.exchange(line, *headers)
    status, found, body = refused(exchange)
    assert (status, found[b"content-type"], found[b"content-length"]) == (400, b"application/json", b"%d" % len(body))
    said = json.loads(body)
    assert said["error"]["message"] == "It cannot be read."
    assert (said.get("request_id") == exchange.id) is anthropic
    assert found[b"x-request-id"] == exchange.id.encode()


@pytest.mark.parametrize(("line", "headers", "google"), [
    (b"GET /v1/models/x", (), False),
    (b"GET /v1/models/x", ((b"x-goog-api-client", b"google-genai-sdk/3"),), True),
    (b"GET /v1beta/models/x", (), True),
])  # fmt: skip
def test_an_error_is_in_google_s_dialect(rig, line, headers, google):
    _, _, body = refused(rig.exchange(line, *headers))
    assert ("status" in json.loads(body)["error"]) is google


def test_a_refusal_to_head_has_no_body(rig):
    status, headers, body = refused(rig.exchange(b"HEAD /v1/models"))
    assert (status, body) == (400, b"") and int(headers[b"content-length"]) > 0


def test_a_refusal_may_say_when_to_come_again(rig):
    assert refused(rig.exchange(), PenstockError("overloaded", "Too many.", retry_after_s=7))[1][b"retry-after"] == b"7"


def test_a_refusal_of_a_body_that_is_still_coming_ends_the_connection(rig):
    for done, closes in ((False, True), (True, False)):
        exchange = rig.exchange()
        exchange.upload = Upload(exchange.edge, 100, chunked=False)
        exchange.upload.done = done
        assert (refused(exchange)[1].get(b"connection") == b"close") is closes


def test_once_an_answer_has_begun_only_its_end_can_be_cut(rig):
    exchange = rig.exchange()
    exchange.write(exchange.head(200, [], b""))
    exchange.edge.transport.taken()
    exchange.refuse(PenstockError("internal_error", "Something."))
    assert exchange.edge.transport.taken() == b""
    assert exchange.finished and exchange.edge.transport.closed


def test_it_is_finished_once(rig):
    exchange = rig.exchange()
    for _ in range(3):
        exchange.finish()
    assert rig.state.total_requests == 1


def test_a_client_that_has_gone_is_written_nothing(rig):
    exchange = rig.exchange()
    exchange.gone = True
    exchange.write(b"anything")
    exchange.refuse(PenstockError("internal_error", "Something."))
    assert exchange.edge.transport.taken() == b"" and exchange.finished


def test_pages_of_other_origins_may_read_the_answer(rig):
    with_origin, without = rig.exchange(b"GET /v1/files", (b"origin", b"https://a.example")), rig.exchange()
    assert CORS_LINES in with_origin.head(200, [], b"") and CORS_LINES not in without.head(200, [], b"")


@pytest.mark.parametrize("status", [200, 404, 418, 529, 599, 600, 999])
def test_every_status_has_a_status_line(rig, status):
    head = rig.exchange().head(status, [b"a: b\r\n"], b"content-length: 0\r\n")
    first, *lines = head.split(b"\r\n")
    assert first.startswith(b"HTTP/1.1 %d " % status) and len(first) > 13
    assert lines[0] == b"a: b" and lines[-2:] == [b"", b""]


def test_reasons_are_known_by_status():
    assert all(STATUS_LINES[status] == b"HTTP/1.1 %d %b\r\n" % (status, reason) for status, reason in REASONS.items())


def test_interruptions_say_how_they_are_written_down():
    assert (ClientGone().outcome, Stopping().outcome) == (CLIENT_GONE, STOPPED)

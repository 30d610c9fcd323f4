"""Clients that are slow or send too much: each is told so and let go, and what waited for it is free again."""

from __future__ import annotations

import itertools
import time

import pytest

from fake_answers import SSE, chat_events, chunk, chunked, head
from fake_provider import Received, flood, silent_port
from raw_client import bearer, chat, request

PIECE = b"data: " + b"x" * 8000 + b"\n\n"


@pytest.fixture(scope="module")
def hasty(make_vendor_gateway):
    """A gateway with little patience, in front of the vendor."""
    return make_vendor_gateway(client_head_s=0.25, client_body_s=0.25, client_stall_s=0.4, keep_alive_s=0.5)


@pytest.fixture(scope="module")
def narrow(make_vendor_gateway):
    """A gateway with small limits, in front of the vendor."""
    return make_vendor_gateway(header_limit=2048, url_limit=512, body_limit=200_000)


def refused(client, status, code):
    answer = client.answer()
    assert (answer.status, answer.code, answer.closes) == (status, code, True)
    assert client.rest() == b""
    return answer


def dribble(client, data, pause_s=0.05):
    """Send a byte now and then, until there is an answer."""
    for at in range(len(data)):
        if client.readable(pause_s):
            return
        client.send(data[at : at + 1])
    raise AssertionError("all was taken")


# slow to send


@pytest.mark.parametrize(
    "sent", [b"G", b"GET /v1/mod", b"GET /v1/files HTTP/1.1\r\nhost: a\r\nauthor", b"GET /healthz HTTP/1.1\r\nhost: a\r\n"]
)
def test_a_head_that_stops(hasty, dial, sent):
    refused(dial(hasty).send(sent), 408, "request_timeout")


def test_a_head_that_dribbles(hasty, dial):
    client = dial(hasty).send(b"GET /v1/files HTTP/1.1\r\n")
    dribble(client, b"x-odd: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 10)
    refused(client, 408, "request_timeout")


@pytest.mark.parametrize("size", [50, 100_000])
def test_a_body_that_stops(hasty, vendor, dial, size):
    start = request("POST /v1/chat/completions", bearer(hasty.key), f"content-length: {size}")
    refused(dial(hasty).send(start + b'{"model":'), 408, "request_timeout")
    assert vendor.requests == []


def test_a_small_body_that_dribbles(hasty, vendor, dial):
    client = dial(hasty).send(request("POST /v1/chat/completions", bearer(hasty.key), "content-length: 1000"))
    dribble(client, b" " * 900)
    refused(client, 408, "request_timeout")
    assert vendor.requests == []


@pytest.mark.parametrize("framing", ["content-length: 100000", "transfer-encoding: chunked"])
def test_an_upload_that_stops(hasty, vendor, dial, until_hung_up, framing):
    before = len(hasty.charges())
    start = request("POST /v1/things", bearer(hasty.key), "content-type: text/plain", framing)
    client = dial(hasty).send(start + b"5\r\nhello\r\n")
    refused(client, 408, "request_timeout")
    until_hung_up()
    assert not vendor.requests[0].complete
    assert len(hasty.charges()) == before


def test_an_upload_that_stops_before_the_provider_is_reached(make_gateway, dial):
    with silent_port() as port:
        gateway = make_gateway(openai_api_key="sk-vendor", openai_base_url=f"http://127.0.0.1:{port}/v1", client_body_s=0.4, connect_s=30)
        start = request("POST /v1/things", bearer(gateway.key), "content-type: text/plain", "content-length: 100")
        refused(dial(gateway).send(start + b"hello"), 408, "request_timeout")
        gateway.check_quiet(within_s=1)


def test_connections_without_a_request_are_closed(hasty, dial):
    silent, used = dial(hasty), dial(hasty)
    assert used.ask(request("GET /v1/files")).status == 401
    assert (silent.rest(), used.rest()) == (b"", b"")


def test_a_client_that_waits_for_its_answer_is_not_idle(hasty, vendor, dial):
    async def after_a_while(line):
        time.sleep(0.9)  # noqa: ASYNC251  the whole vendor is slow
        await line.send(chat_answer)

    chat_answer = head(200, "content-length: 2") + b"{}"
    vendor.script(after_a_while)
    assert dial(hasty).ask(chat(hasty.key)).status == 200


# too much


@pytest.mark.parametrize("headers", [["x-odd: " + "a" * 2100], [f"x-{number}: a" for number in range(400)], ["x-" + "a" * 3000 + ": 1"]])
@pytest.mark.parametrize("cuts", [[], [10], [-10], [30, 2000], range(100, 2100, 100)])
def test_too_long_headers(narrow, vendor, dial, headers, cuts):
    data = request("GET /v1/files", bearer(narrow.key), *headers)
    client = dial(narrow)
    for start, end in itertools.pairwise([0, *[cut % len(data) for cut in cuts], len(data)]):
        client.send(data[start:end])
        time.sleep(0.001)
    refused(client, 431, "headers_too_large")
    assert vendor.requests == []


def test_headers_up_to_the_limit(narrow, vendor, dial):
    assert dial(narrow).ask(request("GET /v1/files", bearer(narrow.key), "x-odd: " + "a" * 1800)).status == 200
    assert vendor.requests[0].header("x-odd") == b"a" * 1800


def test_headers_without_end(narrow, dial):
    client = dial(narrow).send(b"GET /v1/files HTTP/1.1\r\n")
    client.send_some(b"x-odd: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 5000)
    assert client.answer().status == 431


@pytest.mark.parametrize("size", [50, 100_000])
def test_a_too_long_url(narrow, vendor, dial, size):
    data = request("GET /v1/" + "a" * 600, bearer(narrow.key))
    client = dial(narrow)
    for at in range(0, len(data), size):
        client.send(data[at : at + size])
    refused(client, 414, "url_too_long")
    assert vendor.requests == []


def test_a_too_large_body_is_refused_before_it_is_sent(narrow, vendor, dial):
    start = request("POST /v1/chat/completions", bearer(narrow.key), "content-length: 200001")
    refused(dial(narrow).send(start), 413, "body_too_large")
    assert vendor.requests == []


@pytest.mark.parametrize("size", [3_000_000, 20_000_000])
def test_a_client_that_sends_all_of_a_too_large_body_still_reads_the_refusal(narrow, dial, size):
    start = request("POST /v1/chat/completions", bearer(narrow.key), f"content-length: {size}")
    refused(dial(narrow).send(start + bytes(size)), 413, "body_too_large")


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("path", ["chat/completions", "things", "audio/transcriptions"])
def test_a_too_large_body_in_chunks(narrow, vendor, dial, until_hung_up, kind, path):
    start = request(f"POST /v1/{path}", bearer(narrow.key), f"content-type: {kind}", "transfer-encoding: chunked")
    client = dial(narrow).send(start, *[chunk(b" " * 50_000)] * 4, chunk(b" "))
    refused(client, 413, "body_too_large")
    until_hung_up()
    assert not any(received.complete for received in vendor.requests)


@pytest.mark.parametrize("extra", [0, 1])
def test_the_limit_holds_for_a_head_that_was_seen(make_vendor_gateway, vendor, dial, extra):
    gateway = make_vendor_gateway(body_limit=2000)
    client = dial(gateway)
    assert client.ask(chat(gateway.key)).status == 200
    assert client.ask(chat(gateway.key)).status == 200
    padding = 2000 - len(chat(gateway.key, pad="").partition(b"\r\n\r\n")[2]) + extra
    assert client.ask(chat(gateway.key, pad="a" * padding)).status == (413 if extra else 200)


def test_refusals_by_size_are_in_the_callers_dialect(narrow, dial):
    limits = {"content-length: 200001": 413, "x-odd: " + "a" * 2100: 431}
    for line, status in limits.items():
        origin = "origin: https://a.example"
        answer = dial(narrow).ask(request("POST /v1/messages", origin, f"x-api-key: {narrow.key}", line))
        assert (answer.status, answer.json["type"]) == (status, "error")
        assert answer.header("access-control-allow-origin") == "*"
        assert answer.json["request_id"] == answer.header("x-request-id")


def test_too_many_connections(make_gateway, dial):
    gateway = make_gateway(demo=True, connection_limit=3)
    clients = [dial(gateway) for _ in range(3)]
    assert [client.ask(request("GET /healthz")).status for client in clients] == [200] * 3
    late = dial(gateway)
    assert refused(late, 503, "overloaded").header("retry-after") == "1"
    late.close()
    clients.pop().close()
    deadline = time.monotonic() + 5
    while dial(gateway).send(request("GET /healthz")).answer().status != 200:
        assert time.monotonic() < deadline


# slow to read


def buffered(gateway):
    """Bytes that wait for clients."""
    return max(connection.transport.get_write_buffer_size() for connection in gateway.plane.connections)


@pytest.mark.parametrize("kind", [SSE, "application/octet-stream"])
@pytest.mark.parametrize("framing", ["transfer-encoding: chunked", f"content-length: {4000 * len(PIECE)}"])
def test_a_client_that_does_not_read_holds_the_provider_back(vendor_gateway, vendor, dial, until_hung_up, kind, framing):
    chunks = framing.startswith("transfer")
    piece = chunk(PIECE) if chunks else PIECE
    sent = []

    async def count(line):
        sent.append(len(sent))

    steps = [step for _ in range(40) for step in (flood(piece, 100), count)]
    vendor.script(head(200, framing, kind=kind), *steps, b"0\r\n\r\n" if chunks else b"")
    client = dial(vendor_gateway, window_bytes=4096).send(chat(vendor_gateway.key, stream=True))
    answer = client.head()
    assert answer.status == 200
    connections = [each for pool in {channel.pool for channel in vendor_gateway.plane.channels} for each in pool._all]
    assert wait(lambda: any(connection.loop_paused for connection in connections))
    assert buffered(vendor_gateway) < 700_000
    assert len(sent) < 35, "the provider was not held back"
    body = b"".join(iter(client.chunk, b"")) if answer.header("content-length") is None else client.exactly(4000 * len(PIECE))
    assert body == PIECE * 4000
    vendor_gateway.check_quiet()
    assert client.ask(request("GET /v1/files", bearer(vendor_gateway.key))).status == 200


def wait(true, within_s=5):
    end = time.monotonic() + within_s
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


@pytest.mark.parametrize("kind", [SSE, "application/octet-stream"])
def test_a_client_that_never_reads_is_let_go_and_charged(hasty, vendor, dial, until_hung_up, kind):
    before = len(hasty.charges())
    vendor.script(head(200, "transfer-encoding: chunked", kind=kind), flood(chunk(PIECE), 10_000))
    client = dial(hasty, window_bytes=4096).send(chat(hasty.key, stream=True))
    charge = hasty.charges(before + 1, within_s=8)[before]
    assert (charge["outcome"], charge["status"], charge["estimated"]) == ("client_gone", 200, 1)
    assert charge["input_tokens"] > 0
    until_hung_up()
    client.rest()


def test_the_good_stream_still_works_after_all_this(hasty, vendor, dial):
    vendor.script(head(200, "transfer-encoding: chunked", kind=SSE) + chunked(*chat_events()))
    assert dial(hasty).ask(chat(hasty.key, stream=True)).body.endswith(b"[DONE]\n\n")
    assert isinstance(vendor.requests[0], Received)

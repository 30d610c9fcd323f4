"""Several requests on one connection before the first is answered: answers leave in order, one each, or the connection ends."""

from __future__ import annotations

import asyncio

import pytest

from fake_answers import answer as said
from fake_provider import hold
from raw_client import bearer, chat, request

STRANGER = request("GET /v1/files", "authorization: Bearer sk-stranger")


@pytest.fixture
def gate(loop_thread):
    """An event of the vendor's loop, and what sets it from here."""
    event = asyncio.Event()

    async def open_gate():
        event.set()

    return hold(event), lambda: loop_thread.run(open_gate())


def numbered(vendor, count):
    for number in range(count):
        vendor.script(said({"number": number}))


def numbers(client, count):
    return [client.answer().json["number"] for _ in range(count)]


@pytest.mark.parametrize("split", [False, True])
def test_answers_come_in_order(vendor_gateway, vendor, dial, split):
    numbered(vendor, 6)
    key = vendor_gateway.key
    get, post = request("GET /v1/files", bearer(key)), chat(key)
    upload = request("POST /v1/things", bearer(key), "content-type: text/plain", body=b"hello")
    data = get + post + upload + post + post + get
    client = dial(vendor_gateway).send(*([data[at : at + 7] for at in range(0, len(data), 7)] if split else [data]))
    assert numbers(client, 6) == list(range(6))
    assert [received.method for received in vendor.requests] == ["GET", "POST", "POST", "POST", "POST", "GET"]
    assert vendor.requests[2].body == b"hello"


def test_refusals_keep_their_place(vendor_gateway, vendor, dial):
    numbered(vendor, 3)
    key = vendor_gateway.key
    good, preflight = chat(key), request("OPTIONS /v1/files", "origin: https://a.example")
    client = dial(vendor_gateway).send(good + STRANGER + good + preflight + chat(key, model=7) + STRANGER + good)
    answers = [client.answer() for _ in range(7)]
    assert [answer.status for answer in answers] == [200, 401, 200, 204, 400, 401, 200]
    assert [answer.json["number"] for answer in answers if answer.status == 200] == [0, 1, 2]
    assert not any(answer.closes for answer in answers)


def test_what_waits_is_not_sent_to_the_provider_before_its_turn(vendor_gateway, vendor, dial, gate, loop_thread):
    held, open_gate = gate
    vendor.script(held, said({"number": 0}))
    vendor.script(said({"number": 1}))
    client = dial(vendor_gateway).send(chat(vendor_gateway.key) * 2)
    loop_thread.run(vendor.until_requests(1))
    client.send(STRANGER)
    assert len(vendor.requests) == 1
    open_gate()
    assert numbers(client, 2) == [0, 1]
    assert client.answer().status == 401


def test_a_stream_is_whole_before_the_next_answer_begins(gateway, dial):
    client = dial(gateway).send(chat(gateway.key, model="demo-n3d20", stream=True) + STRANGER + chat(gateway.key))
    first = client.answer()
    assert first.body.endswith(b"data: [DONE]\n\n")
    assert client.answer().status == 401
    assert client.answer().json["object"] == "chat.completion"


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_an_upload_behind_a_running_request_may_come_in_pieces(vendor_gateway, vendor, dial, gate, loop_thread, kind):
    held, open_gate = gate
    vendor.script(held, said({"number": 0}))
    vendor.script(said({"number": 1}))
    key, body = vendor_gateway.key, b'{"model":"m"}'.ljust(600_000)
    upload = request("POST /v1/things", bearer(key), f"content-type: {kind}", body=body)
    client = dial(vendor_gateway).send(chat(key) + upload[:1000])
    loop_thread.run(vendor.until_requests(1))
    open_gate()
    assert numbers(client, 1) == [0]
    client.send(upload[1000:])
    assert numbers(client, 1) == [1]
    assert vendor.requests[1].body == body


@pytest.mark.parametrize("rest", [b"zz\r\n", b"5\r\nhello"])
def test_an_upload_that_breaks_behind_a_running_request_is_never_begun(vendor_gateway, vendor, dial, gate, loop_thread, rest):
    held, open_gate = gate
    vendor.script(held, said({"number": 0}))
    key = vendor_gateway.key
    upload = request("POST /v1/things", bearer(key), "content-type: text/plain", "transfer-encoding: chunked")
    client = dial(vendor_gateway).send(chat(key) + upload + rest)
    loop_thread.run(vendor.until_requests(1))
    open_gate()
    assert numbers(client, 1) == [0]
    if rest == b"zz\r\n":
        assert client.rest() == b""
    else:
        client.close()
    vendor_gateway.check_quiet()
    assert len([received for received in vendor.requests if received.complete]) == 1


@pytest.mark.parametrize(
    "garbage", [b"\0\0\0\0", b"GET / HTTP/9.9\r\n\r\n", b"NONSENSE\r\n\r\n", b"GET /v1/../x HTTP/1.1\r\nhost: a\r\n\r\n"]
)
@pytest.mark.parametrize("waits", [0, 2])
def test_garbage_behind_valid_requests_ends_the_connection_after_their_answers(
    vendor_gateway, vendor, dial, gate, loop_thread, garbage, waits
):
    held, open_gate = gate
    vendor.script(held, said({"number": 0}))
    for number in range(waits):
        vendor.script(said({"number": number + 1}))
    client = dial(vendor_gateway).send(chat(vendor_gateway.key) * (1 + waits) + garbage + chat(vendor_gateway.key))
    loop_thread.run(vendor.until_requests(1))
    open_gate()
    assert numbers(client, waits) == list(range(waits))
    last = client.answer()
    assert (last.json["number"], last.closes) == (waits, True)
    assert client.rest() == b""
    assert len(vendor.requests) == 1 + waits


def test_garbage_behind_an_answer_is_refused(vendor_gateway, vendor, dial):
    client = dial(vendor_gateway)
    assert client.ask(chat(vendor_gateway.key)).status == 200
    answer = client.ask(b"nonsense\r\n\r\n")
    assert (answer.status, answer.closes) == (400, True)


def test_the_control_plane_behind_a_running_request_is_left_to_another_connection(vendor_gateway, vendor, dial, gate, loop_thread):
    held, open_gate = gate
    vendor.script(held, said({"number": 0}))
    client = dial(vendor_gateway).send(chat(vendor_gateway.key) + request("GET /healthz") + chat(vendor_gateway.key))
    loop_thread.run(vendor.until_requests(1))
    open_gate()
    answer = client.answer()
    assert (answer.json["number"], answer.closes) == (0, True)
    assert client.rest() == b""
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("behind", [1, 3])
def test_the_relay_behind_the_control_plane_is_left_to_another_connection(vendor_gateway, vendor, dial, behind):
    body = chat(vendor_gateway.key)
    client = dial(vendor_gateway).send(request("GET /healthz") + body * behind + request("GET /readyz"))
    answer = client.answer()
    assert (answer.json, answer.closes) == ({"alive": True}, True)
    assert client.rest() == b""
    assert vendor.requests == []


def test_the_control_plane_is_asked_one_thing_at_a_time(gateway, dial):
    client = dial(gateway).send(request("GET /healthz") * 3)
    answer = client.answer()
    assert (answer.json, answer.closes) == ({"alive": True}, True)
    assert client.rest() == b""


def test_both_planes_share_a_connection_when_asked_in_turn(vendor_gateway, vendor, dial):
    client = dial(vendor_gateway)
    for _ in range(3):
        assert client.ask(request("GET /healthz")).json == {"alive": True}
        assert client.ask(chat(vendor_gateway.key)).status == 200
        assert client.ask(STRANGER).status == 401
    assert len(vendor.requests) == 3


def test_garbage_behind_the_control_plane(gateway, dial):
    client = dial(gateway).send(request("GET /healthz") + b"nonsense\r\n\r\n")
    answer = client.answer()
    assert (answer.json, answer.closes) == ({"alive": True}, True)
    assert client.rest() == b""


def test_more_than_a_hundred_waiting_requests_end_the_connection(vendor_gateway, vendor, dial, gate, loop_thread):
    held, open_gate = gate
    vendor.script(held, said({"number": 0}))
    client = dial(vendor_gateway).send(chat(vendor_gateway.key) + STRANGER * 1500)
    loop_thread.run(vendor.until_requests(1))
    open_gate()
    assert numbers(client, 1) == [0]
    answers = [client.answer() for _ in range(101)]
    assert {answer.status for answer in answers} == {401}
    assert [answer.closes for answer in answers].index(True) == 100
    assert client.rest() == b""


def test_answers_that_nobody_reads_hold_the_next_requests_back(gateway, dial):
    client = dial(gateway, window_bytes=4096)
    assert client.ask(STRANGER).status == 401
    taken = client.send_some(STRANGER * 400_000) // len(STRANGER)
    assert taken < 400_000, "everything was taken"
    buffers = [connection.transport.get_write_buffer_size() for connection in gateway.plane.connections]
    assert max(buffers) < 100_000
    for _ in range(taken):
        answer = client.answer()
        assert answer.status == 401
        if answer.closes:
            assert client.rest() == b""
            break


def test_nothing_behind_a_refused_upload_is_a_request(vendor_gateway, vendor, dial):
    assert dial(vendor_gateway).ask(STRANGER).status == 401
    head = request("POST /v1/things", "authorization: Bearer sk-stranger", "content-type: text/plain", "content-length: 5")
    client = dial(vendor_gateway).send(head + b"hello" + chat(vendor_gateway.key))
    answer = client.answer()
    assert (answer.status, answer.closes) == (401, True)
    assert client.rest() == b""
    assert vendor.requests == []


def test_nothing_follows_a_request_that_closes(vendor_gateway, vendor, dial):
    key = vendor_gateway.key
    for last in (chat(key, "connection: close"), chat(key).replace(b"HTTP/1.1", b"HTTP/1.0")):
        client = dial(vendor_gateway).send(chat(key) + last + chat(key))
        assert not client.answer().closes
        assert client.answer().closes
        assert client.rest() == b""
    assert len(vendor.requests) == 4


def test_empty_lines_between_requests_are_passed_over(vendor_gateway, vendor, dial):
    client = dial(vendor_gateway).send(b"\r\n" + chat(vendor_gateway.key) + b"\r\n\r\n" + chat(vendor_gateway.key))
    assert [client.answer().status for _ in range(2)] == [200, 200]

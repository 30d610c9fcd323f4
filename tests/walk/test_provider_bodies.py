"""Bodies that break off, are long, are compressed or are odd; slow clients and slow providers."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import socket
import zlib

import brotli
import pytest
import zstandard

import fake_faults
from fake_answers import SSE, answer, chat_answer, chunk, chunked, event, head
from fake_faults import PLAIN
from fake_provider import close, flood, hang, reset
from penstock.upstream.usage import Usage
from stage import USED, WIRES, check_refusal, plain

NOTHING = Usage(calls=0)
PIECE = os.urandom(64 * 1024)


def sound(size: int) -> bytes:
    """The head of an answer of so many bytes of sound."""
    return head(200, f"content-length: {size}", kind="audio/mpeg")


def long_answer(wire: str, size: int) -> bytes:
    """A whole JSON answer with `size` bytes more than usual before its usage."""
    value = plain(wire)
    usage = value.pop("usage")
    return json.dumps({"filler": "x" * size} | value | {"usage": usage}).encode()


# a plain answer that breaks: nothing was shown, so nothing is paid


@pytest.mark.parametrize("fault", fake_faults.BROKEN_BODY)
def test_a_body_that_breaks_off(stage, fault):
    stage.script(*fake_faults.BROKEN_BODY[fault])
    answered = stage.ask("chat")
    check_refusal("chat", answered, 502, answered.code)
    assert answered.code == ("upstream_invalid" if fault.startswith("chunk ") else "upstream_broken")
    row = stage.charge(answered)
    stage.check_cost(row, NOTHING, estimated=True)
    assert (row["outcome"], row["status"], row["streamed"]) == ("upstream_died", 502, 0)


@pytest.mark.parametrize("wire", WIRES)
def test_it_is_refused_in_the_dialect(stage, wire):
    stage.script(*fake_faults.BROKEN_BODY["closes in a chunk"])
    answered = stage.ask(wire)
    check_refusal(wire, answered, 502, "upstream_broken")
    assert stage.charge(answered)["cost_nano"] == 0


@pytest.fixture(scope="module")
def module_hasty(make_stage):
    return make_stage(idle_s=0.2)


@pytest.fixture
def hasty(module_hasty, vendor):
    """A gateway that does not wait long for an answer to go on."""
    yield module_hasty
    module_hasty.check_quiet()


@pytest.mark.parametrize("wire", WIRES)
def test_a_body_that_stalls(hasty, wire):
    hasty.script(PLAIN[:-20], hang)
    answered = hasty.ask(wire)
    check_refusal(wire, answered, 504, "upstream_timeout")
    row = hasty.charge(answered)
    hasty.check_cost(row, NOTHING, estimated=True)
    assert (row["outcome"], row["status"]) == ("upstream_timeout", 504)


def test_bytes_beyond_the_length_are_cut_off(stage):
    """The length is what counts: the rest is not shown, and the connection not used again."""
    stage.script(PLAIN + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
    opened = stage.vendor.opened
    answered = stage.ask("chat")
    assert answered.body == PLAIN[PLAIN.index(b"\r\n\r\n") + 4 :]
    stage.check_cost(stage.charge(answered), USED)
    assert stage.vendor.opened == opened + 2


# long plain answers: streamed, with the usage from their end


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("wire", WIRES)
def test_a_long_answer(stage, wire, sized):
    body = long_answer(wire, 3_000_000)
    pieces = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
    stage.script(answer(body) if sized else head(200, "transfer-encoding: chunked") + chunked(*pieces))
    answered = stage.ask(wire)
    assert answered.body == body
    assert answered.header("content-length") == (str(len(body)) if sized else None)
    row = stage.charge(answered)
    stage.check_cost(row, USED)
    assert row["streamed"] == 1


def test_a_long_answer_one_piece_of_which_is_large(stage):
    body = long_answer("chat", 8_000_000)
    stage.script(head(200, "transfer-encoding: chunked") + chunked(body))
    assert stage.ask("chat").body == body


def test_a_long_answer_for_a_client_of_http_1_0(stage):
    body = long_answer("chat", 2_000_000)
    stage.script(head(200, "transfer-encoding: chunked") + chunked(body))
    with stage.client() as client:
        answered = client.ask(stage.raw("chat").replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    assert answered.closes
    assert answered.body == body
    stage.check_cost(stage.charge(answered), USED)


@pytest.mark.parametrize("ends", [close, reset])
@pytest.mark.parametrize("framing", ["content-length: 9000000", "transfer-encoding: chunked"])
def test_a_long_answer_that_breaks_is_cut_and_never_looks_whole(stage, framing, ends):
    gate = asyncio.Event()

    async def wait(_) -> None:
        await gate.wait()

    body = long_answer("chat", 3_000_000)[:-300]
    stage.script(head(200, framing) + (chunk(body) if "chunked" in framing else body), wait, ends)
    with stage.client() as client:
        client.send(stage.raw("chat"))
        answered = client.head()
        begun = client.exactly(2_000_000)
        stage.let_go(gate)
        rest = begun + client.rest()
    assert not rest.endswith(b"0\r\n\r\n")
    row = stage.charge(answered)
    assert (row["outcome"], row["estimated"]) == ("upstream_died", 1)
    assert row["cost_nano"] > 0


def test_a_long_answer_that_ends_with_the_connection(stage):
    body = long_answer("chat", 3_000_000)
    stage.script(head(200, "connection: close") + body, close)
    answered = stage.ask("chat")
    assert answered.body == body
    stage.check_cost(stage.charge(answered), USED)


def test_a_long_answer_that_breaks_does_not_look_whole_to_a_client_of_http_1_0(stage):
    """Without a length the end of the connection is the end of the answer: only a reset says that it is not."""
    stage.script(head(200, "transfer-encoding: chunked") + chunk(long_answer("chat", 3_000_000)[:-300]), close)
    with stage.client() as client:
        client.send(stage.raw("chat").replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        client.head()
        with pytest.raises(ConnectionResetError):
            client.exactly(4_000_000)


def test_sound_that_breaks(stage):
    """It is charged by what was asked for, and the charge says that this is an estimate."""
    stage.script(sound(5_000_000) + PIECE, close)
    with stage.client() as client:
        client.send(stage.speech())
        answered = client.head()
        assert len(client.rest()) < 5_000_000
    row = stage.charge(answered)
    assert (row["outcome"], row["estimated"], row["extra_usage"]) == ("upstream_died", 1, '{"characters": 11}')


# compressed, although it was asked not to be


def packers():
    zstd = zstandard.ZstdCompressor()
    return {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("encoding", packers())
@pytest.mark.parametrize("wire", WIRES)
def test_a_compressed_answer(stage, wire, encoding):
    packed = packers()[encoding](json.dumps(plain(wire)).encode())
    stage.script(answer(packed, 200, f"content-encoding: {encoding}"))
    answered = stage.ask(wire)
    assert (answered.body, answered.header("content-encoding")) == (packed, encoding)
    stage.check_cost(stage.charge(answered), USED)
    assert stage.vendor.requests[0].header("accept-encoding") == b"identity"


UNREADABLE = {
    "damaged": b"\x1f\x8b\x08\x00damaged",
    "cut off": gzip.compress(json.dumps(chat_answer()).encode())[:-12],
    "a bomb": gzip.compress(b" " * 30_000_000),
}


@pytest.mark.parametrize("packed", UNREADABLE.values(), ids=UNREADABLE)
def test_a_compressed_answer_that_cannot_be_read(stage, packed):
    stage.script(answer(packed, 200, "content-encoding: gzip"))
    answered = stage.ask("chat")
    assert answered.body == packed
    row = stage.charge(answered)
    assert (row["outcome"], row["estimated"], row["output_tokens"] > 0) == ("complete", 1, True)


def test_an_unknown_encoding(stage):
    stage.script(answer(b"whatever", 200, "content-encoding: x-odd"))
    answered = stage.ask("chat")
    assert answered.body == b"whatever"
    assert stage.charge(answered)["estimated"] == 1


# answers that are not what the wire promises


WITHOUT_USAGE = {
    "a list": b"[1]",
    "a string": b'"x"',
    "half an object": b"{",
    "not UTF-8": b"\xff\xfe",
    "deep lists": b"[" * 100_000,
    "deep usage": b'{"usage":' * 50_000,
    "much": b"x" * 900_000,
}


@pytest.mark.parametrize("body", WITHOUT_USAGE.values(), ids=WITHOUT_USAGE)
@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_without_usage_is_passed_on_and_estimated(stage, wire, body):
    stage.script(answer(body))
    answered = stage.ask(wire)
    assert answered.body == body
    row = stage.charge(answered)
    stage.check_cost(row, stage.guess(wire, max(1, (len(body) - 400) // 4)), estimated=True)


@pytest.mark.parametrize("body", [b"{}", b"null", b" [] "])
@pytest.mark.parametrize("wire", WIRES)
def test_an_empty_value_is_passed_on_and_costs_nothing(stage, wire, body):
    stage.script(answer(body))
    answered = stage.ask(wire)
    assert (answered.status, answered.body) == (200, body)
    stage.check_cost(stage.charge(answered), Usage(calls=0))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"success":false,"errors":{"code":7,"message":"kaputt"},"result":null}',
        b'{"error":{"message":"kaputt"}}',
        b'{"error":"kaputt"}',
    ],
)
@pytest.mark.parametrize("wire", WIRES)
def test_a_success_that_is_none_is_an_error_and_costs_nothing(stage, wire, body):
    stage.script(answer(body))
    answered = stage.ask(wire)
    check_refusal(wire, answered, 502, "upstream_invalid")
    assert ("kaputt" if body else "empty") in answered.json["error"]["message"]
    assert stage.row(answered) is None


def test_a_response_that_failed_is_a_response(stage):
    failed = {"id": "resp_1", "object": "response", "status": "failed", "error": {"code": "server_error", "message": "x"}, "output": []}
    stage.script(answer(failed))
    answered = stage.ask("responses")
    assert (answered.status, answered.json) == (200, failed)


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_the_operators_credential_is_in_no_error_of_a_provider(stage, kind):
    stage.script(answer(b'{"error":{"message":"no such key: sk-openai"}}', 401, kind=kind))
    answered = stage.ask("chat")
    assert (answered.status, answered.json["error"]["message"]) == (401, "no such key: *********")


# slow clients, slow providers


def test_a_slow_client_pauses_the_provider(stage):
    """What the gateway holds is bounded; all of it arrives once the client reads."""
    count = 1600
    sent = 0

    async def counted(line) -> None:
        nonlocal sent
        for _ in range(count):
            await line.send(PIECE)
            sent += 1

    stage.script(sound(count * len(PIECE)), counted)
    with stage.client(window_bytes=64 * 1024) as client:
        client.send(stage.speech())
        answered = client.head()
        connection = next(iter(stage.gateway.plane.channels[0].pool._all))
        assert stage.gateway._until(lambda: connection.loop_paused)
        before = -1
        while before != sent:  # until nothing moves any more
            before = sent
            stage.await_vendor(asyncio.sleep(0.2))
        assert sent < count
        for _ in range(count):
            assert client.exactly(len(PIECE)) == PIECE
        stage.vendor.script(PLAIN)
        assert client.ask(stage.raw("chat")).status == 200, "the connection to the provider is not paused any more"
    assert stage.charge(answered)["outcome"] == "complete"


@pytest.mark.parametrize("kind", ["sound", "events"])
def test_a_connection_serves_others_while_a_slow_client_reads_its_answer(stage, kind):
    """The answer is over, and its last piece is more than the client takes at once: that is not the connection's business any more."""
    last = event({"type": "response.completed", "response": {"filler": "x" * 100_000}}, "response.completed")
    content = PIECE + PIECE[:36_000] if kind == "sound" else last
    stage.script(head(200, f"content-length: {len(content)}", kind="audio/mpeg" if kind == "sound" else SSE) + content)
    opened = stage.vendor.opened
    with stage.client(window_bytes=4096) as slow, stage.client() as other:
        assert stage.gateway._until(lambda: len(stage.gateway.plane.connections) == 2)
        for connection in stage.gateway.plane.connections:
            connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        slow.send(stage.speech() if kind == "sound" else stage.raw("responses", stream=True))
        slow.head()
        pool = stage.gateway.plane.channels[0].pool
        assert stage.gateway._until(lambda: pool.idle == 1)
        for _ in range(2):
            stage.vendor.script(PLAIN)
            assert other.ask(stage.raw("chat")).status == 200
        slow.exactly(100_000)
        stage.vendor.script(PLAIN)
        assert other.ask(stage.raw("chat")).status == 200
    assert stage.vendor.opened == opened + 1


def test_an_endless_answer_ends_when_the_client_has_had_enough(stage):
    stage.script(head(200, "transfer-encoding: chunked", kind="audio/mpeg"), flood(chunk(PIECE), 1_000_000))
    with stage.client() as client:
        client.send(stage.speech())
        answered = client.head()
        client.exactly(3_000_000)
    stage.await_vendor(stage.vendor.until_closed())
    stage.gateway.check_quiet()
    assert stage.charge(answered)["outcome"] == "client_gone"

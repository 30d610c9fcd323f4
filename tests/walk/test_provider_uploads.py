"""Uploads to a provider that is slow, answers early or hangs up."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from fake_answers import answer, chunked
from fake_faults import PLAIN
from fake_provider import close, hang, reset
from raw_client import request
from stage import check_refusal

PIECE = os.urandom(64 * 1024)


def unchunked(data: bytes) -> bytes:
    """The content of a chunked body."""
    content, at = [], 0
    while data[at : at + 3] != b"0\r\n":
        line = data.index(b"\r\n", at)
        at = line + 4 + int(data[at:line], 16)
        content.append(data[line + 2 : at - 2])
    return b"".join(content)


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_a_slow_provider_pauses_the_upload(stage, framing):
    gate = asyncio.Event()
    form = b'--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n' + PIECE * 640 + b"\r\n--b--\r\n"
    body = form if framing == "content-length" else chunked(*(form[at : at + 100_000] for at in range(0, len(form), 100_000)))
    got: list[bytes] = []

    async def read_late(line) -> None:
        await gate.wait()
        while not got or not got[-1].endswith(form[-4:] if framing == "content-length" else b"0\r\n\r\n"):
            got.append(await line.reader.read(1_000_000))

    stage.vendor._server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # its connections inherit it
    stage.script(read_late, PLAIN, close, early=True)
    headers = [f"authorization: Bearer {stage.gateway.key}", "content-type: multipart/form-data; boundary=b"]
    length = f"content-length: {len(form)}" if framing == "content-length" else "transfer-encoding: chunked"
    with stage.client() as client:
        client.send(request("POST /v1/files", *headers, length))
        stage.await_vendor(stage.vendor.until(lambda: bool(stage.vendor.requests)))
        taken = client.send_some(body)
        assert any("upload" in connection._holds for connection in stage.gateway.plane.connections)
        stage.let_go(gate)
        assert client.ask(body[taken:]).status == 200
    received = b"".join(got)
    assert (received if framing == "content-length" else unchunked(received)) == form


# uploads that the provider does not take


def upload(stage, size: int) -> bytes:
    """A large form."""
    body = b'--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n' + b"x" * size + b"\r\n--b--\r\n"
    return request(
        "POST /v1/files", f"authorization: Bearer {stage.gateway.key}", "content-type: multipart/form-data; boundary=b", body=body
    )


def test_the_provider_answers_before_it_has_read_the_upload(stage):
    refusal = answer({"error": {"message": "too large"}}, 413)
    stage.script(refusal, early=True)
    with stage.client() as client:
        client.send_some(upload(stage, 20_000_000), patience_s=2)
        answered = client.answer()
    assert (answered.status, answered.closes, answered.json["error"]["message"]) == (413, True, "too large")
    stage.script(PLAIN)
    assert stage.ask("chat").status == 200


@pytest.mark.parametrize("ends", [close, reset])
def test_the_provider_hangs_up_in_the_middle_of_the_upload(stage, ends):
    async def read_some(line) -> None:
        await line.reader.readexactly(100_000)

    stage.script(read_some, ends, early=True)
    with stage.client() as client:
        client.send_some(upload(stage, 20_000_000), patience_s=2)
        answered = client.answer()
        assert (answered.status, answered.code, answered.closes) == (502, "upstream_broken", True)
    assert stage.row(answered) is None
    assert len(stage.vendor.requests) == 1, "what streams through can be sent once"


def test_the_provider_hangs_up_after_the_upload(stage):
    stage.script(close)
    with stage.client() as client:
        answered = client.ask(upload(stage, 2_000_000))
        assert (answered.status, answered.code, answered.closes) == (502, "upstream_broken", False)
        stage.vendor.script(PLAIN)
        assert client.ask(stage.raw("chat")).status == 200


def test_a_large_json_body_to_a_provider_that_hangs_up(stage):
    async def read_some(line) -> None:
        await line.reader.readexactly(100_000)

    stage.script(read_some, reset, early=True)
    content = "x" * 20_000_000
    with stage.client() as client:
        answered = client.ask(stage.raw("chat", messages=[{"role": "user", "content": content}]))
        check_refusal("chat", answered, 502, "upstream_broken")
        stage.vendor.script(PLAIN)
        assert client.ask(stage.raw("chat")).status == 200


def test_a_provider_that_answers_early_and_reads_no_further_is_not_asked_again_on_that_connection(stage):
    """What is left of the request would stand before the next one."""
    stage.script(answer({"error": {"message": "too large"}}, 413), hang, early=True)
    opened = stage.vendor.opened
    with stage.client() as client:
        answered = client.ask(stage.raw("chat", messages=[{"role": "user", "content": "x" * 60_000_000}]))
        assert (answered.status, answered.json["error"]["message"]) == (413, "too large")
        stage.vendor.script(PLAIN)
        assert client.ask(stage.raw("chat")).status == 200
    assert stage.vendor.opened == opened + 2

"""The scripted provider does what it is told and remembers what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest

import fake_faults
from fake_answers import answer, chat_answer, chat_events, messages_events, responses_events, stream
from fake_provider import FakeProvider, close, close_on_next, dribble, hang, hold, pause, refusing_port, reset, silent_port

REQUEST = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
GROUPS = {
    name: group for name, group in vars(fake_faults).items() if name.isupper() and isinstance(group, dict) and not name.startswith("_")
}
FAULTS = [pytest.param(steps, id=f"{name}-{fault}") for name, group in GROUPS.items() for fault, steps in group.items()]
ENDLESS = {"NEVER", "STALLED_STREAM"}


async def exchange(provider, data=REQUEST, context=None):
    """Send bytes, read until the provider closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port, ssl=context)
    try:
        writer.write(data)
        return await reader.read()
    finally:
        writer.close()


async def test_it_sends_the_bytes_of_the_script_and_records_the_request(provider):
    provider.script(b"one", b"two", close)
    assert await exchange(provider) == b"onetwo"
    [received] = provider.requests
    assert received.raw_head == REQUEST[:-5]
    assert (received.method, received.target, received.body, received.complete) == ("POST", "/v1/x", b"hello", True)
    assert received.headers == [(b"Host", b"a"), (b"Content-Length", b"5")]
    assert received.header("host") == b"a"
    assert received.header("absent") is None
    await provider.until_closed()
    assert (provider.opened, provider.open) == (1, 0)


async def test_scripts_are_used_in_order_and_then_always(provider):
    provider.script(b"1").script(b"2").always(b"3", close)
    assert await exchange(provider, REQUEST * 3) == b"123"
    assert [received.line for received in provider.requests] == [0, 0, 0]
    assert await exchange(provider) == b"3"
    assert provider.requests[-1].line == 1


async def test_chunked_requests_are_recorded_raw_and_decoded(provider):
    provider.script(close)
    body = b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nx: y\r\n\r\n"
    await exchange(provider, b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + body)
    assert provider.requests[0].body == b"abcde"
    assert provider.requests[0].raw_body == body


async def test_a_request_whose_body_never_comes_is_recorded_as_incomplete(provider):
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(REQUEST[:-2])
    await provider.until(lambda: bool(provider.requests))
    writer.close()
    await reader.read()
    await provider.until_closed()
    assert provider.requests[0].body == b"hel"
    assert not provider.requests[0].complete


async def test_an_early_answer_comes_before_the_body(provider):
    provider.script(b"no", early=True)
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(REQUEST[:-5])
    assert await reader.readexactly(2) == b"no"
    writer.write(b"hello")
    await provider.until_requests(1)
    writer.close()
    await provider.until_closed()


async def test_reset_is_a_reset(provider):
    provider.script(reset)
    with pytest.raises(ConnectionResetError):
        await exchange(provider)


@pytest.mark.parametrize("name", fake_faults.NO_READING)
async def test_greetings_happen_before_anything_is_read(provider, name):
    provider.greet(*fake_faults.NO_READING[name])
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    try:
        assert await reader.read() == b""
    except ConnectionResetError:
        assert name.startswith("resets")
    writer.close()
    await provider.until_closed()
    assert provider.requests == []


async def test_the_keep_alive_race_closes_when_the_next_request_arrives(provider):
    provider.script(b"first", close_on_next)
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(REQUEST)
    assert await reader.readexactly(5) == b"first"
    writer.write(REQUEST[:20])
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    await provider.until_closed()
    assert len(provider.requests) == 1


async def test_steps_wait_for_what_they_are_told(provider):
    gate = asyncio.Event()
    provider.script(b"a", pause(0), hold(gate), dribble(b"bcd"), close)
    task = asyncio.get_running_loop().create_task(exchange(provider))
    await provider.until_requests(1)
    assert not task.done()
    gate.set()
    assert await task == b"abcd"


async def test_hang_ends_when_the_client_leaves(provider):
    provider.script(hang)
    _, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(REQUEST)
    await provider.until_requests(1)
    assert provider.open == 1
    writer.close()
    await provider.until_closed()


async def test_a_refusing_port_refuses():
    with refusing_port() as port, pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_silent_port_never_connects():
    with silent_port() as port, pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 0.2)


async def test_tls_that_is_right(authority):
    async with FakeProvider(tls=authority.server()) as provider:
        provider.script(b"secret", close)
        assert await exchange(provider, context=authority.client()) == b"secret"
        assert provider.url.startswith("https://127.0.0.1:")


async def test_tls_for_the_wrong_host(authority):
    async with FakeProvider(tls=authority.server("wrong.example")) as provider:
        with pytest.raises(ssl.SSLCertVerificationError, match=r"[Mm]ismatch"):
            await exchange(provider, context=authority.client())


async def test_tls_of_an_unknown_authority(authority, stranger):
    async with FakeProvider(tls=stranger.server()) as provider:
        with pytest.raises(ssl.SSLCertVerificationError):
            await exchange(provider, context=authority.client())


async def test_plain_text_where_tls_is_expected(authority, provider):
    provider.greet(b"HTTP/1.1 400 Bad Request\r\n\r\n", close)
    with pytest.raises(ssl.SSLError):
        await exchange(provider, context=authority.client())


def test_the_ca_file_holds_the_authority(ca_file):
    assert ssl.create_default_context(cafile=str(ca_file)).get_ca_certs()


@pytest.mark.parametrize("steps", FAULTS)
async def test_every_ready_made_fault_can_be_played(provider, steps):
    provider.script(*steps)
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(REQUEST)
    await provider.until_requests(1)
    if steps[-1] in (close, reset):
        try:
            await reader.read()
        except ConnectionResetError:
            assert steps[-1] is reset
    elif steps[-1] is not hang:
        assert await reader.read(1)
    writer.close()
    await provider.until_closed()


@pytest.mark.parametrize("at", [0, 1, 57, 2000])
async def test_a_stream_can_be_split_anywhere(provider, at):
    provider.script(*fake_faults.split_at(at), close)
    raw = await exchange(provider)
    assert b"".join(chat_events())[at : at + 20] in raw
    assert raw.endswith(b"0\r\n\r\n")


async def test_an_endless_stream_waits_for_a_slow_client(provider):
    provider.script(*fake_faults.endless(count=10_000_000))
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(REQUEST)
    assert await reader.readexactly(100_000)
    writer.close()
    await provider.until_closed()


def test_builders_write_what_they_say():
    assert fake_faults.huge_head(200_000).index(b"\r\n\r\n") > 200_000
    assert b"x" * 5000 in fake_faults.long_header(5000)
    assert len(fake_faults.big_event(10_000_000)) > 10_000_000
    assert b"retry-after: 7\r\n" in fake_faults.rate_limited("7")
    assert answer(chat_answer(usage=None)).count(b"usage") == 0
    assert len(responses_events(3)) == 3 + 8
    assert stream(*messages_events(2)).endswith(b"0\r\n\r\n")

"""One connection, over real sockets: heads, bodies, reuse, breaks, back-pressure, protocol switches."""

from __future__ import annotations

import asyncio

import pytest

from fake_answers import answer, chunk, chunked, head, stream_head
from fake_faults import BROKEN_BODY, NO_ANSWER, NO_BODY, NOT_HTTP, ODD_PLAIN, PLAIN, RACE, huge_head
from fake_provider import close, dribble, flood, hang, hold, reset
from penstock.upstream.client.connection import UpstreamError

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
BODY = PLAIN.partition(b"\r\n\r\n")[2]


async def test_an_answer_is_received_and_the_connection_goes_back(pool, provider, client):
    provider.always(PLAIN)
    connection = await pool.connect()
    for _ in range(3):
        kept = await client.ask(connection)
        assert (kept.content, kept.error, connection.busy) == (BODY, None, False)
        assert pool.take() is connection
    assert (provider.opened, len(provider.requests), connection.uses) == (1, 3, 3)


@pytest.mark.parametrize("name", [name for name in ODD_PLAIN if "HTML" not in name])
async def test_unusual_answers_are_passed_on(name, pool, provider, client):
    provider.script(*ODD_PLAIN[name])
    kept = await client.ask(await pool.connect())
    assert kept.error is None
    whole = b"".join(step for step in ODD_PLAIN[name] if isinstance(step, bytes))
    expected = BODY if not whole or BODY in whole else whole.rpartition(b"\r\n\r\n")[2]
    if "transfer-encoding" in whole.decode("latin-1"):
        expected = b"hello"
    assert kept.content == expected


@pytest.mark.parametrize("name", NO_BODY)
async def test_statuses_without_a_body_leave_the_connection_usable(name, pool, provider, client):
    provider.script(*NO_BODY[name]).script(PLAIN)
    connection = await pool.connect()
    assert (await client.ask(connection)).content == b""
    assert pool.take() is connection
    assert (await client.ask(connection)).content == BODY


async def test_an_answer_to_head_has_no_body(pool, provider, client):
    provider.script(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n").script(PLAIN)
    connection = await pool.connect()
    assert (await client.ask(connection, b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n", to_head=True)).content == b""
    assert (await client.ask(pool.take())).content == BODY


@pytest.mark.parametrize("name", NO_ANSWER)
async def test_a_connection_that_ends_before_the_head(name, pool, provider, client):
    provider.script(*NO_ANSWER[name])
    with pytest.raises(UpstreamError) as caught:
        await client.head(await pool.connect())
    assert (caught.value.kind, caught.value.reused) == ("broken", False)
    assert (pool.busy, pool.idle) == (0, 0)


@pytest.mark.parametrize("name", NOT_HTTP)
async def test_a_head_that_must_not_be_believed(name, pool, provider, client):
    provider.script(*NOT_HTTP[name])
    with pytest.raises(UpstreamError) as caught:
        await client.head(await pool.connect())
    assert caught.value.kind == "invalid"
    assert (pool.busy, pool.idle) == (0, 0)
    await provider.until_closed()


@pytest.mark.parametrize("name", BROKEN_BODY)
async def test_a_body_that_breaks_off(name, pool, provider, client):
    provider.script(*BROKEN_BODY[name])
    kept = await client.ask(await pool.connect())
    assert kept.error is not None
    assert kept.error.kind == ("invalid" if "chunk" in name and "closes" not in name else "broken")
    assert (pool.busy, pool.idle) == (0, 0)
    await provider.until_closed()


@pytest.mark.parametrize(("size", "kind"), [(60_000, None), (70_000, "invalid")])
async def test_heads_are_bounded(size, kind, make_pool, provider, client):
    provider.script(huge_head(size))
    pool = make_pool(provider.url, head_bytes=65_000)
    if kind is None:
        assert (await client.ask(await pool.connect())).content == b"{}"
    else:
        with pytest.raises(UpstreamError) as caught:
            await client.head(await pool.connect())
        assert caught.value.kind == kind


async def test_interim_answers_are_bounded_together_with_the_head(make_pool, provider, client):
    """Thousands of them in one piece: nothing recurses, and the bound counts them all."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    provider.script(interim * 4000 + PLAIN).script(interim * 6000 + PLAIN)
    pool = make_pool(provider.url, head_bytes=128 * 1024)
    connection = await pool.connect()
    assert (await client.ask(connection)).content == BODY
    with pytest.raises(UpstreamError) as caught:
        await client.head(pool.take())
    assert caught.value.kind == "invalid"


async def test_a_head_that_comes_byte_by_byte(pool, provider, client):
    provider.script(dribble(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + PLAIN))
    assert (await client.ask(await pool.connect())).content == BODY


async def test_bytes_beyond_the_body_end_the_connection(pool, provider, client):
    provider.script(answer(b"hello") + b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad")
    kept = await client.ask(await pool.connect())
    assert (kept.content, kept.error) == (b"hello", None)
    assert (pool.idle, pool.busy) == (0, 0)
    await provider.until_closed()


async def test_bytes_that_nobody_asked_for_end_the_connection(pool, provider, client):
    go_on = asyncio.Event()
    provider.script(PLAIN, hold(go_on), b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad", hang)
    await client.ask(await pool.connect())
    assert pool.idle == 1
    go_on.set()
    await provider.until_closed()
    assert (pool.take(), pool.busy) == (None, 0)


async def test_connection_close_is_the_last_answer(pool, provider, client):
    provider.script(answer(b"hello", 200, "connection: close"), hang)
    assert (await client.ask(await pool.connect())).content == b"hello"
    assert (pool.take(), pool.busy) == (None, 0)
    await provider.until_closed()


async def test_the_keep_alive_race_is_told_apart(pool, provider, client):
    provider.script(*RACE)
    connection = await pool.connect()
    await client.ask(connection)
    with pytest.raises(UpstreamError) as caught:
        await client.head(pool.take())
    assert (caught.value.kind, caught.value.reused) == ("broken", True)


async def test_an_answer_that_has_begun_is_no_keep_alive_race(pool, provider, client):
    provider.script(PLAIN).script(b"HTTP/1.1 20", close)
    await client.ask(await pool.connect())
    with pytest.raises(UpstreamError) as caught:
        await client.head(pool.take())
    assert not caught.value.reused


async def test_a_request_on_a_closed_connection_fails_as_the_provider_closing_does(pool, provider, client):
    provider.script(PLAIN)
    for used in (False, True):
        connection = await pool.connect()
        if used:
            await client.ask(connection)
            pool.take()
        connection.transport.close()
        for _ in range(2):
            with pytest.raises(UpstreamError) as caught:
                await client.head(connection)
            assert caught.value.kind == "broken"
            await client.soon(lambda: connection.lost)  # noqa: B023  it has ended before the next round
        assert caught.value.reused
    assert pool.busy == 0


async def test_abort_closes_at_once_and_nothing_is_told(pool, provider, client):
    provider.script(head(200, "content-length: 10") + b"hello", hang)
    connection = await pool.connect()
    kept = client.kept()
    await client.head(connection)
    connection.deliver(kept)
    connection.abort()
    await provider.until_closed()
    assert (kept.content, kept.ended, kept.error) == (b"hello", False, None)
    assert (pool.busy, pool.idle) == (0, 0)


async def test_fail_tells_whoever_waits(pool, provider, client):
    provider.script(hang).script(head(200, "content-length: 10") + b"hello", hang)
    connection = await pool.connect()
    waiting = connection.ask(GET)
    connection.fail(UpstreamError("timeout", "late"))
    with pytest.raises(UpstreamError, match="late"):
        await client.walked(_await(waiting))
    connection = await pool.connect()
    kept = client.kept()
    await client.head(connection)
    connection.deliver(kept)
    connection.fail(UpstreamError("timeout", "late"))
    assert str((await kept.over()).error) == "late"
    assert pool.busy == 0


async def _await(signal):
    return await signal


async def test_nothing_is_read_before_it_is_wanted(pool, provider, client):
    """Between the head and `deliver` reading stops, so an answer nobody takes does not fill the memory."""
    provider.script(head(200, "transfer-encoding: chunked"), flood(chunk(b"x" * 65536), 100), b"0\r\n\r\n")
    connection = await pool.connect()
    await client.head(connection)
    await asyncio.sleep(0.05)
    assert connection.loop_paused
    assert len(connection._buffer) <= 512 * 1024
    kept = client.kept()
    connection.deliver(kept)
    await kept.over()
    assert (len(kept.content), kept.error) == (100 * 65536, None)


async def test_a_slow_receiver_slows_the_provider_down(pool, provider, client):
    provider.script(stream_head(), flood(chunk(b"x" * 65536), 100), b"0\r\n\r\n")
    connection = await pool.connect()
    kept = client.kept()
    kept.on_body = connection.pause
    await client.head(connection)
    connection.deliver(kept)
    await client.soon(lambda: kept.content)
    await asyncio.sleep(0.05)
    assert len(kept.content) <= 512 * 1024
    kept.on_body = lambda: None
    connection.resume()
    await kept.over()
    assert (len(kept.content), kept.error) == (100 * 65536, None)


async def test_a_pause_while_what_came_with_the_head_is_delivered_holds(pool, provider, client):
    go_on = asyncio.Event()
    provider.script(stream_head() + chunk(b"first"), hold(go_on), flood(chunk(b"x" * 65536), 100), b"0\r\n\r\n")
    connection = await pool.connect()
    kept = client.kept()
    kept.on_body = connection.pause
    await client.head(connection)
    await asyncio.sleep(0.01)
    connection.deliver(kept)
    go_on.set()
    await asyncio.sleep(0.05)
    assert (connection.loop_paused, kept.content) == (True, b"first")
    kept.on_body = lambda: None
    connection.resume()
    assert len((await kept.over()).content) == 5 + 100 * 65536


@pytest.mark.parametrize("wire", [answer(b"hello"), head(200, "transfer-encoding: chunked") + chunked(b"hello")])
async def test_whoever_was_slow_does_not_slow_down_the_next_answer(wire, pool, provider, client):
    """The client's buffer is full when the last bytes come, as it often is; the connection is used again at once."""
    begin, end, rest = wire.partition(b"\r\n\r\n")
    connection = await pool.connect()
    for _ in range(3):
        go_on = asyncio.Event()
        provider.script(begin + end, hold(go_on), rest)
        kept = client.kept()
        kept.on_body = connection.pause
        await client.head(connection)
        connection.deliver(kept)
        go_on.set()
        assert (await kept.over()).content == b"hello"
        assert not connection.loop_paused
        connection = pool.take()
    assert provider.opened == 1


async def test_the_next_request_may_be_sent_from_within_the_end_of_an_answer(pool, provider, client):
    provider.always(PLAIN)
    connection = await pool.connect()
    contents: list[bytes] = []

    async def twice() -> None:
        for _ in range(3):
            await connection.ask(GET)
            kept = client.kept()
            connection.deliver(kept)
            assert kept.ended
            contents.append(kept.content)
            assert pool.take() is connection

    await client.walked(twice())
    assert contents == [BODY] * 3
    assert not connection.loop_paused


@pytest.mark.parametrize("steps", [(close,), (reset,)])
async def test_a_connection_that_is_lost_before_its_body_was_wanted(steps, pool, provider, client):
    provider.script(head(200, "content-length: 10") + b"hello", *steps)
    connection = await pool.connect()
    await client.head(connection)
    connection.resume()
    await client.soon(lambda: connection.lost)
    kept = client.kept()
    connection.deliver(kept)
    assert kept.error is not None
    assert kept.error.kind == "broken"


@pytest.mark.parametrize(("step", "whole"), [(close, True), (reset, False)])
async def test_a_body_until_close_is_whole_only_when_closed_in_good_order(step, whole, pool, provider, client):
    go_on = asyncio.Event()
    provider.script(head(200) + b"hello", hold(go_on), step)
    connection = await pool.connect()
    await client.head(connection)
    connection.resume()
    go_on.set()
    await client.soon(lambda: connection.lost)
    kept = client.kept()
    connection.deliver(kept)
    assert (kept.ended, kept.error is None) == (whole, whole)


class Taps:
    """Who writes a request body, as the connection knows it."""

    def __init__(self) -> None:
        self.paused: list[bool] = []

    def pause_writing(self) -> None:
        self.paused.append(True)

    def resume_writing(self) -> None:
        self.paused.append(False)


async def test_whoever_writes_a_body_is_told_that_the_provider_is_slow(pool, provider, client):
    go_on = asyncio.Event()
    provider.script(hold(go_on), PLAIN, early=True)
    connection = await pool.connect()
    waiting = connection.ask(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 20000000\r\n\r\n")
    taps = connection.upload = Taps()
    connection.transport.write(b"x" * 20_000_000)
    assert taps.paused == [True]
    go_on.set()
    await client.soon(lambda: taps.paused == [True, False])
    await client.walked(_await(waiting))


async def test_a_connection_on_which_a_body_is_still_written_is_not_used_again(pool, provider, client):
    """The next request would be taken for the rest of the body."""
    provider.script(answer(b"too large", 413), hang, early=True)
    connection = await pool.connect()
    connection.upload = Taps()
    kept = await client.ask(connection, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\npart")
    assert kept.content == b"too large"
    assert (pool.idle, pool.busy) == (0, 0)
    await provider.until_closed()


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"


async def test_after_a_switch_of_protocols_everything_goes_through(pool, provider, client):
    go_on = asyncio.Event()
    provider.script(SWITCH + b"first", hold(go_on), b"second", close)
    connection = await pool.connect()
    found = await client.head(connection)
    assert found.status == 101
    tunnel = client.kept()
    connection.switch(tunnel)
    assert tunnel.content == b"first"
    go_on.set()
    await tunnel.over()
    assert (tunnel.content, tunnel.ended, pool.busy) == (b"firstsecond", True, 0)


async def test_a_tunnel_whose_connection_was_lost_before_is_ended(pool, provider, client):
    provider.script(SWITCH, close)
    connection = await pool.connect()
    await client.head(connection)
    connection.resume()
    await client.soon(lambda: connection.lost)
    tunnel = client.kept()
    connection.switch(tunnel)
    assert tunnel.ended


async def test_a_tunnel_is_told_that_the_provider_is_slow(pool, provider, client):
    provider.script(SWITCH, hang)
    connection = await pool.connect()
    await client.head(connection)

    class Tunnel(client.kept, Taps):
        def __init__(self) -> None:
            super().__init__()
            self.paused = []

    tunnel = Tunnel()
    connection.switch(tunnel)
    connection.transport.write(b"x" * 20_000_000)
    await client.soon(lambda: tunnel.paused == [True, False])
    connection.abort()

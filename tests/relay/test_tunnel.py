"""The tunnel: bytes untouched both ways, the server's messages metered, and both sides closed when either is."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from fake_ends import KEY, parts_of
from guarded import IN, OUT, Bursar, guarded
from penstock.kit.errors import PenstockError
from penstock.relay.frames import Frames
from penstock.relay.outcome import OUT_OF_FUNDS
from penstock.relay.sweep import interrupt_all
from penstock.relay.tunnel import Tunnel, refuse_upgrade, session_ask, upgrade_lines
from penstock.upstream.wires.wire import Ask

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: abc=\r\n\r\n"
DONE = b'{"type":"response.done","response":{"usage":{"input_tokens":20,"output_tokens":10}}}'


def opens(*headers, line=b"GET /v1/realtime?model=gpt-4o-realtime", key=KEY):
    lines = (
        line + b" HTTP/1.1", b"host: gateway", b"authorization: Bearer " + key.encode(), b"connection: Upgrade", b"upgrade: websocket",
        b"sec-websocket-version: 13", b"sec-websocket-key: xyz==", *headers,
    )  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n\r\n"


def frame(text):
    return b"\x81" + (bytes((len(text),)) if len(text) < 126 else b"\x7e" + len(text).to_bytes(2, "big")) + text


@pytest.fixture
def joined(live):
    """A client and a provider with an open tunnel between them."""
    client, vendor = live.client(), live.vendor()
    assert client.says(opens(b"sec-websocket-protocol: realtime, openai-insecure-api-key." + KEY.encode())) == b""
    asked = vendor.hears()
    vendor.says(SWITCHED)
    status, headers, rest = parts_of(client.hears())
    assert (status, headers[b"upgrade"], headers[b"sec-websocket-accept"], rest) == (101, b"websocket", b"abc=", b"")
    return client, vendor, asked


async def test_the_provider_is_asked_to_switch_without_our_key(joined):
    _, _, asked = joined
    for line in (
        b"GET /v1/realtime?model=gpt-4o-realtime HTTP/1.1",
        b"connection: Upgrade",
        b"upgrade: websocket",
        b"sec-websocket-key: xyz==",
    ):
        assert line + b"\r\n" in asked
    assert b"sec-websocket-protocol: realtime\r\n" in asked and KEY.encode() not in asked
    assert b"authorization: Bearer sk-vendor\r\n" in asked


async def test_bytes_pass_both_ways_untouched(joined):
    client, vendor, _ = joined
    client.says(b"\x81\x85mask12345", b"\0" * 100_000)
    assert vendor.hears() == b"\x81\x85mask12345" + b"\0" * 100_000
    vendor.says(frame(b"hello"), b"\xff\xff not a frame")
    assert client.hears() == frame(b"hello") + b"\xff\xff not a frame"


async def test_what_looks_like_a_request_is_not_one(live, joined):
    client, vendor, _ = joined
    request = opens(line=b"GET /v1/files")
    assert client.says(request) == b"" and vendor.hears() == request


@pytest.mark.parametrize("who", ["client", "provider", "gateway"])
async def test_when_one_side_ends_so_does_the_other_and_the_session_is_charged(live, joined, who):
    client, vendor, _ = joined
    vendor.says(frame(DONE), frame(b'{"type":"response.text.delta","delta":"x"}'), frame(DONE))
    if who == "client":
        client.leaves()
    elif who == "provider":
        vendor.leaves()
    else:
        assert interrupt_all(live.plane) == 1
    await live.durable()
    assert (vendor.transport.is_closing() and client.transport.is_closing()) or client.transport.ended
    (row,) = live.charges()
    outcome = {"client": "client_gone", "provider": "complete", "gateway": "stopped"}[who]
    assert (row["wire"], row["outcome"], row["status"], row["input_tokens"], row["output_tokens"]) == ("realtime", outcome, 101, 40, 20)
    assert live.plane.holds.open == 0 and client.edge.active is None


async def test_a_provider_that_does_not_switch_has_answered(live):
    client, vendor = live.client(), live.vendor()
    client.says(opens())
    vendor.says(b"HTTP/1.1 401 No\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
    status, headers, body = parts_of(client.hears())
    assert (status, headers[b"connection"], body) == (401, b"close", b"{}")
    assert client.edge.tunnel is None and live.plane.books.depth == 0


async def test_what_the_provider_says_with_its_switch_is_not_lost(live):
    client, vendor = live.client(), live.vendor()
    client.says(opens())
    vendor.says(SWITCHED + frame(DONE))
    assert client.hears().endswith(frame(DONE))
    client.leaves()
    await live.durable()
    assert live.charges()[0]["output_tokens"] == 10


async def test_either_side_may_be_slow(joined):
    client, vendor, _ = joined
    client.edge.pause_writing()
    assert not vendor.transport.reading
    client.edge.resume_writing()
    assert vendor.transport.reading
    vendor.connection.pause_writing()
    assert not client.transport.reading
    vendor.connection.resume_writing()
    assert client.transport.reading


async def test_time_does_not_end_a_silent_session(live, joined):
    client, vendor, _ = joined
    live.pulse.tick += 10_000
    client.edge.sweep(live.pulse.tick)
    vendor.connection.pool.sweep()
    assert not client.transport.is_closing() and not vendor.transport.is_closing()


async def test_a_session_ends_when_uvicorn_stops(joined):
    client, vendor, _ = joined
    client.edge.shutdown()
    assert vendor.transport.aborted


# funds


@pytest.fixture
def guarded_session(rig):
    """A session under a guard, on two connections that nobody walks."""

    def make(guard):
        vendor, exchange = rig.vendor(), rig.exchange(b"GET /v1/realtime?model=gpt-realtime")
        answer = SimpleNamespace(connection=vendor.connection, head=rig.answered(SWITCHED, vendor))
        tunnel = Tunnel(exchange, answer, Ask(model="gpt-realtime", stream=True), guard)
        exchange.edge.transport.taken()
        return tunnel, vendor, exchange.edge.transport

    return make


SPENT = 20 * IN + 10 * OUT
"""What a `DONE` costs."""


async def test_a_session_ends_with_an_error_when_its_funds_have(guarded_session):
    guard, _ = guarded(2 * SPENT)
    tunnel, vendor, client = guarded_session(guard)
    vendor.says(frame(DONE))
    assert not tunnel.ended.done
    vendor.says(frame(DONE), frame(b"{}"))
    async with asyncio.timeout(5):
        while not tunnel.ended.done:  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0)
    assert tunnel.ended.value == OUT_OF_FUNDS and vendor.transport.aborted
    heard = client.taken()
    assert heard.startswith(frame(DONE) * 2 + frame(b"{}"))
    [message] = Frames().feed(heard.removeprefix(frame(DONE) * 2 + frame(b"{}")))
    assert json.loads(message)["type"] == "error" and json.loads(message)["error"]["code"] == "insufficient_funds"
    assert heard.endswith(b"\x88\x14\x03\xf0insufficient_funds")
    assert tunnel.usage()[0].output_tokens == 20


async def test_a_session_goes_on_when_there_is_more(guarded_session):
    bursar = Bursar()
    guard, hold = guarded(SPENT, more=bursar.more)
    tunnel, vendor, client = guarded_session(guard)
    vendor.says(frame(DONE))
    hold._funds.paid.amount += 100 * SPENT
    await bursar.answers()
    vendor.says(frame(DONE) * 3)
    assert client.taken() == frame(DONE) * 4 and not tunnel.ended.done
    assert hold.amount_nano > 4 * SPENT


async def test_an_end_waits_for_the_message_that_is_being_passed_on(guarded_session):
    bursar = Bursar()
    guard, _ = guarded(SPENT, more=bursar.more)
    tunnel, vendor, client = guarded_session(guard)
    vendor.says(frame(DONE) + frame(b"half")[:4])
    await bursar.answers(PenstockError("budget_exceeded", "The cap is used up."))
    assert not tunnel.ended.done
    vendor.says(frame(b"half")[4:])
    assert tunnel.ended.value == OUT_OF_FUNDS
    assert client.taken().startswith(frame(DONE) + frame(b"half") + b"\x81")


async def test_an_answer_that_comes_too_late_changes_nothing(guarded_session):
    bursar = Bursar()
    guard, _ = guarded(SPENT, more=bursar.more)
    tunnel, vendor, client = guarded_session(guard)
    vendor.says(frame(DONE))
    vendor.leaves()
    heard = client.taken()
    await bursar.answers(PenstockError("insufficient_funds", "There is no more."))
    assert tunnel.ended.value == "complete" and client.taken() == b"" and heard == frame(DONE)


async def test_the_usage_so_far_has_what_is_being_said(guarded_session):
    tunnel, vendor, _ = guarded_session(None)
    assert tunnel.so_far().output_tokens == 0
    sound = b'{"type":"response.output_audio.delta","delta":"%b"}' % (b"QUJD" * 8_000)
    vendor.says(frame(DONE), frame(b'{"type":"response.created","response":{}}'), b"\x81\x7f" + len(sound).to_bytes(8, "big") + sound)
    usage = tunnel.so_far()
    assert (usage.input_tokens, usage.output_tokens, usage.output_audio_tokens) == (20, 10, 10)


def test_responses_are_not_served_over_a_websocket(rig):
    status, headers, body = parts_of(rig.client().says(opens(line=b"GET /v1/responses")))
    assert (status, headers[b"connection"]) == (426, b"close") and b"upgrade_required" in body
    plain = rig.exchange(b"GET /v1/responses")
    refuse_upgrade(plain)
    plain.upgrade = True
    with pytest.raises(PenstockError):
        refuse_upgrade(plain)


@pytest.mark.parametrize(("query", "model"), [(b"?model=a%2Fb", "a/b"), (b"?a=b", None), (b"", None), (b"?model=a&b=c", "a")])
def test_the_model_is_in_the_query(rig, query, model):
    ask = session_ask(rig.exchange(b"GET /v1/realtime" + query))
    assert (ask.model, ask.stream) == (model, True)


def test_two_models_are_one_too_many(rig):
    """The provider might take the other one."""
    rig.know(KEY, models=("cheap",))
    status, _, body = parts_of(rig.client().says(opens(line=b"GET /v1/realtime?model=cheap&model=dear")))
    assert status == 400 and b"invalid_request" in body


def test_a_key_of_the_clients_own_goes_on(rig):
    offered = (b"sec-websocket-protocol", b"realtime, openai-insecure-api-key.own")
    exchange = rig.exchange(b"GET /v1/realtime", offered, (b"sec-websocket-extensions", b"permessage-deflate"))
    assert b"openai-insecure-api-key.own" in upgrade_lines(exchange, own_key=True)
    assert b"insecure" not in upgrade_lines(exchange, own_key=False)
    assert b"deflate" not in upgrade_lines(exchange, own_key=True)

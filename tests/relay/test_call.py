"""The call: what the provider is sent, and when it is sent again."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_answers import answer as real_answer
from fake_ends import CHAT, KEY, Rig, answer, ask, parts_of
from fake_provider import refusing_port
from penstock.relay.events import Events
from penstock.relay.faults import RETRIED
from penstock.relay.splice import Plain

ANYONES = ask(line=b"POST /v1/new", body=CHAT.replace(b"gpt-4o", b"anybody"))
"""A request that two of the channels could answer."""


@pytest.fixture
def rig(make_rig):
    rig = make_rig()
    rig.trust()
    return rig


async def answered(client):
    """What the client hears when it does."""
    heard = b""
    async with asyncio.timeout(5):
        while not heard.endswith((b"}", b"0\r\n\r\n")):
            await asyncio.sleep(0.001)
            heard += client.hears()
    return parts_of(heard)


# the request


def sent(rig, request, channel=0):
    """What the provider hears: its lines, and what follows them."""
    client, vendor = rig.client(), rig.vendor(channel)
    client.says(request)
    head, _, body = vendor.hears().partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


def test_the_request_goes_on_as_it_came_with_the_providers_credential(rig):
    lines, body = sent(rig, ask(b"x-odd: 1", b"user-agent: an SDK"))
    assert lines == [
        b"POST /v1/chat/completions HTTP/1.1", b"host: api.openai.com", b"accept-encoding: identity", b"authorization: Bearer sk-vendor",
        b"x-odd: 1", b"user-agent: an SDK", b"content-type: application/json", b"content-length: %d" % len(CHAT),
    ]  # fmt: skip
    assert body == CHAT


def test_another_provider_is_called_its_own_way(rig):
    lines, _ = sent(rig, ask(line=b"POST /v1/messages", body=b'{"model":"claude","max_tokens":5,"messages":[]}'), 1)
    assert lines[:2] == [b"POST /v1/messages HTTP/1.1", b"host: api.anthropic.com"]
    assert b"x-api-key: sk-ant-vendor" in lines and b"anthropic-version: 2023-06-01" in lines
    assert not any(KEY.encode() in line for line in lines)


@pytest.mark.parametrize(("line", "body", "length"), [
    (b"GET /v1/files", b"", None), (b"DELETE /v1/files/a", b"", None), (b"POST /v1/new", b"", b"0"), (b"PUT /v1/new", b"", b"0"),
    (b"DELETE /v1/new", b"{}", b"2"),
])  # fmt: skip
def test_a_length_is_sent_where_a_body_may_be(rig, line, body, length):
    lines, rest = sent(rig, ask(line=line, body=body))
    assert [item[16:] for item in lines if item.startswith(b"content-length: ")] == ([] if length is None else [length])
    assert rest == body


def test_a_key_of_ours_in_the_query_stays_here(rig):
    lines, _ = sent(rig, ask(line=b"GET /v1/files?a=b&key=" + KEY.encode() + b"&c=d", body=b""))
    assert lines[0] == b"GET /v1/files?a=b&c=d HTTP/1.1"


def test_a_credential_of_the_clients_own_goes_on_as_it_came(make_rig):
    rig = make_rig(openai_api_key=None, anthropic_api_key=None)
    rig.trust()
    lines, _ = sent(rig, ask(b"x-api-key: own", line=b"GET /v1/files?key=own", body=b"", key="own"))
    assert lines[0] == b"GET /v1/files?key=own HTTP/1.1"
    assert b"authorization: Bearer own" in lines and b"x-api-key: own" in lines


def test_a_body_that_streams_keeps_its_framing(rig):
    upload = ask(b"content-encoding: gzip", line=b"POST /v1/new", body=b"hello").replace(b"application/json", b"text/plain")
    lines, body = sent(rig, upload)
    assert b"content-length: 5" in lines and b"content-encoding: gzip" in lines and body == b"hello"
    lines, body = sent(rig, upload.replace(b"content-length: 5", b"transfer-encoding: chunked")[:-5] + b"5\r\nhello\r\n0\r\n\r\n")
    assert b"transfer-encoding: chunked" in lines and body == b"5\r\nhello\r\n0\r\n\r\n"


def test_a_renamed_model_is_all_that_changes(make_rig):
    rig = make_rig(api_model_rewrite="fast=>gpt-4o")
    rig.trust()
    lines, body = sent(rig, ask(body=b'{ "model" : "fast", "x": 1.50, "messages":[]}'))
    assert body == b'{ "model" : "gpt-4o", "x": 1.50, "messages":[]}'
    assert b"content-length: %d" % len(body) in lines


# the answer


@pytest.mark.parametrize(("head", "kind"), [
    (b"200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked", Events),
    (b"200 OK\r\nContent-Type: Text/Event-Stream", Events),
    (b"200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked", Plain),
    (b"429 No\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked", Plain),
    (b"200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked", Plain),
    (b"200 OK\r\ntransfer-encoding: chunked", Plain),
])  # fmt: skip
def test_event_streams_are_told_by_what_they_say_they_are(rig, head, kind):
    client, vendor = rig.client(), rig.vendor()
    client.says(ask())
    vendor.says(b"HTTP/1.1 " + head + b"\r\n\r\n")
    assert type(vendor.connection._receiver) is kind


def test_a_protocol_switch_that_nobody_asked_for_is_refused(rig):
    client, vendor = rig.client(), rig.vendor()
    client.says(ask())
    vendor.says(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
    status, _, body = parts_of(client.hears())
    assert status == 502 and json.loads(body)["error"]["code"] == "upstream_invalid"
    assert vendor.transport.aborted


# once more


@pytest.mark.parametrize("status", [400, 404, 422, *sorted(RETRIED - {404})])
def test_what_may_be_better_elsewhere_is_asked_elsewhere(rig, status):
    client, first, second = rig.client(), rig.vendor(0), rig.vendor(1)
    client.says(ANYONES)
    assert first.hears() and not second.hears()
    first.says(answer(b"{}", status=status))
    if status not in RETRIED - {404}:
        assert second.hears() == b"" and parts_of(client.hears())[0] == status
        return
    assert second.hears().startswith(b"POST /v1/new ") and first.transport.aborted
    second.says(answer(b"{}", status=status))
    assert parts_of(client.hears())[0] == status


@pytest.mark.parametrize("settings", [{"retries": 0}, {"retry_within_s": 0}])
def test_settings_bound_it(make_rig, settings):
    rig = make_rig(**settings)
    rig.trust()
    client, first, second = rig.client(), rig.vendor(0), rig.vendor(1)
    client.says(ANYONES)
    first.says(answer(b"{}", status=503))
    assert second.hears() == b"" and parts_of(client.hears())[0] == 503


def test_a_body_that_is_not_kept_is_sent_once(rig):
    client, first, second = rig.client(), rig.vendor(0), rig.vendor(1)
    client.says(ask(line=b"POST /v1/new", body=b"hello").replace(b"application/json", b"text/plain"))
    first.says(answer(b"{}", status=503))
    assert second.hears() == b"" and parts_of(client.hears())[0] == 503


def test_an_answer_that_began_is_not_asked_for_again(rig):
    client, first, second = rig.client(), rig.vendor(0), rig.vendor(1)
    first.connection.uses = 5
    client.says(ANYONES)
    first.says(b"HTTP/1.1 200")
    first.leaves()
    assert second.hears() == b"" and parts_of(client.hears())[0] == 502


async def test_a_kept_connection_that_was_just_closed_is_replaced(open_rig, provider):
    live = await open_rig(openai_base_url=provider.url + "/v1")
    provider.script(real_answer(json.loads('{"usage":{"prompt_tokens":9,"completion_tokens":5}}')))
    client, vendor = live.client(), live.vendor()
    vendor.connection.uses = 1
    client.says(ask())
    assert vendor.hears().endswith(CHAT)
    vendor.leaves()
    status, _, _ = await answered(client)
    assert status == 200 and provider.requests[0].body == CHAT
    assert [(row["attempts"], row["output_tokens"]) for row in live.charges()] == [(1, 5)]
    for channel in live.plane.channels:
        channel.pool.close()


async def test_a_fresh_connection_that_is_closed_is_not_replaced(open_rig, provider):
    live = await open_rig(openai_base_url=provider.url + "/v1")
    client, vendor = live.client(), live.vendor()
    client.says(ask())
    vendor.leaves()
    assert (await answered(client))[0] == 502
    assert provider.requests == []


async def test_a_provider_that_cannot_be_reached(open_rig):
    with refusing_port() as port:
        live = await open_rig(openai_base_url=f"http://127.0.0.1:{port}/v1", anthropic_base_url=f"http://127.0.0.1:{port}")
        for request in (ask(), ANYONES):
            client = live.client()
            client.says(request)
            status, _, body = await answered(client)
            assert status == 502 and b"upstream_refused" in body
    assert live.plane.holds.open == 0 and live.charges() == []


async def test_the_next_channel_is_asked_when_one_cannot_be_reached(open_rig):
    with refusing_port() as port:
        live = await open_rig(openai_base_url=f"http://127.0.0.1:{port}/v1")
        client, vendor = live.client(), live.vendor(1)
        client.says(ANYONES)
        async with asyncio.timeout(5):
            while not vendor.connection.waiting:  # noqa: ASYNC110  nothing tells
                await asyncio.sleep(0.001)
        vendor.says(answer(b"{}", status=404))
        assert parts_of(client.hears())[0] == 404


async def test_a_client_that_leaves_while_a_connection_is_made_is_not_charged(open_rig, provider):
    live = await open_rig(openai_base_url=provider.url + "/v1")
    client = live.client()
    client.says(ask())
    client.leaves()
    assert live.plane.holds.open == 0
    async with asyncio.timeout(5):
        while live.plane.channels[0].pool._connecting:  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.001)
    assert (live.plane.books.depth, provider.requests) == (0, [])
    for channel in live.plane.channels:
        channel.pool.close()
    await asyncio.sleep(0)


# what a provider is promised, it gets: a kept connection that was sent less would take the next client's request for the rest


def whole(data: bytes) -> bool:
    """The bytes are requests, each with exactly the body that its head promises."""
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        if not end:
            return False
        lines = head.lower().split(b"\r\n")
        if b"transfer-encoding: chunked" in lines:
            size = -1
            while size:
                line, end, data = data.partition(b"\r\n")
                if not end or len(data) < (size := int(line, 16)) + 2:
                    return False
                data = data[size + 2 :]
        else:
            length = sum(int(line[16:]) for line in lines if line.startswith(b"content-length: "))
            if len(data) < length:
                return False
            data = data[length:]
    return True


HEADERS = (
    b"connection: upgrade", b"connection: close", b"upgrade: websocket", b"upgrade: h2c", b"expect: 100-continue",
    b"content-encoding: identity", b"x-odd: 1",
)  # fmt: skip
KINDS = st.sampled_from((b"application/json", b"text/plain", b"multipart/form-data; boundary=b", b"application/x-www-form-urlencoded"))
LINES = st.sampled_from((
    b"POST /v1/chat/completions", b"POST /v1/new", b"GET /v1/new", b"PUT /v1/files", b"DELETE /v1/new", b"HEAD /v1/new",
    b"GET /v1/realtime?model=m", b"POST /v1/audio/transcriptions",
))  # fmt: skip
MODEL = b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n'
BODIES = st.sampled_from((CHAT, b"", b"x" * 40, MODEL, b"model=m&a=b", CHAT.ljust(70_000)))


@st.composite
def requests(draw):
    """A request that may be cut short, in pieces."""
    body = draw(BODIES)
    headers = draw(st.lists(st.sampled_from(HEADERS), max_size=3, unique=True))
    data = ask(*headers, line=draw(LINES), body=body).replace(b"application/json", draw(KINDS))
    if draw(st.booleans()):
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        data = data[: len(data) - len(body)].replace(b"content-length: %d" % len(body), b"transfer-encoding: chunked") + chunks
    data = data[: len(data) - draw(st.sampled_from((0, 0, 0, 1, 30)))]
    at = draw(st.integers(0, len(data)))
    return [piece for piece in (data[:at], data[at:]) if piece]


@given(
    asked=st.lists(requests(), min_size=1, max_size=3), early=st.booleans(), status=st.sampled_from((200, 404, 500)), leaves=st.booleans()
)
@settings(max_examples=400, deadline=None)
def test_a_connection_that_is_kept_was_sent_whole_requests(rig_of_module, asked, early, status, leaves):
    rig = rig_of_module
    client, vendors = rig.client(), [rig.vendor(channel) for channel in (0, 0, 0, 1, 1, 1)]
    heard = dict.fromkeys(range(6), b"")
    for pieces in asked:
        for number, piece in enumerate(pieces):
            client.says(piece)
            for place, vendor in enumerate(vendors):
                heard[place] += vendor.hears()
                if vendor.connection.waiting and (early or number == len(pieces) - 1):
                    vendor.says(answer(b"" if b"HEAD " in heard[place] else b"{}", status=status))
    if leaves:
        client.leaves()
    for place, vendor in enumerate(vendors):
        heard[place] += vendor.hears()
        if not vendor.transport.is_closing() and not vendor.connection.busy:
            assert whole(heard[place])
    for channel in rig.plane.channels:
        channel.pool._idle.clear()
        channel.pool._all.clear()


@pytest.fixture(scope="module")
def rig_of_module(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("call"))
    rig.trust()
    return rig

"""Known heads: a shortcut past the parser that must never read a request otherwise than the parser does."""

from __future__ import annotations

import asyncio
import gzip
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fake_ends import CHAT, KEY, Rig, answer, ask, parts_of
from penstock.relay.edge import STRANGERS
from penstock.relay.known import HEAD_LIMIT, remember

FORM = b"content-type: multipart/form-data; boundary=json"
SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nhost: gateway\r\n\r\n"


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("known"))
    rig.trust()
    return rig


@pytest.fixture(scope="module")
def known(rig):
    """The head of `ask()`."""
    client = rig.client()
    rig.vendor()
    client.says(ask())
    return client.edge._known


HEAD = ask()[: -len(CHAT)]
DIGITS = slice(HEAD.index(b"content-length: ") + 16, len(HEAD) - 4)


# what is taken as known


@given(body=st.binary(max_size=2000))
def test_the_same_head_with_any_body_is_known(known, body):
    assert known.body(ask(body=body)) == body


@given(at=st.integers(0, len(HEAD) - 1), byte=st.integers(0, 255))
@settings(max_examples=500)
def test_a_head_with_any_other_byte_is_not(known, at, byte):
    changed = HEAD[:at] + bytes((byte,)) + HEAD[at + 1 :]
    body = known.body(changed + CHAT)
    assert body == (CHAT if int(changed == HEAD) else None)


@given(at=st.integers(0, len(HEAD)), more=st.binary(min_size=1, max_size=4))
@settings(max_examples=500)
def test_a_head_with_more_bytes_is_not(known, at, more):
    changed = HEAD[:at] + more + HEAD[at:]
    body = known.body(changed + CHAT)
    if body is not None:  # zeros before the digits mean the same to the parser
        digits = changed[DIGITS.start : changed.index(b"\r", DIGITS.start)]
        assert changed[: DIGITS.start] == HEAD[: DIGITS.start] and int(digits) == len(CHAT) and body == CHAT


@given(at=st.integers(0, len(HEAD) - 1), less=st.integers(1, 50))
def test_a_head_with_fewer_bytes_is_not(known, at, less):
    assert known.body(HEAD[:at] + HEAD[at + less :] + CHAT) is None


@given(digits=st.text("0123456789 +-,;xX_\t.eE\u0663", max_size=9))
def test_only_digits_that_say_how_long_the_body_is_are_a_length(known, digits):
    written = digits.encode()
    body = known.body(HEAD[: DIGITS.start] + written + HEAD[DIGITS.stop :] + CHAT)
    assert body == (CHAT if written.isdigit() and int(written) == len(CHAT) and len(written) <= 6 else None)


@pytest.mark.parametrize("length", ["N, N", "+N", " N", "N ", "N\t", "N\r\ncontent-length: N", "N\r\ntransfer-encoding: chunked"])
def test_every_other_way_to_write_a_length_is_left_to_the_parser(known, length):
    written = length.replace("N", str(len(CHAT))).encode()
    assert known.body(HEAD[: DIGITS.start] + written + HEAD[DIGITS.stop :] + CHAT) is None


def test_more_or_less_than_one_request_is_left_to_the_parser(known):
    whole = ask()
    assert known.body(whole) == CHAT
    for data in (whole + whole, whole + b"\r\n", whole + SMUGGLED, whole[:-1], HEAD, HEAD[:-1], HEAD[: DIGITS.start], b""):
        assert known.body(data) is None


# what is remembered


def remembered(rig, *packets):
    client = rig.client()
    for packet in packets:
        vendor = rig.vendor()
        client.says(packet)
        if vendor.connection.waiting:
            vendor.says(answer(status=404))
    return client.edge._known


def test_what_is_remembered_says_what_the_head_says(rig):
    found = remembered(rig, ask(b"x-odd: 1", line=b"POST /v1/embeddings?a=b"))
    assert (found.target.path, found.target.query) == ("/v1/embeddings", b"a=b")
    assert (b"x-odd", b"1") in found.headers
    assert b"x-odd: 1\r\n" in found.sifted.forward and found.sifted.credentials == [KEY.encode()]


NOT_REMEMBERED = {
    "a request in two pieces": [ask()[:50], ask()[50:]],
    "two requests at once": [ask() + ask()],
    "a request and a half": [ask() + ask()[:9]],
    "a request without a length": [b"GET /v1/files HTTP/1.1\r\nhost: gateway\r\n\r\n"],
    "chunks": [ask().replace(b"content-length: %d" % len(CHAT), b"transfer-encoding: chunked").replace(CHAT, b"0\r\n\r\n")],
    "the last request": [ask(b"connection: close")],
    "HTTP/1.0": [ask().replace(b"HTTP/1.1", b"HTTP/1.0")],
    "a body that is waited for": [ask(b"expect: 100-continue")],
    "an empty body that is waited for": [ask(b"expect: 100-continue", body=b"")],
    "a form": [ask(FORM).replace(b"content-type: application/json\r\n", b"")],
    "an empty form": [ask(FORM, body=b"").replace(b"content-type: application/json\r\n", b"")],
    "an empty upload": [ask(body=b"").replace(b"application/json", b"application/octet-stream")],
    "a compressed body": [ask(b"content-encoding: gzip", body=gzip.compress(CHAT))],
    "a long head": [ask(b"x-odd: " + b"x" * HEAD_LIMIT)],
    "a length with blanks behind it": [ask().replace(b"\r\n\r\n", b" \r\n\r\n")],
    "an offer of another protocol": [ask(b"connection: upgrade, http2-settings", b"upgrade: h2c", b"http2-settings: AAMAAABkAAQAAP__")],
    "the control plane": [b"GET /healthz HTTP/1.1\r\nhost: gateway\r\ncontent-length: 0\r\n\r\n"],
    "nonsense": [b"nonsense\r\n\r\n"],
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in NOT_REMEMBERED if name != "the control plane"])
def test_what_is_not_of_the_simple_kind_is_not_remembered(rig, name):
    assert remembered(rig, *NOT_REMEMBERED[name]) is None


def test_an_empty_form_is_not_mistaken_for_json(make_rig):
    """Read as JSON, the form that follows would name no model, and its key would open every one."""
    rig = make_rig()
    rig.trust()
    rig.know("sk-" + "b" * 48, models=("cheap",))
    form = b'--json\r\ncontent-disposition: form-data; name="model"\r\n\r\ndear\r\n--json--\r\n'
    heads = {"line": b"POST /v1/new/thing", "key": "sk-" + "b" * 48}
    empty, full = (ask(FORM, body=body, **heads).replace(b"content-type: application/json\r\n", b"") for body in (b"", form))
    client, vendor = rig.client(), rig.vendor()
    client.says(empty)
    assert vendor.hears().startswith(b"POST /v1/new/thing")
    vendor.says(answer(status=404))
    client.hears()
    status, _, body = parts_of(client.says(full))
    assert (status, vendor.hears()) == (403, b"") and b"model_not_allowed" in body


def test_a_client_whose_heads_always_differ_is_not_remembered_forever(rig):
    heads = [ask(b"x-odd: %d" % number) for number in range(20)]
    found = remembered(rig, *heads)
    assert (b"x-odd", b"%d" % STRANGERS) in found.headers


def test_nothing_is_remembered_of_a_body_that_is_not_there(rig):
    exchange = rig.exchange(body=None)
    assert remember(ask(), exchange) is None
    exchange.body = b"other"
    assert remember(ask(), exchange) is None
    assert remember(b"", exchange) is None


# the shortcut and the parser

LENGTH = b"content-length: %d" % len(CHAT)
WHOLE = [
    ask(),
    ask(body=b'{"model":"m"}'),
    ask(b"x-odd: 1"),
    ask(line=b"OPTIONS /v1/models", body=b""),
    ask(line=b"OPTIONS /v1/models", body=b"rest"),
    ask(body=b"not json"),
    ask(key="sk-nobody"),
    ask(b"connection: close"),
    ask(b"expect: 100-continue"),
    ask().replace(b"HTTP/1.1", b"HTTP/1.0"),
    ask().replace(LENGTH, b"content-length: 000%d" % len(CHAT)),
    ask().replace(LENGTH, b"content-length: +%d" % len(CHAT)),
    ask().replace(LENGTH, LENGTH + b"\r\n" + LENGTH),
    ask().replace(LENGTH, LENGTH + b", %d" % len(CHAT)),
    ask().replace(LENGTH, LENGTH + b" "),
    ask().replace(LENGTH, b"content-length:\t%d" % len(CHAT)),
    ask().replace(LENGTH, LENGTH + b"\r\ntransfer-encoding: chunked"),
    ask().replace(LENGTH, b"content-length: 0"),
    ask().replace(LENGTH, b"content-length: 999"),
    ask().replace(LENGTH, b"transfer-encoding: chunked").replace(CHAT, b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHAT), CHAT)),
    ask(body=CHAT.ljust(70_000)),
    ask(FORM, line=b"POST /v1/new").replace(b"content-type: application/json\r\n", b""),
    ask(FORM, line=b"POST /v1/new", body=b"").replace(b"content-type: application/json\r\n", b""),
    ask(b"connection: upgrade", b"upgrade: h2c"),
    b"GET /v1/files HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer %b\r\n\r\n" % KEY.encode(),
    SMUGGLED,
    b"\r\n",
    b"nonsense",
]  # fmt: skip
PACKETS = st.one_of(
    st.sampled_from(WHOLE),
    st.lists(st.sampled_from(WHOLE), min_size=2, max_size=3).map(b"".join),
    st.builds(lambda whole, at: whole[: at % len(whole)], st.sampled_from(WHOLE), st.integers(1, 300)),
    st.builds(lambda whole, at: whole[at % len(whole) :], st.sampled_from(WHOLE), st.integers(1, 300)),
    st.builds(lambda at, byte: ask()[:at] + bytes((byte,)) + ask()[at + 1 :], st.integers(0, len(HEAD) - 1), st.integers(0, 255)),
)
IDS = re.compile(rb"req_[0-9a-f]+")


def told(rig, packets, *, shortcut):
    """Everything that the provider and the client are told when these packets are sent, one by one."""
    client, story = rig.client(), []
    for packet in packets:
        if not shortcut:
            client.edge._known = None
        vendor = rig.vendor()
        shown = client.says(packet)
        while vendor.connection.waiting:
            story.append(vendor.hears())
            vendor.says(answer(status=404))
            shown += client.hears()
            if not rig.plane.channels[0].pool.idle:
                break
        story += [vendor.hears(), IDS.sub(b"req", shown)]
        if vendor.connection in rig.plane.channels[0].pool._idle:
            rig.plane.channels[0].pool.forget(vendor.connection)
            rig.plane.channels[0].pool._idle.clear()
            rig.plane.channels[0].pool._all.clear()
    transport = client.transport
    return [*story, transport.closed, transport.ended, transport.aborted, client.edge._deaf, client.edge._in_head, client.edge._in_body]


@given(packets=st.lists(PACKETS, min_size=1, max_size=5))
@example([ask(), ask()])
@example([ask(), b"\r", ask()])
@example([ask(), ask()[:60], ask(), ask()])
@example([ask(), ask().replace(LENGTH, b"content-length: 999"), ask()])
@example([ask(), ask() + ask()])
@example([ask(), ask(b"connection: close"), ask()])
@example([ask(), ask(b"expect: 100-continue"), ask()])
@example([ask(), ask(b"connection: upgrade", b"upgrade: h2c"), ask()])
@settings(max_examples=400, deadline=None)
def test_with_the_shortcut_and_without_it_the_same_is_read(rig, packets):
    assert told(rig, [ask(), *packets], shortcut=True) == told(rig, [ask(), *packets], shortcut=False)


def test_a_known_head_does_not_lift_the_limit_of_bodies(make_rig):
    rig = make_rig(body_limit=1024)
    rig.trust()
    client, vendor = rig.client(), rig.vendor()
    client.says(ask())
    vendor.says(answer(status=404))
    vendor.hears()
    client.hears()
    assert parts_of(client.says(ask(body=CHAT.ljust(1025))))[0] == 413
    assert vendor.hears() == b""


async def test_a_known_head_behind_the_control_plane_is_left_to_another_connection(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask())
    vendor.says(answer(status=404))
    vendor.hears()
    client.hears()
    client.says(b"GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n", ask())
    async with asyncio.timeout(5):
        while live.state.tasks:  # noqa: ASYNC110  uvicorn's, nothing tells
            await asyncio.sleep(0)
    status, headers, body = parts_of(client.hears())
    assert (status, headers[b"connection"], body) == (200, b"close", b'{"alive":true}')
    assert vendor.hears() == b"" and client.transport.closed


def test_a_head_that_comes_while_another_is_half_read_belongs_to_it(rig):
    """The bytes of a whole request may be the body of another one."""
    client, vendor = rig.client(), rig.vendor()
    client.says(ask())
    vendor.says(answer(status=404))
    vendor.hears()
    client.hears()
    inner = ask()
    outer = ask(b"x-odd: 1", body=b"{" + inner)
    assert client.says(outer[: -len(inner)]) == b""
    status, _, body = parts_of(client.says(inner))
    assert (status, vendor.hears()) == (400, b"") and b"invalid_json" in body

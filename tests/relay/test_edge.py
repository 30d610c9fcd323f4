"""The edge: what it needs of uvicorn, what it bounds, and what it does when a client is slow, silent or gone."""

from __future__ import annotations

import ast
import asyncio
import inspect

import pytest
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from fake_ends import CHAT, KEY, FakeTransport, answer, ask, parts_of
from penstock.relay import edge as module
from penstock.relay import turns
from penstock.relay.edge import Edge

# the contract with uvicorn

METHODS = {
    "connection_made": ["transport"],
    "connection_lost": ["exc"],
    "data_received": ["data"],
    "eof_received": [],
    "on_message_begin": [],
    "on_url": ["url"],
    "on_header": ["name", "value"],
    "on_headers_complete": [],
    "on_body": ["body"],
    "on_message_complete": [],
    "on_response_complete": [],
    "pause_writing": [],
    "resume_writing": [],
    "shutdown": [],
    "timeout_keep_alive_handler": [],
    "send_400_response": ["msg"],
    "handle_websocket_upgrade": [],
    "_unset_keepalive_if_required": [],
    "_get_upgrade": [],
    "_should_upgrade": [],
    "_should_upgrade_to_ws": [],
    "_unsupported_upgrade_warning": [],
    "_start_asgi_task": ["cycle", "app"],
}
"""Every method of uvicorn's protocol. One more, or one with other arguments, may mean that it reads requests in another way."""
USED = {
    "app_state", "connections", "cycle", "expect_100_continue", "flow", "headers", "parser", "server_state", "timeout_keep_alive_task",
    "transport", "url",
}  # fmt: skip
"""Every attribute of a connection that is uvicorn's and used by us."""


def names_used() -> set[str]:
    """What the two files that know uvicorn take from `self`."""
    trees = [ast.parse(inspect.getsource(part)) for part in (module, turns)]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    return {node.attr for node in nodes if node.value.id == "self"}


def test_uvicorns_protocol_has_the_methods_that_we_know():
    found = {
        name: [parameter for parameter in inspect.signature(method).parameters if parameter != "self"]
        for name, method in vars(HttpToolsProtocol).items()
        if inspect.isfunction(method) and name != "__init__"
    }
    assert found == METHODS
    made_with = list(inspect.signature(HttpToolsProtocol.__init__).parameters)
    assert made_with == ["self", "config", "server_state", "app_state", "_loop"]


@pytest.mark.interpreted
def test_every_attribute_that_we_use_is_uvicorns_or_ours(rig):
    ours = set(Edge.__slots__) | {name for name in (*vars(Edge), *vars(turns.Turns)) if not name.startswith("__")}
    theirs = HttpToolsProtocol(rig.config, rig.state, {"plane": rig.plane}, rig.loop)
    theirs.connection_made(FakeTransport())
    theirs.on_message_begin()
    assert names_used() - ours - set(METHODS) == USED
    assert {name for name in USED if not hasattr(theirs, name)} == set()
    assert {name for name in Edge.__slots__ if hasattr(theirs, name)} == set(), "an attribute of ours has a name that uvicorn uses"


def test_uvicorns_other_parts_have_what_we_use():
    cycle = ast.unparse(ast.parse(inspect.getsource(RequestResponseCycle)))
    for name in ("response_complete", "keep_alive", "more_body"):
        assert f"self.{name} = " in cycle
    state = ServerState()
    assert (state.connections, state.tasks, state.total_requests) == (set(), set(), 0)
    assert all(callable(getattr(FlowControl, name)) for name in ("pause_reading", "resume_reading", "pause_writing", "resume_writing"))
    assert "self.connections.add(self)" in inspect.getsource(HttpToolsProtocol.connection_made)
    assert "self.connections.discard(self)" in inspect.getsource(HttpToolsProtocol.connection_lost)
    assert httptools_impl.httptools.HttpRequestParser is module.httptools.HttpRequestParser


async def run_to_the_end(rig):
    """Let the control plane answer."""
    async with asyncio.timeout(5):
        while rig.state.tasks:  # noqa: ASYNC110  uvicorn's, nothing tells
            await asyncio.sleep(0)


HEALTH = b"GET /healthz?a=b HTTP/1.1\r\nhost: gateway\r\n\r\n"


async def test_the_control_plane_is_uvicorns_from_the_head_on(live):
    client = live.client()
    client.says(HEALTH[:20], HEALTH[20:])
    await run_to_the_end(live)
    status, _, body = parts_of(client.hears())
    assert (status, body) == (200, b'{"alive":true}')
    assert client.edge.scope["path"] == "/healthz" and client.edge.scope["query_string"] == b"a=b"
    assert client.edge.scope["headers"] == [(b"host", b"gateway")]
    assert client.edge.timeout_keep_alive_task is not None
    client.says(HEALTH)
    assert client.edge.timeout_keep_alive_task is None
    await run_to_the_end(live)
    assert parts_of(client.hears())[0] == 200
    client.leaves()


async def test_a_body_of_the_control_plane_arrives(live):
    client = live.client()
    client.says(b"POST /healthz HTTP/1.1\r\nhost: gateway\r\ncontent-length: 5\r\n\r\nhel", b"lo")
    await run_to_the_end(live)
    assert parts_of(client.hears())[0] == 405
    client.leaves()


# bounds


@pytest.fixture
def trusting(make_rig):
    """Makes relays whose provider is reached but never charges."""

    def make(**settings):
        rig = make_rig(**settings)
        rig.trust()
        return rig

    return make


def refused(client, *pieces):
    """The refusal of what the client says, which is the connection's last answer."""
    status, headers, _ = parts_of(client.says(*pieces))
    assert headers[b"connection"] == b"close" and client.transport.ended and not client.transport.closed
    return status


@pytest.mark.parametrize("step", [2500, 7])
def test_what_is_too_long_is_refused_before_it_is_whole(trusting, step):
    rig = trusting(header_limit=2048, url_limit=512, body_limit=2048)
    for status, head in {
        414: b"GET /v1/" + b"a" * 600,
        431: b"GET /v1/files HTTP/1.1\r\nx-odd: " + b"a" * 4900,
        413: ask(body=b"").replace(b"content-length: 0", b"content-length: 2049"),
    }.items():
        client = rig.client()
        pieces = [head[at : at + step] for at in range(0, len(head), step)]
        assert refused(client, *pieces) == status
        assert client.says(ask()) == b""


def test_a_whole_head_in_one_packet_may_be_as_long_as_the_limit_and_no_longer(trusting):
    rig = trusting(header_limit=2048)
    for more, status in ((0, 401), (2048, 431)):
        request = ask(b"x-odd: " + b"a" * more, key="sk-nobody", body=CHAT.ljust(8000))
        assert parts_of(rig.client().says(request))[0] == status


def test_chunks_that_are_mostly_framing_are_refused(trusting):
    client = trusting(header_limit=2048).client()
    client.says(ask(body=b"").replace(b"content-length: 0", b"transfer-encoding: chunked"))
    heard = [client.says(b"1;" + b"x" * 2000 + b"\r\na\r\n") for _ in range(35)]
    assert heard[:30] == [b""] * 30
    assert parts_of(b"".join(heard))[0] == 431 and client.transport.ended


def test_more_connections_than_the_limit_are_told_so(trusting):
    rig = trusting(connection_limit=2)
    first, second, third = rig.client(), rig.client(), rig.client()
    status, headers, _ = parts_of(third.hears())
    assert (status, headers[b"retry-after"], headers[b"connection"]) == (503, b"1", b"close")
    assert third.transport.ended and third.says(ask()) == b""
    first.leaves()
    third.leaves()
    assert second.hears() == b""
    assert rig.client().hears() == b""


UPGRADE = b"connection: upgrade\r\nupgrade: h2c\r\n"


def test_an_offer_of_another_protocol_is_passed_over(trusting):
    rig = trusting()
    client, vendor = rig.client(), rig.vendor()
    client.says(ask(b"connection: keep-alive, Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAMAAABkAAQAAP__"))
    sent = vendor.hears()
    assert sent.endswith(b"\r\n\r\n" + CHAT) and b"upgrade" not in sent.lower() and b"http2" not in sent.lower()
    vendor.says(answer(status=404))
    assert b"connection: close" not in client.hears()
    client.says(ask())
    assert vendor.hears().endswith(CHAT)


@pytest.mark.parametrize("length", [1, 40, 100_000])
@pytest.mark.parametrize("path", [b"/v1/new", b"/v1/realtime?model=m", b"/v1/responses"])
def test_an_offer_of_a_websocket_with_a_body_is_passed_over(trusting, path, length):
    """Else the provider would wait for a body that is never sent, and take another client's request for it."""
    rig = trusting()
    client, vendor = rig.client(), rig.vendor()
    request = ask(b"connection: upgrade", b"upgrade: websocket", line=b"GET " + path, body=b"x" * length)
    for plain in (request, request.replace(b"application/json", b"text/plain")):
        at_once = client.says(plain[:-1]) + client.says(plain[-1:])
        _, end, body = vendor.hears().partition(b"\r\n\r\n")
        assert (end, len(body)) in ((b"", 0), (b"\r\n\r\n", length))
        if end:
            vendor.says(answer(status=404))
        assert at_once + client.hears()


def test_any_number_of_such_offers_in_one_packet_is_read(trusting):
    client = trusting().client()
    offer = ask(key="sk-nobody").replace(b"content-type", UPGRADE + b"content-type")
    heard = client.says(offer * 1500)
    assert heard.count(b"HTTP/1.1 401 ") == 1500
    assert not client.transport.is_closing()


def test_methods_for_other_kinds_of_proxy_are_refused(trusting):
    for method in (b"CONNECT gateway:443", b"TRACE /v1/models"):
        assert refused(trusting().client(), method + b" HTTP/1.1\r\nhost: gateway\r\n\r\n") == 405


# waiting for a body

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_body_that_is_held_back_is_asked_for_once_the_key_was_checked(trusting):
    rig = trusting()
    client, vendor = rig.client(), rig.vendor()
    head, body = ask(b"Expect: 100-Continue").removesuffix(CHAT), CHAT
    assert client.says(head) == CONTINUE
    assert client.says(body) == b""
    assert vendor.hears().endswith(CHAT)
    vendor.says(answer(status=404))
    assert refused(rig.client(), head.replace(KEY.encode(), b"sk-nobody")) == 401


def test_a_body_that_was_not_held_back_is_not_asked_for(trusting):
    rig = trusting()
    old = ask(b"expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0")
    for request in (ask(b"expect: 100-continue", body=b""), ask(b"expect: something"), old):
        client, vendor = rig.client(), rig.vendor()
        assert CONTINUE not in client.says(request)
        vendor.leaves()


def test_only_the_request_that_holds_its_body_back_is_asked_for_it(trusting):
    rig = trusting()
    client, vendor = rig.client(), rig.vendor()
    sound = ask(body=b"hello", line=b"POST /v1/new").replace(b"application/json", b"text/plain")
    expecting = ask(b"expect: 100-continue").removesuffix(CHAT)
    assert client.says(ask() + sound + expecting) == b""
    vendor.hears()
    vendor.says(answer(status=404))
    assert client.hears().count(b"HTTP/1.1 ") == 1
    assert vendor.hears().endswith(b"hello")
    vendor.says(answer(status=404))
    heard = client.hears()
    assert heard.endswith(CONTINUE) and heard.count(CONTINUE) == 1


# time


@pytest.fixture
def timed(trusting):
    """A relay where every limit is so many ticks: head 4, body 8, stall 12, idle 16."""
    rig = trusting(client_head_s=4, client_body_s=8, client_stall_s=12, keep_alive_s=16, comment_every_s=100)
    rig.plane.limits = rig.plane.limits._replace(client_head=4, client_body=8, client_stall=12, keep_alive=16, linger=2)
    return rig


def passes(rig, ticks):
    for _ in range(ticks):
        rig.pulse.tick += 1
        for connection in list(rig.plane.connections):
            connection.sweep(rig.pulse.tick)


def test_a_head_must_come_in_time_however_slowly(timed):
    client = timed.client()
    for byte in b"POST":
        client.says(bytes((byte,)))
        passes(timed, 1)
    assert client.hears() == b""
    client.says(b" ")
    passes(timed, 1)
    assert parts_of(client.hears())[0] == 408
    passes(timed, 4)
    assert client.transport.aborted


def test_a_body_that_is_held_must_come_in_time_however_slowly(timed):
    client = timed.client()
    client.says(ask()[:-30])
    for _ in range(12):
        client.says(b"x")
        passes(timed, 1)
    assert client.hears() == b""
    passes(timed, 1)
    assert parts_of(client.hears())[0] == 408


def test_a_streamed_body_may_take_as_long_as_it_moves(timed):
    client, vendor = timed.client(), timed.vendor()
    client.says(ask(line=b"POST /v1/new", body=b"x" * 100).replace(b"application/json", b"text/plain")[:-100])
    for _ in range(40):
        client.says(b"x")
        passes(timed, 1)
    assert client.hears() == b"" and vendor.hears().endswith(b"x" * 40)
    passes(timed, 9)
    assert parts_of(client.hears())[0] == 408
    assert vendor.transport.aborted


async def test_a_body_for_the_control_plane_must_come_in_time(live):
    got = []

    async def reads(scope, receive, send):
        got.append(await receive())
        got.append(await receive())

    live.config.loaded_app = reads
    live.plane.limits = live.plane.limits._replace(client_head=4, client_body=8)
    client = live.client()
    client.says(b"POST /any HTTP/1.1\r\nhost: gateway\r\ncontent-length: 5\r\n\r\nhe")
    await asyncio.sleep(0)
    passes(live, 8)
    assert not client.transport.closed
    passes(live, 1)
    assert client.transport.closed
    client.leaves()
    await run_to_the_end(live)
    assert [message["type"] for message in got] == ["http.request", "http.disconnect"]


def test_an_idle_connection_is_closed(timed):
    client = timed.client()
    passes(timed, 16)
    assert not client.transport.closed
    passes(timed, 1)
    assert client.transport.closed and client.hears() == b""


def test_a_connection_whose_answer_takes_long_is_not_idle(timed):
    client, vendor = timed.client(), timed.vendor()
    client.says(ask())
    passes(timed, 100)
    assert not client.transport.is_closing()
    vendor.says(answer(status=404))
    passes(timed, 16)
    assert not client.transport.is_closing()
    passes(timed, 1)
    assert client.transport.closed


def test_a_client_that_does_not_read_is_cut(timed):
    client = timed.client()
    client.edge.pause_writing()
    passes(timed, 12)
    assert not client.transport.aborted
    passes(timed, 1)
    assert client.transport.aborted


def test_a_refused_client_that_goes_on_sending_is_cut(timed):
    client = timed.client()
    client.says(b"nonsense\r\n\r\n")
    for _ in range(8):
        client.says(b"more")
        passes(timed, 1)
    assert not client.transport.aborted
    client.says(b"more")
    passes(timed, 1)
    assert client.transport.aborted


# leaving and stopping


def test_a_client_that_leaves_takes_its_request_with_it(trusting):
    rig = trusting()
    client, vendor = rig.client(), rig.vendor()
    client.says(ask(line=b"GET /v1/files", body=b""))
    client.leaves()
    assert vendor.transport.aborted
    assert rig.plane.holds.open == 0 and client.edge not in rig.plane.connections


def test_what_waits_behind_is_never_begun_when_the_client_leaves(trusting):
    rig = trusting()
    client, vendor = rig.client(), rig.vendor()
    client.says(ask(line=b"GET /v1/files", body=b"") * 3)
    vendor.hears()
    rig.vendor()
    client.leaves()
    assert rig.plane.holds.taken == 1


def test_when_uvicorn_stops_what_runs_is_finished_and_nothing_new_is_taken(trusting):
    rig = trusting()
    busy, idle, vendor = rig.client(), rig.client(), rig.vendor()
    busy.says(ask())
    for client in (busy, idle):
        client.edge.shutdown()
    assert idle.transport.closed and not busy.transport.closed
    vendor.says(answer(status=404))
    status, headers, _ = parts_of(busy.hears())
    assert (status, headers[b"connection"]) == (404, b"close") and busy.transport.closed


def test_requests_are_counted_for_uvicorn(trusting):
    rig = trusting()
    client = rig.client()
    client.says(ask(key="sk-nobody"), ask(key="sk-nobody"))
    assert rig.state.total_requests == 2


def test_a_slow_client_pauses_whoever_forwards_to_it(trusting):
    client = trusting().client()
    client.edge.pause_writing()
    client.edge.resume_writing()
    assert client.edge._paused_tick == -1

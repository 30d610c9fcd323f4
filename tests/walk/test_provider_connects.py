"""A provider that cannot be connected to, or that hangs up before it has answered."""

from __future__ import annotations

import asyncio

import pytest

import fake_faults
from fake_faults import PLAIN, RACE
from fake_provider import FakeProvider, close, refusing_port, reset, silent_port
from stage import WIRES, Stage, check_refusal


@pytest.fixture(scope="module")
def refused(make_stage):
    """A gateway whose providers refuse connections, nothing listening at their port."""
    with refusing_port() as port:
        url = f"http://127.0.0.1:{port}"
        yield make_stage(openai_base_url=f"{url}/v1", anthropic_base_url=url)


@pytest.fixture(scope="module")
def unreachable(make_stage):
    """A gateway whose provider never takes a connection."""
    with silent_port() as port:
        yield make_stage(openai_base_url=f"http://127.0.0.1:{port}/v1", connect_s=0.2)


@pytest.fixture
def make_secure(make_stage, loop_thread, ca_file):
    """Starts a provider behind TLS and a gateway that trusts `ca_file`, or nobody in particular."""
    started = []

    def make(tls, host: str = "127.0.0.1", **settings) -> tuple[Stage, FakeProvider]:
        provider = FakeProvider(tls=tls)
        started.append(loop_thread.run(provider.start()))
        made = make_stage(openai_base_url=f"https://{host}:{provider.port}/v1", **{"ca_file": ca_file} | settings)
        return Stage(made.gateway, provider, loop_thread), provider

    yield make
    for provider in started:
        loop_thread.run(provider.stop())


def refuses(stage: Stage, wire: str, status: int, code: str, **more) -> str:
    """Ask twice on one connection: both times the same refusal, and no charge. Returns the message."""
    with stage.client() as client:
        for _ in range(2):
            answer = client.ask(stage.raw(wire, **more))
            check_refusal(wire, answer, status, code)
            assert stage.row(answer) is None
    stage.gateway.check_quiet()
    return answer.json["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_it_refuses(refused, caplog, wire, stream):
    assert "127.0.0.1" in refuses(refused, wire, 502, "upstream_refused", stream=stream)
    assert caplog.records == [], "whoever asks is told; a log line for each would bury all others"


def test_it_never_takes_the_connection(unreachable):
    refuses(unreachable, "chat", 504, "upstream_timeout")


def test_a_client_that_leaves_while_connecting_costs_nothing(unreachable):
    gateway = unreachable.gateway
    before = len(gateway.charges())
    with unreachable.client() as client:
        client.send(unreachable.raw("chat"))
        assert gateway._until(lambda: gateway.plane.channels[0].pool.busy == 1)
    gateway.check_quiet()
    assert len(gateway.charges()) == before


@pytest.mark.parametrize("fault", fake_faults.NO_READING)
def test_it_hangs_up_before_reading(stage, fault):
    """Whether it hangs up while we connect or while we ask depends on who is faster."""
    stage.forget_connections()
    stage.vendor.greet(*fake_faults.NO_READING[fault])
    with stage.client() as client:
        answer = client.ask(stage.raw("chat"))
        stage.vendor.greet()
        check_refusal("chat", answer, 502, answer.code)
        assert answer.code in ("upstream_broken", "upstream_refused")
        assert stage.row(answer) is None
        stage.script(PLAIN)
        assert client.ask(stage.raw("chat")).status == 200


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", fake_faults.NO_ANSWER)
def test_it_hangs_up_without_an_answer(stage, fault, wire):
    stage.script(*fake_faults.NO_ANSWER[fault])
    answer = stage.ask(wire, stream=fault.startswith("resets"))
    check_refusal(wire, answer, 502, "upstream_broken")
    assert stage.row(answer) is None
    assert len(stage.vendor.requests) == 2, "it was asked once, and once more for the request that followed"


@pytest.mark.parametrize(
    ("fault", "wire"), [*(("never answers", wire) for wire in WIRES), *((fault, "chat") for fault in fake_faults.NEVER)]
)
def test_it_never_answers(hasty, fault, wire):
    hasty.script(*fake_faults.NEVER[fault])
    answer = hasty.ask(wire, stream=True)
    check_refusal(wire, answer, 504, "upstream_timeout")
    assert hasty.row(answer) is None


@pytest.fixture(scope="module")
def module_hasty(make_stage):
    return make_stage(first_byte_s=0.3)


@pytest.fixture
def hasty(module_hasty, vendor):
    """A gateway that does not wait long for an answer to begin."""
    yield module_hasty
    module_hasty.check_quiet()


# keep-alive


@pytest.mark.parametrize("ends", [close, reset])
@pytest.mark.parametrize("stream", [False, True])
def test_the_keep_alive_race_is_not_seen_by_the_client(stage, ends, stream):
    """The provider closes a kept connection in the instant of its next use: one try more, on a fresh connection, charged once."""
    vendor = stage.vendor
    stage.script(*RACE)
    opened = vendor.opened
    with stage.client() as client:
        first = client.ask(stage.raw("chat"))
        vendor.script(fake_faults.STREAM if stream else PLAIN)
        second = client.ask(stage.raw("chat", stream=stream))
    assert (first.status, second.status) == (200, 200)
    assert stage.charge(first)["outcome"] == stage.charge(second)["outcome"] == "complete"
    assert vendor.opened == opened + 2
    assert len(vendor.requests) == 2


def test_the_second_try_is_the_last(stage):
    stage.script(*RACE)
    with stage.client() as client:
        assert client.ask(stage.raw("chat")).status == 200
        stage.vendor.script(close)
        check_refusal("chat", client.ask(stage.raw("chat")), 502, "upstream_broken")
    assert len(stage.vendor.requests) == 2


def test_a_kept_connection_that_was_read_from_is_not_tried_again(stage):
    """Once a byte of an answer has come, the provider has read the request: asking again might cost twice."""
    stage.script(PLAIN)
    with stage.client() as client:
        assert client.ask(stage.raw("chat")).status == 200
        for fault in ("closes in the status line", "closes after 100 continue", "resets in a header"):
            stage.vendor.script(*fake_faults.NO_ANSWER[fault])
            check_refusal("chat", client.ask(stage.raw("chat")), 502, "upstream_broken")
            stage.vendor.script(PLAIN)
            assert client.ask(stage.raw("chat")).status == 200
    assert len(stage.vendor.requests) == 7


def test_connections_are_kept(stage):
    opened = stage.vendor.opened
    stage.script(PLAIN)
    for _ in range(3):
        assert stage.ask("chat").status == 200
        stage.vendor.script(fake_faults.STREAM)
        assert stage.ask("chat", stream=True).status == 200
        stage.vendor.script(PLAIN)
    assert stage.ask("chat").status == 200
    assert stage.vendor.opened == opened + 1


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", b"x", b"\r\n"])
def test_bytes_after_an_answer_are_not_the_next_answer(stage, more):
    """Whether they come with it or later: the connection is not used again."""
    gate = asyncio.Event()
    vendor = stage.vendor

    async def later(line) -> None:
        await gate.wait()
        await line.send(more)

    for steps in ((PLAIN + more,), (PLAIN, later)):
        stage.script(*steps)
        opened = vendor.opened
        with stage.client() as client:
            assert client.ask(stage.raw("chat")).status == 200
            stage.let_go(gate)
            stage.await_vendor(vendor.until_closed())
            vendor.script(PLAIN)
            assert client.ask(stage.raw("chat")).status == 200
        assert vendor.opened == opened + 2


def test_an_idle_connection_that_the_provider_closes_is_not_used(stage):
    stage.script(PLAIN, close)
    with stage.client() as client:
        assert client.ask(stage.raw("chat")).status == 200
        stage.await_vendor(stage.vendor.until_closed())
        stage.check_quiet()
        stage.vendor.script(PLAIN)
        assert client.ask(stage.raw("chat")).status == 200


def test_more_connections_than_allowed_are_refused(make_stage, vendor):
    stage = make_stage(upstream_connections=1)
    gate = asyncio.Event()

    async def wait(_) -> None:
        await gate.wait()

    stage.script(wait, PLAIN)
    with stage.client() as first, stage.client() as second:
        first.send(stage.raw("chat"))
        stage.await_vendor(vendor.until_requests(1))
        refused = second.ask(stage.raw("chat"))
        check_refusal("chat", refused, 503, "overloaded")
        assert refused.header("retry-after") == "1"
        stage.let_go(gate)
        assert first.answer().status == 200
        vendor.script(PLAIN)
        assert second.ask(stage.raw("chat")).status == 200
    stage.check_quiet()


# TLS


def test_tls_with_an_authority_from_the_ca_file(make_secure, authority):
    stage, provider = make_secure(authority.server())
    provider.script(PLAIN)
    answer = stage.ask("chat")
    assert answer.status == 200
    assert stage.charge(answer)["outcome"] == "complete"
    provider.script(fake_faults.STREAM)
    assert stage.ask("chat", stream=True).body.endswith(b"data: [DONE]\n\n")
    assert provider.opened == 1
    provider.script(PLAIN[:-20], reset)
    stage.forget_connections()
    check_refusal("chat", stage.ask("chat"), 502, "upstream_broken")
    stage.check_quiet()


def test_tls_for_another_host(make_secure, authority):
    stage, provider = make_secure(authority.server("wrong.example"))
    assert "CERTIFICATE" in refuses(stage, "chat", 502, "upstream_refused")
    assert provider.requests == []


def test_tls_of_an_authority_that_nobody_trusts(make_secure, stranger):
    stage, provider = make_secure(stranger.server())
    assert "CERTIFICATE" in refuses(stage, "chat", 502, "upstream_refused")
    assert provider.requests == []


def test_tls_of_our_own_authority_when_no_ca_file_says_so(make_secure, authority):
    stage, _ = make_secure(authority.server(), ca_file=None)
    assert "CERTIFICATE" in refuses(stage, "chat", 502, "upstream_refused")


def test_plain_text_where_tls_is_expected(make_secure):
    stage, provider = make_secure(None)
    provider.greet(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n", close)
    refuses(stage, "chat", 502, "upstream_refused")


@pytest.mark.parametrize("ends", [close, reset])
def test_the_connection_ends_in_the_handshake(make_secure, ends):
    stage, provider = make_secure(None)
    provider.greet(ends)
    refuses(stage, "chat", 502, "upstream_refused")


def test_tls_where_plain_text_is_expected(make_stage, loop_thread, authority):
    provider = FakeProvider(tls=authority.server())
    loop_thread.run(provider.start())
    try:
        made = make_stage(openai_base_url=f"http://127.0.0.1:{provider.port}/v1")
        with made.client() as client:
            answer = client.ask(made.raw("chat"))
        assert (answer.status, answer.code in ("upstream_broken", "upstream_invalid")) == (502, True)
        made.gateway.check_quiet()
    finally:
        loop_thread.run(provider.stop())

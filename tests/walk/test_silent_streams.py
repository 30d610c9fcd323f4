"""A silent stream is kept alive with what its clients pass over, and only ever between two events."""

from __future__ import annotations

import asyncio

import anthropic
import openai
import pytest

from fake_answers import chat_events, chunk, event, head, stream_head
from fake_provider import close
from stage import EVENTS, WIRES, hidden, shown


@pytest.fixture(scope="module")
def module_talkative(make_stage):
    return make_stage(comment_every_s=0.05)


@pytest.fixture
def talkative(module_talkative, vendor):
    """A gateway that soon says something in the place of a silent provider."""
    yield module_talkative
    module_talkative.check_quiet()


ALIVE = {"chat": b": keep-alive\n\n", "responses": b": keep-alive\n\n", "messages": b'event: ping\ndata: {"type": "ping"}\n\n'}


def gated(stage, *parts: bytes):
    """Play the parts of a stream one by one; gives a function that lets the next one go."""
    gates = [asyncio.Event() for _ in parts]

    def waiting(gate, part):
        async def step(line) -> None:
            await gate.wait()
            await line.send(part)

        return step

    stage.script(stream_head(), *map(waiting, gates, parts))
    left = iter(gates)
    return lambda: stage.let_go(next(left))


@pytest.mark.parametrize("wire", WIRES)
def test_a_silent_stream_is_kept_alive_between_events(talkative, wire):
    sent = EVENTS[wire](3)
    half = len(sent[1]) // 2
    go_on = gated(
        talkative,
        chunk(sent[0]),
        chunk(sent[1][:half]),
        chunk(sent[1][half:]),
        b"".join(map(chunk, sent[2:-1])),
        chunk(sent[-1]) + b"0\r\n\r\n",
    )
    with talkative.client() as client:
        client.send(talkative.raw(wire, stream=True))
        answered = client.head()
        got = []
        for _ in range(4):  # before the first event, after it, in the middle of the second, after it
            while not got or got[-1] != ALIVE[wire]:
                got.append(client.chunk())
            assert client.chunk() == ALIVE[wire]
            got.append(b"")
            go_on()
        go_on()
        body = b"".join([*got, *iter(client.chunk, b"")]).replace(ALIVE[wire], b"")
    assert body == shown(wire, sent)
    stage_row = talkative.charge(answered)
    assert (stage_row["outcome"], stage_row["estimated"]) == ("complete", 0)


def test_nothing_is_put_into_the_middle_of_a_long_event(talkative):
    sent = chat_events()
    long = event({"choices": [], "filler": "x" * 3_000_000})
    go_on = gated(talkative, chunk(long[:2_000_000]), chunk(long[2_000_000:]) + chunk(b"".join(sent)) + b"0\r\n\r\n")
    with talkative.client() as client:
        client.send(talkative.raw("chat", stream=True))
        client.head()
        assert client.chunk() == ALIVE["chat"]
        go_on()
        got = b""
        while len(got.replace(ALIVE["chat"], b"")) < 1_900_000:
            got += client.chunk()
        ticks = talkative.gateway.parts.pulse.tick
        talkative.gateway._until(lambda: talkative.gateway.parts.pulse.tick > ticks + 12)
        go_on()
        body = got + b"".join(iter(client.chunk, b""))
    assert body.replace(ALIVE["chat"], b"") == long + shown("chat", sent)
    assert long in body


@pytest.mark.parametrize("wire", WIRES)
def test_the_official_sdk_does_not_mind(talkative, wire):
    sent = EVENTS[wire](3)
    go_on = gated(talkative, b"".join(map(chunk, sent[:2])), b"".join(map(chunk, sent[2:])) + b"0\r\n\r\n")
    with talkative.client() as client:
        client.send(talkative.raw(wire, stream=True))
        client.head()
        assert client.chunk() == ALIVE[wire]
        go_on()
        got = [ALIVE[wire]]
        while len(got) < 3 or got[-1] != ALIVE[wire]:
            got.append(client.chunk())
        go_on()
        body = b"".join([*got, *iter(client.chunk, b"")])
    stage_stream = head(200, "connection: close", kind="text/event-stream") + body
    talkative.script(stage_stream, close)
    assert sdk_events(talkative, wire) == {"chat": len(hidden(sent)) - 1, "responses": len(sent), "messages": len(sent) - 1}[wire]


def sdk_events(stage, wire: str) -> int:
    """How many events the provider's SDK gives of a stream that is sent as it is."""
    url, key = stage.vendor.url, "sk-test"
    if wire == "messages":
        with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as client:
            return len(list(client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}], stream=True)))
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        if wire == "chat":
            return len(list(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True)))
        return len(list(client.responses.create(model="m", input="x", stream=True)))

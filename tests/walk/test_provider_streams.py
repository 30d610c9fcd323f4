"""Streams that break off, stall, never end, or are not what a strict provider sends."""

from __future__ import annotations

import asyncio
import json

import anthropic
import openai
import pytest

import fake_faults
from fake_answers import (
    DONE,
    chat_chunk,
    chat_events,
    chat_usage,
    chunk,
    chunked,
    event,
    gzipped,
    head,
    messages_events,
    stream,
    stream_head,
)
from fake_faults import PLAIN
from fake_provider import close, dribble, hang, reset
from penstock.kit.sse import split
from penstock.upstream.usage import Usage
from stage import CONTENT_FROM, EVENTS, WIRES, begun, check_broken_end, events_of

USED = Usage(input_tokens=19, output_tokens=10)
CLIENTS = {"chat": "openai", "responses": "openai", "messages": "anthropic"}
BREAKS = {
    "closes between events": lambda wire: (begun(wire), close),
    "resets between events": lambda wire: (begun(wire), reset),
    "closes in an event": lambda wire: (begun(wire) + chunk(EVENTS[wire](10)[CONTENT_FROM[wire] + 4][:40]), close),
    "closes in a chunk": lambda wire: (begun(wire) + chunk(EVENTS[wire](10)[CONTENT_FROM[wire] + 4])[:40], close),
    "closes in a chunk's size": lambda wire: (begun(wire) + b"1", close),
    "a chunk without a size": lambda wire: (begun(wire) + b"zz\r\n", close),
    "a chunk that is too long": lambda wire: (begun(wire) + b"2\r\nabc\r\n", close),
    "closes before the last chunk": lambda wire: (stream_head() + b"".join(map(chunk, EVENTS[wire](10)[:-1])), close),
}


def hidden(events: list[bytes]) -> list[bytes]:
    """The events of a chat stream that a client gets to see which did not ask for usage."""
    return [one for one in events if b'"choices":[]' not in one]


def shown(wire: str, events: list[bytes]) -> bytes:
    """What a client gets to see of a stream."""
    return b"".join(hidden(events) if wire == "chat" else events)


# streams that break off


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", BREAKS)
def test_a_stream_that_breaks_off(stage, wire, fault):
    """What has come is shown and charged, and the end is an error in the dialect of the wire; the client's connection goes on."""
    stage.script(*BREAKS[fault](wire))
    answered = stage.ask(wire, stream=True)
    assert (answered.status, answered.closes) == (200, False)
    events = events_of(answered)
    check_broken_end(wire, events, "upstream_invalid" if fault.startswith("a chunk") else "upstream_broken")
    row = stage.charge(answered)
    assert (row["outcome"], row["status"], row["streamed"]) == ("upstream_died", 200, 1)
    assert shown(wire, EVENTS[wire](10)).startswith(b"".join(events[:-1]))
    if fault.startswith("resets"):
        return  # what was sent before a reset may be lost
    if "last chunk" in fault:
        assert len(events) == len(hidden(EVENTS[wire](10)) if wire == "chat" else EVENTS[wire](10))
        if wire == "responses":
            assert row["estimated"] == 1
        else:
            stage.check_cost(row, USED)
    else:
        assert len(events) == CONTENT_FROM[wire] + 5
        stage.check_guess(row, wire, 4)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("ends", [close, reset])
def test_a_stream_that_breaks_off_before_its_first_event(stage, wire, ends):
    stage.script(stream_head(), ends)
    answered = stage.ask(wire, stream=True)
    if answered.status == 200:
        [last] = events_of(answered)
        check_broken_end(wire, [last], "upstream_broken")
        stage.check_cost(stage.charge(answered), stage.guess(wire, 0, stream=True), estimated=True)
    else:
        assert (answered.status, ends) == (502, reset)


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_that_breaks_off_after_its_last_event_is_whole(stage, wire):
    sent = EVENTS[wire](10)
    stage.script(stream_head() + b"".join(map(chunk, sent)), close)
    answered = stage.ask(wire, stream=True)
    assert answered.body == shown(wire, sent)
    row = stage.charge(answered)
    stage.check_cost(row, USED)
    assert row["outcome"] == "complete"


def test_a_stream_that_ends_with_the_connection_is_whole(stage):
    sent = chat_events()
    for version in (b"1.0", b"1.1"):
        stage.script(head(200, "connection: close", kind="text/event-stream").replace(b"1.1", version) + b"".join(sent), close)
        answered = stage.ask("chat", stream=True)
        assert answered.body == shown("chat", sent)
        stage.check_cost(stage.charge(answered), USED)


def test_a_stream_with_a_length(stage):
    sent = chat_events()
    body = b"".join(sent)
    stage.script(head(200, f"content-length: {len(body)}", kind="text/event-stream") + body)
    answered = stage.ask("chat", stream=True)
    assert answered.body == shown("chat", sent)
    assert answered.header("content-length") is None
    stage.check_cost(stage.charge(answered), USED)
    stage.script(head(200, f"content-length: {len(body)}", kind="text/event-stream") + body[:-400], close)
    broken = stage.ask("chat", stream=True)
    check_broken_end("chat", events_of(broken), "upstream_broken")
    assert stage.charge(broken)["outcome"] == "upstream_died"


@pytest.mark.parametrize("wire", WIRES)
def test_a_client_of_http_1_0(stage, wire):
    sent = EVENTS[wire](10)
    for steps, whole in (((stream(*sent),), True), ((begun(wire), close), False)):
        stage.script(*steps)
        with stage.client() as client:
            answered = client.ask(stage.raw(wire, stream=True).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        assert answered.closes
        if whole:
            assert answered.body == shown(wire, sent)
        else:
            check_broken_end(wire, events_of(answered), "upstream_broken")


# the official SDKs see it as the error that it is


@pytest.fixture
def sdk(stage):
    """Consumes a stream of a wire with the provider's own SDK; how many events it gave before it raised."""
    url, key = stage.gateway.url, stage.gateway.key

    def consume(wire: str) -> int:
        seen = 0
        if wire == "messages":
            with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as client:
                asked = {"model": "claude-test", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
                with client.messages.create(stream=True, **asked) as events:
                    for _ in events:
                        seen += 1
        else:
            with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
                if wire == "chat":
                    events = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello"}], stream=True)
                else:
                    events = client.responses.create(model="gpt-4o", input="Hello", stream=True)
                with events:
                    for found in events:
                        seen += 1
                        if getattr(found, "type", "") == "response.failed":
                            raise openai.APIError(found.response.error.message, request=None, body=found.response.error.model_dump())
        return seen

    return consume


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", ["closes between events", "closes in an event", "closes in a chunk"])
def test_the_official_sdk_raises(stage, sdk, wire, fault):
    stage.script(*BREAKS[fault](wire))
    with pytest.raises((openai.APIError, anthropic.APIError)) as caught:
        sdk(wire)
    body = caught.value.body
    if wire == "messages":
        assert body["type"] == "error" and body["error"]["type"] == "api_error"
    else:
        assert body["code"] == "upstream_broken"
    assert "provider failed" in str(caught.value)


@pytest.mark.parametrize("wire", WIRES)
def test_the_official_sdk_reads_a_whole_stream(stage, sdk, wire):
    sent = EVENTS[wire](10)
    stage.script(stream(*sent))
    assert sdk(wire) == {"chat": len(hidden(sent)) - 1, "responses": len(sent), "messages": len(sent) - 1}[wire]


# streams that stall or never end


@pytest.fixture(scope="module")
def module_hasty(make_stage):
    return make_stage(idle_s=0.2)


@pytest.fixture(scope="module")
def module_brief(make_stage):
    return make_stage(total_s=0.6)


@pytest.fixture
def hasty(module_hasty, vendor):
    """A gateway that does not wait long for a stream to go on."""
    yield module_hasty
    module_hasty.check_quiet()


@pytest.fixture
def brief(module_brief, vendor):
    """A gateway that lets no answer take long."""
    yield module_brief
    module_brief.check_quiet()


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("where", ["between events", "in an event", "after the head"])
def test_a_stream_that_stalls(hasty, wire, where):
    more = chunk(EVENTS[wire](10)[-2][:30]) if where == "in an event" else b""
    hasty.script(stream_head() if where == "after the head" else begun(wire) + more, hang)
    answered = hasty.ask(wire, stream=True)
    events = events_of(answered)
    check_broken_end(wire, events, "upstream_timeout")
    assert len(events) == (1 if where == "after the head" else CONTENT_FROM[wire] + 5)
    row = hasty.charge(answered)
    assert (row["outcome"], row["status"], row["estimated"]) == ("upstream_timeout", 200, 1)


def test_a_stream_that_stalls_after_its_last_event(hasty):
    sent = chat_events()
    hasty.script(stream_head() + b"".join(map(chunk, sent)), hang)
    answered = hasty.ask("chat", stream=True)
    assert answered.body == shown("chat", sent)
    row = hasty.charge(answered)
    hasty.check_cost(row, USED)
    assert row["outcome"] == "complete"


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_that_never_ends(brief, wire):
    async def chatter(line) -> None:
        while True:
            await line.send(chunk(b": still here\n\n"))
            await asyncio.sleep(0.05)

    brief.script(begun(wire), chatter)
    answered = brief.ask(wire, stream=True)
    events = events_of(answered)
    check_broken_end(wire, events, "upstream_timeout")
    assert b": still here\n\n" in events
    assert brief.charge(answered)["outcome"] == "upstream_timeout"


# streams that are not what a strict provider sends


@pytest.mark.parametrize("fault", fake_faults.ODD_STREAM)
def test_an_odd_stream_is_passed_on(stage, fault):
    """Byte for byte, but for the usage that the client has not asked for."""
    steps = fake_faults.ODD_STREAM[fault]
    stage.script(*steps)
    answered = stage.ask("chat", stream=True)
    raw = steps[0] if isinstance(steps[0], bytes) else fake_faults.STREAM
    sent = raw[raw.index(b"\r\n\r\n") + 4 :]
    if b"chunked" in raw[:200]:
        sent = unchunked(sent)
    if fault == "gzip":
        assert (answered.body, answered.header("content-encoding")) == (sent, "gzip")
    else:
        before, done, after = sent.partition(DONE)
        assert answered.body == b"".join(hidden(split(before))) + done + after
    row = stage.charge(answered)
    assert row["outcome"] == "complete"
    estimated = fault in {"usage missing", "usage after [DONE]", "gzip", "an error event", "empty"}
    assert bool(row["estimated"]) is estimated
    if not estimated:
        assert (row["input_tokens"], row["output_tokens"]) == (19, 10)


def unchunked(data: bytes) -> bytes:
    """The content of a chunked body."""
    content, at = [], 0
    while data[at : at + 3] != b"0\r\n":
        line = data.index(b"\r\n", at)
        at = line + 4 + int(data[at:line], 16)
        content.append(data[line + 2 : at - 2])
    return b"".join(content)


def crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("wire", "ends", "words", "step"), [*((wire, end, 2, 7) for wire in WIRES for end in (bytes, crlf)), ("chat", bytes, 1, 1)]
)
def test_a_stream_cut_anywhere(stage, wire, ends, words, step):
    """Into two chunks that arrive apart, at every byte or every few: always the same answer and the same charge."""
    sent = [ends(one) for one in EVENTS[wire](words)]
    content = b"".join(sent)
    wanted = shown(wire, sent)
    ids = set()
    with stage.client() as client:
        for at in range(1, len(content), step):
            stage.vendor.script(stream_head() + chunk(content[:at]), a_turn, chunk(content[at:]) + b"0\r\n\r\n")
            answered = client.ask(stage.raw(wire, stream=True))
            assert answered.body == wanted, at
            ids.add(answered.header("x-request-id"))
    rows = [row for row in stage.gateway.charges() if row["id"] in ids]
    assert len(rows) == len(ids)
    assert {(row["outcome"], row["estimated"], row["input_tokens"]) for row in rows} == {("complete", 0, 19)}
    assert len({row["cost_nano"] for row in rows}) == 1


async def a_turn(_) -> None:
    """Let what was sent arrive on its own."""
    await asyncio.sleep(0.001)


@pytest.mark.parametrize("ends", [bytes, crlf], ids=["LF", "CRLF"])
@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_byte_by_byte(stage, wire, ends):
    sent = [ends(one) for one in EVENTS[wire](3)]
    for steps in ((dribble(stream(*sent)),), (stream_head() + chunked(*(bytes([byte]) for byte in b"".join(sent))),)):
        stage.script(*steps)
        answered = stage.ask(wire, stream=True)
        assert answered.body == shown(wire, sent)
        assert (stage.charge(answered)["estimated"], stage.charge(answered)["input_tokens"]) == (0, 19)


@pytest.mark.parametrize("wire", WIRES)
def test_an_event_of_10_megabytes(stage, wire):
    """Longer than anybody would hold: it passes in pieces, and the usage behind it, or in it, is read."""
    sent = EVENTS[wire](10)
    big = 10_000_000
    filler = event({"type": "odd", "filler": "x" * big} if wire != "chat" else {"choices": [], "filler": "x" * big})
    stage.script(stream(*sent[:4], filler, *sent[4:]))
    answered = stage.ask(wire, stream=True)
    assert answered.body == b"".join(sent[:4]) + filler + shown(wire, sent[4:])
    stage.check_cost(stage.charge(answered), USED)


def test_a_last_event_of_10_megabytes(stage):
    """As `response.completed` is after a long answer: its usage is at its end, and the end is held until it is paid."""
    sent = EVENTS["responses"](10)
    last = sent[-1].replace(b'"output":[', b'"instructions":"' + b"x" * 10_000_000 + b'","output":[', 1)
    stage.script(stream_head() + b"".join(map(chunk, sent[:-1])) + chunk(last) + b"0\r\n\r\n")
    answered = stage.ask("responses", stream=True)
    assert answered.body == b"".join(sent[:-1]) + last
    stage.check_cost(stage.charge(answered), USED)


@pytest.mark.parametrize("wire", WIRES)
def test_an_event_of_10_megabytes_that_breaks(stage, wire):
    """Its beginning is out: the error comes after a blank line that ends it."""
    sent = EVENTS[wire](10)
    stage.script(begun(wire) + chunk(event({"filler": "x" * 3_000_000}))[:-1000], close)
    answered = stage.ask(wire, stream=True)
    events = events_of(answered)
    assert len(events) == CONTENT_FROM[wire] + 6
    check_broken_end(wire, events, "upstream_broken")
    assert b"".join(sent).startswith(b"".join(events[:-2]))
    assert stage.charge(answered)["outcome"] == "upstream_died"


@pytest.mark.parametrize("separator", [b"\n", b"\r", b" "])
def test_a_stream_without_blank_lines(stage, separator):
    """Not a stream of events at all: it passes, in constant memory."""
    line = b'data: {"choices":[{"delta":{"content":"' + b"x" * 1000 + b'"}}]}' + separator
    stage.script(stream_head() + b"".join(chunk(line) for _ in range(3000)) + b"0\r\n\r\n")
    answered = stage.ask("chat", stream=True)
    assert answered.body == line * 3000
    row = stage.charge(answered)
    assert (row["outcome"], row["estimated"]) == ("complete", 1)


def test_carriage_returns_alone_end_lines_too(stage):
    sent = [one.replace(b"\n", b"\r") for one in chat_events()]
    stage.script(stream(*sent))
    answered = stage.ask("chat", stream=True)
    assert answered.body == b"".join(hidden(sent))
    stage.check_cost(stage.charge(answered), USED)


@pytest.mark.parametrize("wire", WIRES)
def test_an_error_event_of_the_provider_is_passed_on(stage, wire):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    sent = [*EVENTS[wire](10)[: CONTENT_FROM[wire] + 3], event(error, "error" if wire != "chat" else None)]
    stage.script(stream(*sent))
    answered = stage.ask(wire, stream=True)
    assert answered.body == b"".join(sent)
    row = stage.charge(answered)
    stage.check_guess(row, wire, 3)


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_that_is_only_an_error_costs_nothing(stage, wire):
    sent = event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error" if wire != "chat" else None)
    stage.script(stream(sent))
    answered = stage.ask(wire, stream=True)
    assert answered.body == sent
    stage.check_cost(stage.charge(answered), Usage(calls=0))


def test_a_json_answer_to_who_asked_for_a_stream(stage):
    stage.script(PLAIN)
    answered = stage.ask("chat", stream=True)
    assert answered.body == PLAIN[PLAIN.index(b"\r\n\r\n") + 4 :]
    stage.check_cost(stage.charge(answered), USED)


def test_a_stream_to_who_did_not_ask_for_one(stage):
    sent = chat_events()
    stage.script(stream(*sent))
    answered = stage.ask("chat")
    assert answered.body == b"".join(sent)
    stage.check_cost(stage.charge(answered), USED)


# usage: twice, cumulated, missing, absurd


def chat_stream(stage, *usages: dict | None, **more):
    """The charge of a chat stream whose events state these usages."""
    counted = [chat_chunk({"content": "x"}, **({"usage": usage} if usage else {})) for usage in usages]
    stage.script(stream(*counted, chat_chunk({}, "stop", **more), DONE))
    return stage.charge(stage.ask("chat", stream=True))


def tokens(reads, writes):
    return {"prompt_tokens": reads, "completion_tokens": writes}


def test_usage_is_not_summed(stage):
    row = chat_stream(stage, tokens(19, 1), tokens(19, 5), tokens(19, 9), usage=tokens(19, 10))
    stage.check_cost(row, USED)


def test_usage_that_is_cumulated_and_breaks_off(stage):
    parts = [chat_chunk({"content": "x"}, usage=tokens(19, count)) for count in range(1, 8)]
    stage.script(stream_head() + b"".join(map(chunk, parts)), close)
    row = stage.charge(stage.ask("chat", stream=True))
    stage.check_cost(row, Usage(input_tokens=19, output_tokens=7), estimated=True)


@pytest.mark.parametrize(
    ("stated", "usage"),
    [
        (tokens(-5, -7), Usage()),
        (tokens(10**30, 10**30), Usage(input_tokens=10**12, output_tokens=10**12)),
        (tokens("19", "10"), USED),
        (tokens(19.0, 9.5), USED),
        (tokens(19, 10) | {"prompt_tokens_details": {"cached_tokens": 500}}, Usage(cache_read_tokens=19, output_tokens=10)),
        (
            tokens(19, 10) | {"completion_tokens_details": {"reasoning_tokens": 500}},
            Usage(input_tokens=19, output_tokens=10, reasoning_tokens=10),
        ),
        (tokens(19, 10) | {"prompt_tokens_details": None, "unknown": {"a": [1]}}, USED),
        (tokens(0, 0), Usage()),
    ],
)
def test_absurd_usage(stage, stated, usage):
    stage.script(stream(*chat_events(usages=0)[:-1], chat_usage(stated), DONE))
    stage.check_cost(stage.charge(stage.ask("chat", stream=True)), usage)


@pytest.mark.parametrize("stated", ["much", [1, 2], {}, {"total_tokens": 5}, tokens(None, None)])
def test_usage_that_says_nothing_is_estimated(stage, stated):
    stage.script(stream(*chat_events(usages=0)[:-1], chat_usage(stated), DONE))
    stage.check_guess(stage.charge(stage.ask("chat", stream=True)), "chat", 10)


# keeping a silent stream alive


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


# compressed, although it was asked not to be


@pytest.mark.parametrize("wire", WIRES)
def test_a_compressed_stream_is_passed_and_estimated(stage, wire):
    steps = gzipped(b"".join(EVENTS[wire](10)), "text/event-stream")
    stage.script(steps)
    answered = stage.ask(wire, stream=True)
    assert (answered.body, answered.header("content-encoding")) == (steps[steps.index(b"\r\n\r\n") + 4 :], "gzip")
    row = stage.charge(answered)
    assert (row["outcome"], row["estimated"]) == ("complete", 1)
    assert row["cost_nano"] > 0


@pytest.mark.parametrize("encoding", ["identity", "Identity ", "none", ""])
def test_a_stream_with_an_encoding_that_is_none(stage, encoding):
    sent = chat_events()
    stage.script(head(200, f"content-encoding: {encoding}", "transfer-encoding: chunked", kind="text/event-stream") + chunked(*sent))
    answered = stage.ask("chat", stream=True)
    assert answered.body == shown("chat", sent)
    stage.check_cost(stage.charge(answered), USED)


def test_a_messages_stream_keeps_its_pings(stage):
    sent = messages_events()
    stage.script(stream(*sent))
    assert json.loads(split(stage.ask("messages", stream=True).body)[2].partition(b"data: ")[2]) == {"type": "ping"}

"""Streams that end in good order but are not what a strict provider sends: their bytes are passed on."""

from __future__ import annotations

import asyncio
import json

import pytest

import fake_faults
from fake_answers import DONE, chat_events, chunk, chunked, event, gzipped, head, messages_events, stream, stream_head
from fake_ends import unchunked
from fake_provider import close, dribble
from penstock.kit.sse import split
from penstock.upstream.usage import Usage
from stage import CONTENT_FROM, EVENTS, USED, WIRES, begun, check_broken_end, events_of, hidden, shown


@pytest.mark.parametrize("fault", fake_faults.ODD_STREAM)
def test_an_odd_stream_is_passed_on(stage, fault):
    """Byte for byte, but for the usage that the client has not asked for."""
    steps = fake_faults.ODD_STREAM[fault]
    stage.script(*steps)
    answered = stage.ask("chat", stream=True)
    raw = steps[0] if isinstance(steps[0], bytes) else fake_faults.STREAM
    sent = raw[raw.index(b"\r\n\r\n") + 4 :]
    if b"chunked" in raw[:200]:
        sent = unchunked(sent)[0]
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


@pytest.mark.parametrize("kind", ["text/event-stream; charset=utf-8", "text/event-stream", "Text/Event-Stream;charset=UTF-8"])
def test_a_stream_is_known_by_its_content_type(stage, kind):
    events = chat_events()
    stage.script(head(200, "connection: close", kind=kind) + b"".join(events), close)
    answered = stage.ask("chat", stream=True)
    assert answered.body == shown("chat", events)

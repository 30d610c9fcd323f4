"""A stream's bytes: forwarded as they came, less what is hidden, up to the event that says that all is complete."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_answers import chat_events, messages_events, responses_events
from fake_ends import Rig, parts_of, unchunked
from guarded import IN, OUT, Bursar, guarded
from guarded import nothing as broke
from penstock.kit.errors import PenstockError
from penstock.kit.sse import split
from penstock.relay import events as module
from penstock.relay.events import HELD_LIMIT, PARTIAL_LIMIT, Events, end_of_events
from penstock.relay.outcome import CLIENT_GONE, COMPLETE, OUT_OF_FUNDS, STOPPED, UPSTREAM_DIED, UPSTREAM_TIMEOUT
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.wires import WIRES

PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ASKED = b'{"model":"gpt-4o","stream":true,"messages":[]}'
WILL_READ = -(-len(ASKED) // 4)
"""Tokens of input that are estimated for it."""
SHOWN = b'{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"messages":[]}'


def said(text: str = "Hi", end: bytes = b"\n\n") -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + end


def used(end: bytes = b"\n\n") -> bytes:
    return b'data: {"choices":[],"usage":{"prompt_tokens":19,"completion_tokens":7}}' + end


def done(end: bytes = b"\n\n") -> bytes:
    return b"data: [DONE]" + end


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Stream:
    """An event stream on its way through a relay: the provider says, the client hears."""

    def __init__(
        self, rig, *, wire: str = "chat", asked: bytes = ASKED, limit: int = 0, http10: bool = False, head: bytes = HEAD, guard=None
    ) -> None:
        self.vendor = rig.vendor()
        self.exchange = rig.exchange(f"POST {PATHS[wire]}".encode())
        self.exchange.http10 = http10
        self.transport = self.exchange.edge.transport
        self.ask = WIRES[wire].peek(asked)
        self.events = Events(self.exchange, self.ask, rig.answered(head, self.vendor), self.vendor.connection, limit, guard)
        self.head = self.transport.taken()
        rig.deliver(self.events, self.vendor)
        self._heard = b""

    @property
    def heard(self) -> bytes:
        """The content that has reached the client."""
        self._heard += self.transport.taken()
        return unchunked(self._heard)[0]

    @property
    def whole(self) -> bool:
        """The client was told that there is no more."""
        self._heard += self.transport.taken()
        return unchunked(self._heard)[1]

    def says(self, *chunks: bytes) -> None:
        """Chunks, a packet each."""
        self.vendor.says(*map(chunk, chunks))


@pytest.fixture
def stream(rig):
    return lambda **options: Stream(rig, **options)


# the bytes

ENDS = st.sampled_from((b"\n\n", b"\r\n\r\n", b"\n\r\n"))
EVENTS = st.one_of(
    st.builds(said, st.text(max_size=5), ENDS),
    st.builds(lambda end: b": ping" + end, ENDS),
    st.builds(lambda end: b"event: a\ndata: 1\ndata: 2" + end, ENDS),
    st.builds(used, ENDS),
)
CUTS = st.lists(st.integers(0, 10_000), max_size=6)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces, none of them empty."""
    ends = sorted({place % len(data) for place in places} - {0})
    return [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(before=st.lists(EVENTS, max_size=8), after=st.lists(EVENTS, max_size=2), last=ENDS, chunks=CUTS, packets=CUTS, shows=st.booleans())
@settings(max_examples=300, deadline=None)
def test_exactly_the_providers_bytes_less_what_is_hidden_and_held(rig_of_module, before, after, last, chunks, packets, shows):
    stream = Stream(rig_of_module, asked=SHOWN if shows else ASKED)
    wanted = b"".join(event for event in before if shows or b"usage" not in event)
    held = done(last) + b"".join(after)
    framed = b"".join(map(chunk, cut(b"".join(before) + held, chunks)))
    for piece in cut(framed, packets):
        stream.vendor.says(piece)
        assert wanted.startswith(stream.heard)
    assert stream.heard == wanted
    stream.vendor.says(b"0\r\n\r\n")
    assert stream.events.ended.value == COMPLETE
    assert stream.heard == wanted and not stream.whole
    stream.events.finish(COMPLETE, [])
    assert stream.heard == wanted + held and stream.whole
    assert stream.exchange.finished
    usage, estimated = stream.events.usage()
    if any(b"usage" in event for event in before):
        assert (usage.input_tokens, usage.output_tokens, estimated) == (19, 7, False)


@pytest.fixture(scope="module")
def rig_of_module(tmp_path_factory):
    return Rig(tmp_path_factory.mktemp("events"))


@given(chunks=CUTS, packets=CUTS, carriage=st.booleans())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("wire", PATHS)
def test_every_wire_is_held_from_its_last_event_on(rig_of_module, wire, chunks, packets, carriage):
    events = {"chat": chat_events, "messages": messages_events, "responses": responses_events}[wire](10)
    if carriage:
        events = [event.replace(b"\n", b"\r\n") for event in events]
    stream = Stream(rig_of_module, wire=wire, asked=SHOWN)
    framed = b"".join(map(chunk, cut(b"".join(events), chunks)))
    for piece in cut(framed, packets):
        stream.vendor.says(piece)
    stream.vendor.says(b"0\r\n\r\n")
    assert stream.heard == b"".join(events[:-1])
    usage, estimated = stream.events.usage()
    assert (usage.input_tokens, usage.output_tokens, estimated) == (19, 10, False)
    stream.events.finish(COMPLETE, [])
    assert stream.heard == b"".join(events) and stream.whole


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_cut_at_every_byte(stream, end):
    events = [said("one", end), said("two", end), said("three", end), used(end), said("four", end), done(end)]
    whole = b"".join(events)
    framed = chunk(whole)
    for place in range(1, len(framed)):
        one, two = stream(), stream()
        one.vendor.says(framed[:place], framed[place:])
        two.vendor.says(*(chunk(part) for part in (whole[:place], whole[place:]) if part))
        for cut_stream in (one, two):
            assert cut_stream.heard == whole.replace(used(end), b"").replace(done(end), b"")
            assert cut_stream.events.usage()[0].output_tokens == 7


def test_one_byte_at_a_time(stream):
    whole = said() * 3 + used() + done()
    slow = stream()
    slow.says(*(whole[at : at + 1] for at in range(len(whole))))
    assert slow.heard == said() * 3
    slow.vendor.says(b"0\r\n\r\n")
    slow.events.finish(COMPLETE, [])
    assert slow.heard == said() * 3 + done()


def test_a_chunk_leaves_with_its_own_framing(stream):
    plain = stream()
    plain.says(said(), said())
    plain.heard  # noqa: B018  as if it were read
    odd = b"0" * 3 + chunk(said("three"))
    plain.vendor.says(chunk(said("one")) + odd)
    assert plain.transport.taken() == chunk(said("one")) + odd


def test_a_mark_that_is_cut_by_two_chunks_of_one_packet_is_seen(stream):
    """Who reads chunks with their framing would not find it."""
    two = stream()
    two.says(said(), said(), said())
    data = used() + done()
    for place in range(1, len(data)):
        two = stream()
        two.says(said(), said(), said())
        two.vendor.says(chunk(data[:place]) + chunk(data[place:]))
        assert two.heard == said() * 3
        assert two.events.usage()[0].output_tokens == 7


def test_an_event_without_its_blank_line_at_the_end_is_forwarded(stream):
    short = stream()
    short.says(said(), b"data: {}\n")
    assert short.heard == said()
    short.vendor.says(b"0\r\n\r\n")
    assert short.heard == said() + b"data: {}\n"


def test_a_last_event_without_its_blank_line_is_held(stream):
    short = stream()
    short.says(said(), b"data: [DONE]")
    short.vendor.says(b"0\r\n\r\n")
    assert short.heard == said()
    short.events.finish(COMPLETE, [])
    assert short.heard == said() + b"data: [DONE]"


def test_where_events_end():
    wanted = {b"": 0, b"a": 0, b"a\n": 0, b"a\n\n": 3, b"a\r\n\r\n": 5, b"a\n\nb": 3, b"a\n\r\nb\n\nc": 7, b"a\n\nb\r\n\r\n": 8}
    assert {data: end_of_events(data) for data in wanted} == wanted


# long events and long tails


def test_a_very_long_event_leaves_before_it_is_whole(stream):
    long = stream()
    long.says(said(), said())
    event = b'data: {"choices":[{"delta":{"content":"' + b"x" * (PARTIAL_LIMIT + 5)
    event += b'"}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
    for at in range(0, len(event), 100_000):
        long.says(event[at : at + 100_000])
    assert long.heard == said() * 2 + event
    long.says(done())
    assert long.heard == said() * 2 + event


def test_what_follows_a_long_event_in_its_chunk_is_read(stream):
    long = stream()
    long.says(b"data: " + b"x" * (PARTIAL_LIMIT + 5))
    long.says(b"xxx\n\n" + said() + used() + done())
    assert long.heard.endswith(b"xxx\n\n" + said())
    assert long.events.usage()[0].output_tokens == 7


def test_a_long_event_ends_where_two_packets_meet(stream):
    for first, second in ((b"\n", b"\n"), (b"\r\n", b"\r\n"), (b"\r\n\r", b"\n"), (b"\r", b"\n\r\n")):
        long = stream()
        long.says(b"data: " + b"x" * (PARTIAL_LIMIT + 5), first, second + used() + done())
        assert long.heard.endswith(b"x" + first + second)
        assert long.events.usage()[0].output_tokens == 7


def test_a_long_last_event_is_held(rig):
    stream = Stream(rig, wire="responses")
    event = b'event: response.completed\ndata: {"type":"response.completed","response":{"output":"' + b"x" * (PARTIAL_LIMIT + 5)
    event += b'","usage":{"input_tokens":3,"output_tokens":4}}}\n\n'
    for at in range(0, len(event), 200_000):
        stream.says(event[at : at + 200_000])
    assert stream.heard == b""
    stream.events.finish(COMPLETE, [])
    assert stream.heard == event


def test_of_more_than_the_limit_only_the_end_is_held(stream):
    long = stream()
    tail = [b": " + bytes([65 + number]) * 400_000 + b"\n\n" for number in range(15)]
    long.says(said(), done(), *tail)
    held = sum(map(len, long.events._held))
    assert HELD_LIMIT <= held < HELD_LIMIT + 400_100
    assert len(long.heard) == len(said() + done()) + sum(map(len, tail)) - held
    long.vendor.says(b"0\r\n\r\n")
    long.events.finish(COMPLETE, [])
    assert long.heard == said() + done() + b"".join(tail)


# the head


def test_the_head_is_written_at_once_and_asks_proxies_not_to_buffer(stream):
    status, headers, rest = parts_of(stream().head)
    assert (status, headers[b"transfer-encoding"], headers[b"x-accel-buffering"], rest) == (200, b"chunked", b"no", b"")
    assert b"content-length" not in headers


def test_the_request_not_to_buffer_is_made_once(stream):
    assert stream(head=HEAD.replace(b"\r\n\r\n", b"\r\nx-accel-buffering: no\r\n\r\n")).head.count(b"x-accel-buffering") == 1


def test_http_1_0_has_no_chunks_and_ends_with_the_connection(stream):
    old = stream(http10=True)
    _, headers, _ = parts_of(old.head)
    assert headers[b"connection"] == b"close" and b"transfer-encoding" not in headers
    old.says(said(), said(), said(), done())
    assert old.transport.taken() == said() * 3
    old.vendor.says(b"0\r\n\r\n")
    old.events.finish(COMPLETE, [])
    assert old.transport.taken() == done()
    assert old.transport.closed


# how it ends


@pytest.mark.parametrize(("kind", "outcome", "code"), [
    ("timeout", UPSTREAM_TIMEOUT, "upstream_timeout"),
    ("broken", UPSTREAM_DIED, "upstream_broken"),
    ("invalid", UPSTREAM_DIED, "upstream_invalid"),
])  # fmt: skip
def test_a_broken_stream_ends_with_an_error_event(stream, kind, outcome, code):
    broken = stream()
    broken.says(said(), b"data: {half")
    broken.vendor.connection.fail(UpstreamError(kind, "so it is"))
    assert broken.events.ended.value == outcome
    broken.events.finish(outcome, [])
    start = len(said())
    assert broken.heard[:start] == said()
    event = broken.heard[start:]
    assert json.loads(event.removeprefix(b"data: "))["error"]["code"] == code and event.endswith(b"\n\n")
    assert broken.whole and broken.exchange.finished


def test_an_error_event_in_the_middle_of_a_long_event_begins_on_a_line_of_its_own(stream):
    broken = stream()
    broken.says(b"data: " + b"x" * (PARTIAL_LIMIT + 5))
    broken.vendor.connection.fail(UpstreamError("broken", "so it is"))
    broken.events.finish(UPSTREAM_DIED, [])
    assert b"xx\n\ndata: {" in broken.heard


def test_a_stream_that_breaks_after_its_last_event_is_whole(stream):
    broken = stream()
    broken.says(said(), done())
    broken.vendor.connection.fail(UpstreamError("broken", "too late"))
    assert broken.events.ended.value == COMPLETE
    broken.events.finish(COMPLETE, [])
    assert broken.heard == said() + done()


def test_a_stop_ends_with_an_error_event(stream):
    stopped = stream()
    stopped.says(said())
    stopped.events.finish(STOPPED, [])
    assert b'"shutting_down"' in stopped.heard and stopped.whole


def test_further_lines_come_behind_what_was_held(stream):
    shown = stream()
    shown.says(said(), done())
    shown.vendor.says(b"0\r\n\r\n")
    shown.events.finish(COMPLETE, [b": cost 5\n\n"])
    assert shown.heard == said() + done() + b": cost 5\n\n"


def test_a_client_that_has_left_is_written_nothing(stream):
    left = stream()
    left.says(said())
    left.transport.taken()
    left.exchange.gone = True
    left.events.finish(CLIENT_GONE, [])
    assert left.transport.taken() == b""


# estimates, records, silence, slowness


def test_a_stream_without_figures_is_estimated_by_all_that_passed(stream):
    broken = stream()
    broken.says(*(said(f"word{number} ") for number in range(50)))
    broken.vendor.connection.fail(UpstreamError("broken", "so it is"))
    usage, estimated = broken.events.usage()
    assert estimated and 40 <= usage.output_tokens <= 110
    assert broken.events.usage() == (usage, True)


def test_the_estimate_does_not_depend_on_chunks(stream):
    texts = [said(f"word{number} ") for number in range(50)]
    estimates = set()
    for chunks in (texts, [b"".join(texts[:2]), b"".join(texts[2:])], [b"".join(texts[at : at + 5]) for at in range(0, 50, 5)]):
        one = stream()
        one.says(*chunks)
        estimates.add(one.events.usage()[0].output_tokens)
    one = stream()
    one.vendor.says(b"".join(map(chunk, texts)))
    estimates.add(one.events.usage()[0].output_tokens)
    assert max(estimates) - min(estimates) <= 2


def test_the_record_has_what_the_provider_sent(stream):
    whole = said() * 4 + used() + done()
    for packets in ([chunk(whole)], [chunk(said())] * 4 + [chunk(used()), chunk(done())]):
        kept = stream(limit=10_000)
        kept.vendor.says(*packets)
        assert b"".join(kept.events.tape.pieces) == whole
        assert not kept.events.tape.cut


def test_the_record_is_cut_at_its_limit_and_says_so(stream):
    kept = stream(limit=150)
    kept.says(*[said()] * 6)
    assert b"".join(kept.events.tape.pieces) == (said() * 6)[:150]
    assert kept.events.tape.cut
    assert stream().events.tape is None


def test_a_silent_stream_is_kept_alive_between_events(rig, stream):
    silent = stream()
    silent.says(said())
    silent.heard  # noqa: B018
    for tick in range(1, 10):
        silent.events.keep_alive(tick, 4)
    assert silent.heard == said() + b": keep-alive\n\n" * 2


def test_a_stream_that_speaks_is_not_commented(rig, stream):
    busy = stream()
    for tick in range(1, 10):
        rig.pulse.tick = tick
        busy.says(said())
        busy.events.keep_alive(tick, 4)
    assert b"keep-alive" not in busy.heard


def test_no_comment_in_the_middle_of_an_event_or_after_the_last(stream):
    half, last = stream(), stream()
    half.says(said(), b"data: " + b"x" * (PARTIAL_LIMIT + 5))
    last.says(said(), done())
    for one in (half, last):
        one.events.keep_alive(100, 4)
        assert b"keep-alive" not in one.heard


def test_a_comment_may_come_while_a_short_event_is_not_whole(stream):
    half = stream()
    half.says(said(), b"data: {")
    half.events.keep_alive(100, 4)
    half.says(b"}\n\n")
    assert half.heard == said() + b": keep-alive\n\n" + b"data: {}\n\n"


def test_a_slow_client_pauses_the_provider(stream):
    slow = stream()
    slow.says(said())
    slow.exchange.edge.pause_writing()
    assert not slow.vendor.transport.reading
    slow.events.keep_alive(100, 4)
    assert slow.heard == said()
    slow.exchange.edge.resume_writing()
    assert slow.vendor.transport.reading


def test_a_connection_whose_answer_is_whole_is_not_ours_to_pause(stream):
    slow = stream()
    slow.says(said(), done())
    slow.vendor.says(b"0\r\n\r\n")
    slow.exchange.edge.pause_writing()
    assert slow.vendor.transport.reading


# funds


async def _over(stream: Stream) -> None:
    """Until the stream has ended, after the last of the funds was asked for."""
    while not stream.events.ended.done:  # noqa: ASYNC110  nothing tells
        await asyncio.sleep(0)


def funded(tokens: int, *more, **about):
    """A guard whose hold is for what `ASKED` has as input, and for so many tokens of output."""
    return guarded(WILL_READ * IN + tokens * OUT, *more, **about)


def words(count: int) -> list[bytes]:
    return [said(f"word{number} ") for number in range(count)]


def outline(events: bytes) -> list[str]:
    """What each event says: its text, or how it ends."""
    told = []
    for event in split(events):
        data = event.removeprefix(b"data: ").rstrip()
        if data == b"[DONE]":
            told.append("done")
        else:
            choice = json.loads(data)["choices"][0]
            told.append(choice["finish_reason"] if choice.get("finish_reason") else choice["delta"]["content"].strip())
    return told


@pytest.mark.parametrize("pieces", [1, 7, 40])
async def test_a_stream_ends_in_good_order_where_its_funds_end(stream, pieces):
    guard, _ = funded(20)
    poor = stream(guard=guard)
    data = words(40)
    poor.says(*(b"".join(data[at : at + 40 // pieces]) for at in range(0, 40, 40 // pieces)))
    await asyncio.wait_for(_over(poor), 5)
    assert poor.events.ended.value == OUT_OF_FUNDS
    assert poor.vendor.transport.aborted
    poor.events.finish(OUT_OF_FUNDS, [])
    told = outline(poor.heard)
    assert told[-2:] == ["length", "done"] and poor.whole
    shown = len(told) - 2
    assert told[:shown] == [f"word{number}" for number in range(shown)]
    assert shown == 20 if pieces == 40 else 20 <= shown <= 20 + 40 // pieces
    assert b'"code":"insufficient_funds"' in poor.heard
    usage, estimated = poor.events.usage()
    assert (usage.output_tokens, estimated) == (shown, True)
    assert poor.exchange.finished


async def test_what_follows_in_the_same_packet_is_not_shown(stream):
    guard, _ = funded(5, more=broke)
    poor = stream(guard=guard)
    poor.vendor.says(b"".join(map(chunk, [*words(40), used(), done()])) + b"0\r\n\r\n")
    for _ in range(5):
        await asyncio.sleep(0)
    poor.events.finish(poor.events.ended.value, [])
    # The end had come before the answer, so the provider has said what all of it costs.
    assert poor.events.ended.value == COMPLETE
    assert poor.events.usage()[0].output_tokens == 7


async def test_while_more_is_asked_for_nothing_passes_and_afterwards_all_does(stream):
    bursar = Bursar()
    guard, hold = funded(5, more=bursar.more)
    short = stream(guard=guard)
    short.says(*words(5), said("kept"))
    assert outline(short.heard) == [f"word{number}" for number in range(5)]
    assert not short.vendor.transport.reading
    short.says(said("back"), b"data: {half")
    short.events.resume()
    assert not short.vendor.transport.reading, "the client is not who is waited for"
    assert len(outline(short.heard)) == 5
    hold._funds.paid.amount += 100 * OUT
    await bursar.answers()
    assert outline(short.heard)[5:] == ["kept", "back"]
    assert short.vendor.transport.reading
    short.says(b"}\n\n", used(), done())
    short.vendor.says(b"0\r\n\r\n")
    assert short.events.ended.value == COMPLETE


async def test_when_there_is_no_more_what_came_meanwhile_is_not_shown(stream):
    bursar = Bursar()
    guard, _ = funded(5, more=bursar.more)
    short = stream(guard=guard)
    short.says(*words(9))
    await bursar.answers(PenstockError("budget_exceeded", "The cap is used up."))
    assert short.events.ended.value == OUT_OF_FUNDS
    short.events.finish(OUT_OF_FUNDS, [])
    assert outline(short.heard) == [*(f"word{number}" for number in range(5)), "length", "done"]
    assert b"budget_exceeded" in short.heard
    assert short.events.usage()[0].output_tokens == 5


@pytest.mark.parametrize("ends", ["whole", "broken"])
async def test_a_stream_that_ends_while_more_is_asked_for_is_shown_whole(stream, ends):
    bursar = Bursar()
    guard, _ = funded(5, more=bursar.more)
    short = stream(guard=guard)
    short.says(*words(9), *([used(), done()] if ends == "whole" else []))
    if ends == "whole":
        short.vendor.says(b"0\r\n\r\n")
    else:
        short.vendor.connection.fail(UpstreamError("broken", "so it is"))
    assert short.events.ended.value == (COMPLETE if ends == "whole" else UPSTREAM_DIED)
    assert len(outline(short.heard)) == 9
    await bursar.answers()
    assert short.events.ended.value == (COMPLETE if ends == "whole" else UPSTREAM_DIED)


async def test_a_slow_client_stays_slow_when_funds_have_come(stream):
    bursar = Bursar()
    guard, hold = funded(5, more=bursar.more)
    short = stream(guard=guard)
    short.says(*words(6))
    short.events.pause()
    hold._funds.paid.amount += 100 * OUT
    await bursar.answers()
    assert not short.vendor.transport.reading
    short.events.resume()
    assert short.vendor.transport.reading


def test_a_hold_is_extended_without_a_pause(stream):
    guard, hold = funded(10, 10_000 * OUT)
    rich = stream(guard=guard)
    rich.says(*words(3000), used(), done())
    assert outline(rich.heard)[-1] == "word2999"
    assert hold.amount_nano > 3000 * OUT
    rich.vendor.says(b"0\r\n\r\n")
    assert rich.events.ended.value == COMPLETE


async def test_figures_of_the_provider_count_for_more_than_bytes(stream):
    """Vendors that repeat the usage in every chunk say how much it is already."""
    guard, _ = funded(1_000, cap=None)
    poor = stream(guard=guard, asked=SHOWN)
    counted = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":5,"completion_tokens":%d}}\n\n'
    poor.says(counted % 10, counted % 20, counted % 990, *[counted % 1005] * 9)
    assert poor.heard.count(b"data: ") == 4
    await asyncio.wait_for(_over(poor), 5)
    assert poor.events.ended.value == OUT_OF_FUNDS


def test_the_usage_so_far_may_be_asked_for_at_any_time(stream):
    watched, plain = stream(guard=funded(10_000)[0]), stream()
    for event in words(300):
        watched.says(event)
        plain.says(event)
        if len(watched.heard) % 3 == 0:
            assert watched.events.so_far().output_tokens > 0
    assert watched.events.usage() == plain.events.usage()
    assert watched.heard == plain.heard


def test_sound_does_not_use_up_what_is_held_for_text(stream):
    guard, _ = funded(10_000)
    loud = stream(guard=guard)
    sound = b'data: {"choices":[{"index":0,"delta":{"audio":{"data":"%b"}}}]}\n\n' % (b"QUJD" * 1_000)
    loud.says(*[sound] * 50)
    assert loud.heard == sound * 50


async def test_a_client_that_leaves_is_written_nothing_and_the_rest_is_metered(stream):
    left = stream()
    left.says(*words(10))
    left.transport.taken()
    left.exchange.gone = True
    left.events.pause()
    left.events.leave()
    assert left.vendor.transport.reading
    left.says(*words(10), used(), done())
    left.vendor.says(b"0\r\n\r\n")
    assert left.transport.taken() == b""
    assert left.events.usage()[0].output_tokens == 7 and not left.events.usage()[1]


def test_every_wires_keep_alive_is_between_events():
    for wire in WIRES.values():
        assert wire.dialect.keep_alive.endswith(b"\n\n")
    assert module.LEARNED == 2

"""Plain answers: gathered while they are small, passed on one piece behind when they are not, and honest when they break."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_ends import USAGE, Rig, answer, parts_of, unchunked
from penstock.relay.outcome import CLIENT_GONE, COMPLETE, STOPPED, UPSTREAM_DIED, UPSTREAM_TIMEOUT
from penstock.relay.splice import GATHERED_LIMIT, TAIL_LIMIT, Plain, refusal
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.usage import Usage
from penstock.upstream.wires.wire import Ask

SOUND = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


class Answered:
    """A plain answer on its way through a relay."""

    def __init__(self, rig, head: bytes, *, line: bytes = b"POST /v1/chat/completions", http10: bool = False, limit: int = 0) -> None:
        self.vendor = rig.vendor()
        self.exchange = rig.exchange(line)
        self.exchange.http10 = http10
        self.transport = self.exchange.edge.transport
        before, end, rest = head.partition(b"\r\n\r\n")
        signal = self.vendor.connection.ask(b"", to_head=line.startswith(b"HEAD"))
        self.vendor.says(before + end)
        self.plain = Plain(self.exchange, Ask(model="gpt-4o", input_size=100), signal.value, self.vendor.connection, limit)
        rig.deliver(self.plain, self.vendor)
        if rest:
            self.vendor.says(rest)

    def finish(self, outcome: str = COMPLETE, *lines: bytes) -> bytes:
        self.plain.finish(outcome, list(lines))
        return self.transport.taken()


@pytest.fixture
def answered(rig):
    return lambda head=b"", **options: Answered(rig, head or answer(), **options)


# so far


def test_what_nobody_has_got_has_used_nothing_so_far(answered):
    small = answered(answer()[:-5])
    assert small.plain.so_far() == Usage(calls=0)


def test_of_a_long_answer_that_is_on_its_way_the_size_counts(answered):
    long = answered(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + CHUNKED)
    long.vendor.says(b"%x\r\n" % (4 * GATHERED_LIMIT), b" " * (GATHERED_LIMIT + 1))
    usage = long.plain.so_far()
    assert usage.input_tokens == 25 and usage.output_tokens == (GATHERED_LIMIT + 1 - 250) // 4
    assert long.plain.so_far() == usage
    assert long.plain.usage()[1]


def test_when_its_client_has_left_it_is_read_on(answered):
    left = answered(answer()[:-5])
    left.plain.pause()
    assert not left.vendor.transport.reading
    left.plain.leave()
    assert left.vendor.transport.reading


# gathered


def test_nothing_leaves_before_the_end(answered):
    small = answered()
    assert small.plain.ended.value == COMPLETE
    assert small.transport.taken() == b""
    status, headers, body = parts_of(small.finish())
    assert (status, headers[b"content-length"], body) == (200, b"%d" % len(USAGE), USAGE)
    assert small.exchange.finished


@given(cuts=st.lists(st.integers(1, 200), max_size=8), chunked=st.booleans())
@settings(max_examples=60, deadline=None)
def test_however_it_comes_it_leaves_as_one(rig_of_module, cuts, chunked):
    data = answer()
    if chunked:
        data = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(USAGE), USAGE)
    head, end, rest = data.partition(b"\r\n\r\n")
    one = Answered(rig_of_module, head + end)
    places = sorted({cut % len(rest) for cut in cuts} - {0})
    for begin, stop in zip([0, *places], [*places, len(rest)], strict=True):
        one.vendor.says(rest[begin:stop])
    assert one.plain.usage()[0].output_tokens == 5
    assert parts_of(one.finish())[2] == USAGE


@pytest.fixture(scope="module")
def rig_of_module(tmp_path_factory):
    return Rig(tmp_path_factory.mktemp("splice"))


def test_usage_is_the_providers(answered):
    usage, estimated = answered().plain.usage()
    assert (usage.input_tokens, usage.output_tokens, estimated) == (9, 5, False)


@pytest.mark.parametrize("status", [301, 400, 429, 500])
def test_an_error_has_consumed_nothing_and_is_passed_on(answered, status):
    refused = answered(answer(b'{"error":{"message":"no"}}', b"x-odd: 1", status=status))
    assert refused.plain.usage()[0].calls == 0
    shown, headers, body = parts_of(refused.finish())
    assert (shown, headers[b"x-odd"], body) == (status, b"1", b'{"error":{"message":"no"}}')


def test_usage_is_read_through_a_compression_that_was_not_asked_for(answered):
    packed = gzip.compress(USAGE)
    odd = answered(answer(packed, b"content-encoding: gzip"))
    assert odd.plain.usage()[0].output_tokens == 5
    _, headers, body = parts_of(odd.finish())
    assert headers[b"content-encoding"] == b"gzip" and body == packed


@pytest.mark.parametrize("packed", [b"rubbish", gzip.compress(b"0" * 64_000_000)[:60_000]])
def test_a_compression_that_cannot_be_read_is_estimated(answered, packed):
    usage, estimated = answered(answer(packed, b"content-encoding: gzip")).plain.usage()
    assert estimated and usage.output_tokens > 0


def test_the_limit_is_exact(answered):
    for size, streams in ((GATHERED_LIMIT, False), (GATHERED_LIMIT + 1, True)):
        one = answered(answer(b" " * size))
        assert bool(one.transport.taken()) is streams
        assert b"%d" % size in answer(b" " * size)[:120]


def test_further_lines_go_into_a_head_that_has_not_left(answered):
    assert parts_of(answered().finish(COMPLETE, b"x-penstock-cost: 5\r\n"))[1][b"x-penstock-cost"] == b"5"


@pytest.mark.parametrize(("status", "line", "length"), [
    (204, b"DELETE /v1/files/a", None),
    (304, b"GET /v1/files/a", b"7"),
    (200, b"HEAD /v1/models", b"7"),
])  # fmt: skip
def test_answers_without_a_body_get_none(answered, status, line, length):
    head = b"HTTP/1.1 %d Fine\r\n%bcontent-type: application/json\r\n\r\n" % (status, b"" if length is None else b"content-length: 7\r\n")
    shown, headers, body = parts_of(answered(head, line=line).finish())
    assert (shown, headers.get(b"content-length"), body) == (status, length, b"")
    assert b"transfer-encoding" not in headers


def test_an_empty_body_has_a_length(answered):
    assert parts_of(answered(answer(b"")).finish())[1][b"content-length"] == b"0"


# passed on

SIZED = SOUND + b"content-length: 10\r\n\r\n"


def test_sound_leaves_as_it_comes_one_piece_behind(answered):
    sound = answered(SIZED)
    assert sound.transport.taken() == b""
    sound.vendor.says(b"abc")
    status, headers, body = parts_of(sound.transport.taken())
    assert (status, headers[b"content-length"], body) == (200, b"10", b"")
    sound.vendor.says(b"def")
    assert sound.transport.taken() == b"abc"
    sound.vendor.says(b"ghij")
    assert sound.transport.taken() == b"def"
    assert sound.plain.ended.value == COMPLETE and not sound.exchange.finished
    assert sound.finish() == b"ghij"
    assert sound.exchange.finished


def test_chunks_are_framed_anew(answered):
    sound = answered(SOUND + CHUNKED)
    sound.vendor.says(b"3\r\nabc\r\n3\r\ndef\r\n", b"0\r\n\r\n")
    data = sound.transport.taken() + sound.finish()
    _, headers, rest = parts_of(data)
    assert headers[b"transfer-encoding"] == b"chunked"
    assert unchunked(rest) == (b"abcdef", True)


def test_http_1_0_gets_what_has_no_length_up_to_the_end_of_the_connection(answered):
    old = answered(SOUND + CHUNKED, http10=True)
    old.vendor.says(b"3\r\nabc\r\n3\r\ndef\r\n", b"0\r\n\r\n")
    _, headers, rest = parts_of(old.transport.taken() + old.finish())
    assert headers[b"connection"] == b"close" and b"transfer-encoding" not in headers
    assert rest == b"abcdef" and old.transport.closed


def test_a_long_answer_is_read_at_its_end(answered):
    body = b'{"x":"' + b"y" * (GATHERED_LIMIT + TAIL_LIMIT) + b'",' + USAGE[1:]
    long = answered(answer(b"")[:-4].replace(b"content-length: 0", b"content-length: %d" % len(body)) + b"\r\n\r\n")
    for at in range(0, len(body), 50_000):
        long.vendor.says(body[at : at + 50_000])
    usage, estimated = long.plain.usage()
    assert (usage.output_tokens, estimated) == (5, False)
    assert sum(map(len, long.plain._tail)) < TAIL_LIMIT + 50_001
    assert parts_of(long.transport.taken() + long.finish())[2] == body


# broken

BREAKS = [("timeout", UPSTREAM_TIMEOUT, 504), ("broken", UPSTREAM_DIED, 502), ("invalid", UPSTREAM_DIED, 502)]


@pytest.mark.parametrize(("kind", "outcome", "status"), BREAKS)
def test_before_it_has_begun_it_is_an_error(answered, kind, outcome, status):
    broken = answered(answer()[:-5])
    broken.vendor.connection.fail(UpstreamError(kind, "so it is"))
    assert broken.plain.ended.value == outcome
    shown, headers, body = parts_of(broken.finish(outcome))
    assert shown == status and json.loads(body)["error"]["code"].startswith("upstream_")
    assert b"connection" not in headers and not broken.transport.is_closing()


def test_when_it_has_begun_its_missing_end_tells(answered):
    for head in (SIZED, SOUND + CHUNKED):
        broken = answered(head)
        broken.vendor.says(b"3\r\nabc\r\n")
        broken.transport.taken()
        broken.vendor.leaves()
        assert broken.plain.ended.value == UPSTREAM_DIED
        assert broken.finish(UPSTREAM_DIED) == b""
        assert broken.transport.closed


def test_a_client_that_has_left_is_written_nothing(answered):
    left = answered(answer()[:-5])
    left.exchange.gone = True
    assert left.finish(CLIENT_GONE) == b""
    assert left.exchange.finished


def test_what_a_long_answer_has_consumed_when_it_breaks_is_an_estimate(answered):
    sound = answered(SIZED)
    sound.vendor.says(b"abc")
    sound.vendor.leaves()
    assert sound.plain.usage()[1]


@pytest.mark.parametrize(("outcome", "status", "code"), [(STOPPED, 503, "shutting_down"), (UPSTREAM_DIED, 502, "upstream_broken")])
def test_what_ends_without_a_failure_of_the_provider_has_words(answered, outcome, status, code):
    shown, _, body = parts_of(answered(answer()[:-5]).finish(outcome))
    assert (shown, json.loads(body)["error"]["code"]) == (status, code)


@pytest.mark.parametrize(("kind", "code", "status"), [
    ("full", "overloaded", 503),
    ("timeout", "upstream_timeout", 504),
    ("refused", "upstream_refused", 502),
    ("invalid", "upstream_invalid", 502),
    ("broken", "upstream_broken", 502),
])  # fmt: skip
def test_every_failure_has_a_code(kind, code, status):
    error = refusal(UpstreamError(kind, "as it is"))
    assert (error.code, error.status) == (code, status) and "as it is" in error.message


# slowness and records


def test_a_slow_client_pauses_the_provider(answered):
    sound = answered(SIZED)
    sound.vendor.says(b"abc")
    sound.exchange.edge.pause_writing()
    assert not sound.vendor.transport.reading
    sound.exchange.edge.resume_writing()
    assert sound.vendor.transport.reading
    sound.vendor.says(b"defghij")
    sound.exchange.edge.pause_writing()
    assert sound.vendor.transport.reading


@pytest.mark.parametrize("head", [answer(b'"0123456789"'), SOUND + b'content-length: 12\r\n\r\n"0123456789"'])
@pytest.mark.parametrize(("limit", "kept"), [(0, None), (5, b'"0123'), (12, b'"0123456789"'), (100, b'"0123456789"')])
def test_the_record_has_the_beginning(answered, head, limit, kept):
    one = answered(head, limit=limit)
    one.finish()
    tape = one.plain.tape
    assert (b"".join(tape.pieces) if tape else None) == kept
    assert tape is None or tape.cut is (limit < 12)

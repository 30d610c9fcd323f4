"""Framing: any body cut anywhere gives the same bytes, and what RFC 9112 forbids is refused."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.upstream.client import framing
from penstock.upstream.client.framing import LINE_LIMIT, SIZES_KEPT, TRAILER_LIMIT, Chunked, FramingError, Length, UntilClose

END = b"0\r\n\r\n"


class Kept:
    """A sink that keeps what it is given, and checks that framed chunks hold what they are said to hold."""

    def __init__(self) -> None:
        self.content = b""
        self.pieces: list[bytes] = []
        self.framed: list[bytes] = []

    def body(self, data: bytes) -> None:
        assert data
        self.pieces.append(data)
        self.content += data

    def chunks(self, framed: bytes, parts: list[bytes]) -> None:
        left = framed
        for part in parts:
            assert part
            size, _, left = left.partition(b"\r\n")
            assert re.fullmatch(rb"[0-9a-fA-F]+", size)
            assert left[: len(part) + 2] == part + b"\r\n"
            assert int(size, 16) == len(part)
            left = left[len(part) + 2 :]
        assert left == b""
        self.framed.append(framed)
        self.content += b"".join(parts)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[begin:end] for begin, end in pairwise(places) if end > begin]


def read(reader, data: bytes, cuts: list[int]) -> tuple[bytes, bytes | None, bool]:
    """The content delivered, what lies beyond the body (None: it goes on), and whether it was refused."""
    sink, pieces = Kept(), pieces_of(data, cuts)
    for number, piece in enumerate(pieces):
        try:
            rest = reader.feed(piece, sink)
        except FramingError:
            return sink.content, None, True
        if rest is not None:
            return sink.content, rest + b"".join(pieces[number + 1 :]), False
    return sink.content, None, False


def refused(data: bytes) -> bool:
    """Refused whole, and byte by byte."""
    verdicts = {read(Chunked(), data, cuts)[2] for cuts in ([], list(range(len(data))))}
    assert len(verdicts) == 1
    return verdicts.pop()


TOKENS = st.text("!#$%&'*+-.^_`|~abcXYZ019", min_size=1, max_size=6).map(str.encode)
QUOTED = st.lists(st.sampled_from([b"a", b" ", b"\t", b";", b"=", b'\\"', b"\\\\", b"\xff", b"\\ "]), max_size=6).map(
    lambda parts: b'"' + b"".join(parts) + b'"'
)
BLANKS = st.sampled_from([b"", b" ", b"\t", b" \t "])
EXTENSIONS = st.lists(
    st.builds(
        lambda before, after, name, value: before + b";" + after + name + value,
        BLANKS,
        BLANKS,
        TOKENS,
        st.one_of(st.just(b""), st.builds(lambda b, a, v: b + b"=" + a + v, BLANKS, BLANKS, st.one_of(TOKENS, QUOTED))),
    ),
    max_size=2,
).map(b"".join)
SIZES = st.sampled_from(["{:x}", "{:X}", "0{:x}", "000{:X}"])


@st.composite
def chunked_bodies(draw) -> tuple[bytes, bytes]:
    """A valid chunked body and its content."""
    wire, content = b"", b""
    for part in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6)):
        wire += draw(SIZES).format(len(part)).encode() + draw(EXTENSIONS) + b"\r\n" + part + b"\r\n"
        content += part
    wire += draw(st.sampled_from([b"0", b"00", b"000000"])) + draw(EXTENSIONS) + b"\r\n"
    for name, value in draw(st.lists(st.tuples(TOKENS, st.sampled_from([b"", b"x", b" a b ", b"\xff\t"])), max_size=3)):
        wire += name + b":" + value + b"\r\n"
    return wire + b"\r\n", content


CUTS = st.lists(st.integers(0, 400), max_size=12)


@given(chunked_bodies(), CUTS, st.binary(max_size=10))
def test_any_chunking_of_any_body_cut_anywhere_gives_the_same_bytes(body, cuts, beyond):
    wire, content = body
    assert read(Chunked(), wire + beyond, cuts) == (content, beyond, False)


@given(chunked_bodies())
def test_every_single_cut_gives_the_same_bytes(body):
    wire, content = body
    for cut in range(len(wire)):
        assert read(Chunked(), wire, [cut]) == (content, b"", False)
    assert read(Chunked(), wire, list(range(len(wire)))) == (content, b"", False)


@given(chunked_bodies(), st.integers(0, 400), st.one_of(st.binary(max_size=3), st.sampled_from([b"\n", b"\r", b" ", b";", b"_"])), CUTS)
@example((b"1;a\r\nx\r\n0\r\n\r\n", b"x"), 4, b"\n", [3, 4, 5])
def test_a_damaged_body_is_judged_the_same_wherever_it_is_cut(body, at, damage, cuts):
    wire = body[0]
    at %= len(wire)
    damaged = wire[:at] + damage + wire[at + 1 :]
    assert read(Chunked(), damaged, cuts) == read(Chunked(), damaged, [])


@given(chunked_bodies(), st.integers(1, 400))
def test_a_body_that_breaks_off_is_not_over(body, missing):
    wire, content = body
    cut = wire[: max(0, len(wire) - missing)]
    reader = Chunked()
    delivered, rest, wrong = read(reader, cut, [])
    assert (rest, wrong) == (None, False)
    assert content.startswith(delivered)
    with pytest.raises(FramingError):
        reader.close()


@pytest.mark.parametrize(
    "line",
    [
        b"", b" ", b"+5", b"-5", b"-0", b"0x5", b"0X5", b"5_0", b"5h", b"g", b" 5", b"5 ", b"5\t", b"\t5", b"5 5", b"5,5", b"\xb2",
        b"5.0", b"5\r", b"\n5", b"5\x00", b"\x005", b"#5", b"ffffffffffffffff", b"0000000000000005", b";a", b";", b"5;", b"5;;a",
        b"5;a;", b"5;=b", b"5;a=", b"5;a==b", b"5;a b", b"5;a\nb", b"5;a\rb", b"5;a\x00", b'5;a="', b'5;a="b', b'5;a="b"c', b'5;a="\n"',
        b'5;a="\\', b'5;a="\x7f"', b"5;a=\xff", b"5;\xff", b"5;a ", b"5;a=b ", b"5;(a)", b"5a;b c",
    ],
)  # fmt: skip
def test_the_first_line_of_a_chunk_is_taken_strictly(line):
    with pytest.raises(FramingError):
        framing.chunk_size(line)
    assert refused(line + b"\r\nhello\r\n" + END)


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"0", 0), (b"000", 0), (b"a", 10), (b"A", 10), (b"00ff", 255), (b"fffffffffffffff", 16**15 - 1), (b"5;a", 5), (b"5 ; a = b", 5),
        (b'5;a="b;c=\\"d\\""\t;\te', 5), (b"0;a=b", 0), (b"5;a;b;c=d", 5),
    ],
)  # fmt: skip
def test_sizes_and_extensions_that_are_allowed(line, size):
    assert framing.chunk_size(line) == size


@pytest.mark.parametrize(
    "wire",
    [
        b"5\r\nhello" + END,  # no line end after the content
        b"5\r\nhelloX\r\n" + END,
        b"5\r\nhello\n\n" + END,
        b"5\r\nhello\r\r\n" + END,
        b"4\r\nhello\r\n" + END,
        b"6\r\nhello\r\n" + END,
        b"5\nhello\r\n" + END,
        b"5\nhello\n0\n\n",
        b"\r\n5\r\nhello\r\n" + END,
        b"0\n\r\n",
        b"0\r\na\r\n\r\n",  # no colon
        b"0\r\n: b\r\n\r\n",
        b"0\r\na : b\r\n\r\n",
        b"0\r\na: b\r\n c\r\n\r\n",  # folded
        b"0\r\n a: b\r\n\r\n",
        b"0\r\na: b\nc: d\r\n\r\n",
        b"0\r\na: b\rc\r\n\r\n",
        b"0\r\na: \x00\r\n\r\n",
        b"0\r\na: b\x7f\r\n\r\n",
        b"0\r\n\n",
    ],
)
def test_other_framing_that_is_not_allowed(wire):
    assert refused(wire)


def test_an_empty_line_ends_the_body_and_no_more():
    assert read(Chunked(), b"0\r\n\r\n\r\nHTTP/1.1 200", []) == (b"", b"\r\nHTTP/1.1 200", False)


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("cuts", [[], [LINE_LIMIT - 1], [LINE_LIMIT - 2], list(range(0, 5000, 7))])
def test_a_line_may_be_so_long_and_no_longer(excess, cuts):
    def line(before: bytes, after: bytes) -> bytes:
        return before + b"x" * (LINE_LIMIT - len(before) - len(after) - 2 + excess) + after + b"\r\n"

    for wire in (line(b"5;a=", b"") + b"hello\r\n" + END, b"5\r\nhello\r\n0\r\n" + line(b"a: ", b"") + b"\r\n"):
        delivered, rest, wrong = read(Chunked(), wire, cuts)
        assert (rest, wrong) == ((None, True) if excess else (b"", False))
        assert delivered == (b"hello" if b"\na" in wire or not excess else b"")


def test_a_line_that_never_ends_is_refused_before_it_fills_the_memory():
    for start in (b"", b"0\r\na: "):
        reader, sink = Chunked(), Kept()
        reader.feed(start, sink)
        for _ in range(LINE_LIMIT - 1 - len(start.rpartition(b"\n")[2])):
            reader.feed(b"5", sink)
        with pytest.raises(FramingError):
            reader.feed(b"5", sink)


@pytest.mark.parametrize("cuts", [[], list(range(0, 40_000, 13)), list(range(0, 40_000, 1000))])
def test_trailers_may_be_so_long_and_no_longer(cuts):
    trailer = b"x-trailer: " + b"y" * 500 + b"\r\n"
    fits = TRAILER_LIMIT // len(trailer)
    assert read(Chunked(), b"0\r\n" + trailer * fits + b"\r\n", cuts) == (b"", b"", False)
    assert read(Chunked(), b"0\r\n" + trailer * (fits + 1) + b"\r\n", cuts) == (b"", None, True)


def test_whole_chunks_are_handed_on_as_they_were_framed():
    sink = Kept()
    wire = b"5\r\nhello\r\n006\r\nworld!\r\n"
    reader = Chunked()
    assert reader.feed(wire, sink) is None
    assert sink.framed == [wire]
    assert sink.framed[0] is wire
    assert reader.feed(wire + END, sink) == b""
    assert sink.framed == [wire, wire]
    assert sink.pieces == []


def test_extensions_and_pieces_are_not_handed_on_framed():
    sink, reader = Kept(), Chunked()
    reader.feed(b"5;a=b\r\nhello\r\n5\r\nwor", sink)
    reader.feed(b"ld\r\n5\r\nagain\r\n", sink)
    assert (sink.framed, sink.pieces) == ([b"5\r\nagain\r\n"], [b"hello", b"wor", b"ld"])


def test_content_before_a_fault_is_delivered():
    for wire in (b"5\r\nhello\r\n5\r\nworld!!", b"5\r\nhello\r\nzz\r\n", b"5\r\nhello\r\n\n"):
        delivered, _, wrong = read(Chunked(), wire, [])
        assert wrong
        assert delivered.startswith(b"hello")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("extension", [b"", b";a", b" ; a=b"])
def test_time_is_linear_in_tiny_chunks(extension):
    """In one piece: with anything quadratic this takes minutes, and with recursion it fails."""
    count = 100_000
    sink = Count()
    assert Chunked().feed((b"1" + extension + b"\r\nx\r\n") * count + END, sink) == b""
    assert sink.size == count


@pytest.mark.timeout(10)
def test_time_is_linear_in_a_line_of_extensions():
    for line in (b"5" + b";a" * 2040, b"5" + b" ;" * 2000, b"5;a=" + b'"\\a' * 1300, b"5;" + b"a" * 4000 + b"\x00", b"5" + b" " * 4000):
        for _ in range(50):
            read(Chunked(), line + b"\r\n", [])


@pytest.mark.timeout(10)
def test_time_is_linear_in_tiny_trailers():
    line = b"a:\r\n" * (TRAILER_LIMIT // 4)
    assert Chunked().feed(b"0\r\n" + line + b"\r\n" + b"x" * 4_000_000, Count()) == b"x" * 4_000_000


class Count:
    """A sink that only counts."""

    def __init__(self) -> None:
        self.size = 0

    def body(self, data: bytes) -> None:
        self.size += len(data)

    def chunks(self, framed: bytes, parts: list[bytes]) -> None:
        self.size += sum(map(len, parts))


def test_remembered_sizes_are_bounded_and_the_others_still_work():
    sink = Count()
    for size in range(1, SIZES_KEPT + 100):
        assert Chunked().feed(b"%x\r\n%b\r\n" % (size, bytes(size)), sink) is None
    assert sink.size == sum(range(1, SIZES_KEPT + 100))
    assert len(framing._sizes) <= SIZES_KEPT


@given(st.binary(max_size=60), CUTS, st.binary(max_size=10))
def test_a_stated_length(content, cuts, beyond):
    if content:
        assert read(Length(len(content)), content + beyond, cuts) == (content, beyond, False)


@given(st.binary(min_size=1, max_size=60), CUTS)
def test_a_stated_length_that_does_not_come(content, cuts):
    reader = Length(len(content) + 1)
    assert read(reader, content, cuts) == (content, None, False)
    with pytest.raises(FramingError):
        reader.close()


@given(st.binary(min_size=1, max_size=60), CUTS)
def test_until_close(content, cuts):
    reader = UntilClose()
    assert read(reader, content, cuts) == (content, None, False)
    reader.close()

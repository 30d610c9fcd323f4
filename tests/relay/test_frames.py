"""WebSocket frames, cut anywhere: the text messages come out whole, whatever stands between their pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.relay import frames as relay_frames
from penstock.relay.frames import MESSAGE_LIMIT, Frames

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, wide: int = 0, masked: bool = False) -> bytes:
    """One frame; `wide` writes the length in more bytes than it needs."""
    size = len(payload)
    first = bytes([(0x80 if final else 0) | opcode])
    mask = b"\x01\x02\x03\x04" if masked else b""
    bit = 0x80 if masked else 0
    if size > 65535 or wide == 8:
        return first + bytes([127 | bit]) + size.to_bytes(8, "big") + mask + payload
    if size > 125 or wide == 2:
        return first + bytes([126 | bit]) + size.to_bytes(2, "big") + mask + payload
    return first + bytes([size | bit]) + mask + payload


def read(data: bytes, cuts: list[int]) -> list[bytes]:
    frames = Frames()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [message for begin, end in pairwise(places) for message in frames.feed(data[begin:end])]


CONTROL = st.builds(frame, st.sampled_from([PING, PONG, CLOSE]), st.binary(max_size=10))


@st.composite
def messages(draw) -> tuple[bytes, list[bytes]]:
    """Frames of a server, and the text messages in them."""
    wire, texts = b"", []
    for _ in range(draw(st.integers(0, 4))):
        opcode = draw(st.sampled_from([TEXT, TEXT, BINARY]))
        pieces = draw(st.lists(st.one_of(st.binary(max_size=20), st.binary(min_size=120, max_size=130)), min_size=1, max_size=4))
        for number, piece in enumerate(pieces):
            wire += b"".join(draw(st.lists(CONTROL, max_size=2)))
            last = number == len(pieces) - 1
            wire += frame(opcode if number == 0 else CONTINUATION, piece, final=last, wide=draw(st.sampled_from([0, 0, 2, 8])))
        if opcode == TEXT:
            texts.append(b"".join(pieces))
    return wire + b"".join(draw(st.lists(CONTROL, max_size=2))), texts


@given(messages(), st.lists(st.integers(0, 1000), max_size=8))
def test_messages_cut_anywhere(sent, cuts):
    wire, texts = sent
    assert read(wire, cuts) == texts
    assert read(wire, list(range(len(wire)))) == texts


@settings(max_examples=40)
@given(messages())
def test_a_message_is_given_with_its_last_byte(sent):
    """Neither later nor earlier, a control frame that follows notwithstanding."""
    wire, texts = sent
    frames, found = Frames(), []
    for at in range(len(wire)):
        found += frames.feed(wire[at : at + 1])
        assert found == read(wire[: at + 1], [])
    assert found == texts


def test_empty_messages():
    assert read(frame(TEXT) + frame(TEXT, final=False) + frame(PING) + frame(CONTINUATION), []) == [b"", b""]


def test_binary_messages_are_passed_over_in_all_their_pieces():
    wire = frame(BINARY, b"a", final=False) + frame(CONTINUATION, b"b", final=False) + frame(CONTINUATION, b"c") + frame(TEXT, b"text")
    assert read(wire, []) == [b"text"]


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("pieces", [1, 3])
def test_messages_that_are_too_long_are_passed_over(excess, pieces):
    size = MESSAGE_LIMIT // pieces
    sizes = [size] * (pieces - 1) + [MESSAGE_LIMIT - size * (pieces - 1) + excess]
    wire = b"".join(
        frame(CONTINUATION if number else TEXT, b"x" * size, final=number == pieces - 1) + frame(PING, b"p")
        for number, size in enumerate(sizes)
    )
    found = read(wire + frame(TEXT, b"after"), [5, 1000, MESSAGE_LIMIT])
    assert [len(message) for message in found] == ([5] if excess else [MESSAGE_LIMIT, 5])


def test_memory_is_bounded_in_a_message_that_never_ends():
    frames = Frames()
    frames.feed(frame(TEXT, b"x" * 1000, final=False))
    for _ in range(3000):
        assert frames.feed(frame(CONTINUATION, b"x" * 1000, final=False)) == []
    assert frames._text is None
    assert frames.feed(frame(CONTINUATION, b"end") + frame(TEXT, b"after")) == [b"after"]


def test_a_frame_of_any_length_is_waited_for():
    frames = Frames()
    frames.feed(b"\x81\x7f" + (2**62).to_bytes(8, "big"))
    assert frames.feed(b"x" * 100_000) == []
    assert frames._pending == b""


def test_a_masked_frame_is_as_long_as_it_says():
    """A server must not mask; its messages can't be read then, but the next one is found."""
    found = read(frame(TEXT, b"hidden", masked=True) + frame(TEXT, b"next"), [])
    assert found[-1] == b"next"


@pytest.mark.timeout(10)
def test_time_is_linear_in_tiny_frames():
    pieces = 150_000
    wire = frame(TEXT, b"x", final=False) + frame(CONTINUATION, b"x", final=False) * pieces + frame(CONTINUATION, b"x")
    assert read(wire, []) == [b"x" * (pieces + 2)]
    assert read(frame(TEXT, b"y") * pieces, []) == [b"y"] * pieces


@given(st.binary(max_size=100), st.lists(st.integers(0, 100), max_size=5))
def test_any_bytes_are_survived_alike_however_they_are_cut(data, cuts):
    assert read(data, cuts) == read(data, [])


# what a server says


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 5_000, 65_535])
def test_a_frame_of_ours_is_read_as_it_was_meant(size):
    frames = Frames()
    content = b"x" * size
    assert frames.feed(relay_frames.frame(TEXT, content)) == [content]
    assert relay_frames.frame(TEXT, content) == frame(TEXT, content)
    assert frames.between


def test_between_messages_something_may_be_said_and_within_them_not():
    frames = Frames()
    assert frames.between
    first, second, binary = b"\x01\x03abc", b"\x80\x03def", b"\x02\x02xy\x80\x01z"
    for place in range(1, len(first + second)):
        frames.feed((first + second)[:place])
        assert not frames.between
        frames.feed((first + second)[place:])
        assert frames.between
    frames.feed(binary[:4])
    assert not frames.between
    assert frames.feed(binary[4:]) == []
    assert frames.between
    frames.feed(relay_frames.frame(CLOSE, b"\x03\xe8"))
    assert frames.between

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.upstream.wires.estimate import MEDIA_STRING, Estimate, event_size, input_tokens, plain


def test_input_is_four_bytes_to_a_token(ask):
    assert [input_tokens(ask(input_size=size)) for size in (0, 1, 4, 5, 400)] == [0, 1, 1, 2, 100]


def test_plain_answers(ask):
    assert plain(ask(), 0).output_tokens == 0
    assert plain(ask(), 50).output_tokens == 1
    assert plain(ask(), 4400).output_tokens == 1000


PROSE = "Of all the things that could be said, this was not the one he had in mind. " * 20


@pytest.mark.parametrize("text", [PROSE, "世界" * 600, json.dumps("世界" * 600)[1:-1], "x" * (MEDIA_STRING - 1), ""])
def test_text_is_measured_as_it_is(text):
    event = f'data: {{"delta":{{"content":"{text}"}}}}\n\n'.encode()
    assert event_size(event) == len(event)


@pytest.mark.parametrize("size", [MEDIA_STRING, 50_000, 3_000_000])
def test_base64_counts_as_a_64th(size):
    around = len(b'data: {"audio":{"data":""}}\n\n')
    assert event_size(b'data: {"audio":{"data":"%b"}}\n\n' % (b"QUJD" * (size // 4))) == around + size // 64


def test_nothing_is_nothing():
    estimate = Estimate(200)
    assert (estimate.output_tokens(), estimate.began) == (0, False)
    estimate.read("", b"x" * 300)
    assert (estimate.output_tokens(), estimate.began) == (0, False)


def test_small_pieces_are_a_token_each():
    estimate = Estimate(200)
    estimate.read(" token", b"x" * 306)
    for size in (300, 320, 310) * 33:
        estimate.skip(size, 1)
    assert estimate.output_tokens() == 100


def test_large_pieces_are_measured_by_what_was_learned():
    estimate = Estimate(10)
    estimate.read("x" * 400, b"x" * 698)
    estimate.skip(99 * 700, 99)
    assert estimate.output_tokens() == 100 * 400 // 4


@pytest.mark.parametrize(("text", "escaped", "tokens"), [("你好世界" * 10, False, 4000), ("你好世界" * 10, True, 4000)])
def test_a_wide_character_is_a_token(text, escaped, tokens):
    estimate = Estimate(10)
    written = text.encode("unicode_escape") if escaped else text.encode()
    event = b"x" * 100 + written
    estimate.read(text, event)
    estimate.skip((len(event) + 2) * 99, 99)
    assert estimate.output_tokens() == tokens


def test_without_a_sample_the_usual_overhead_is_taken_off():
    estimate = Estimate(100)
    estimate.skip(10 * 500, 10)
    assert estimate.output_tokens() == 1000


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.integers(0, 3), st.integers(0, 5000)), max_size=10))
def test_never_negative_and_at_least_one_per_piece(steps):
    estimate = Estimate(100)
    pieces = 0
    for text, events, size in steps:
        estimate.read(text, b"data: " + text.encode("utf-8", "replace"))
        estimate.skip(size, events)
        pieces += events + bool(text)
    assert estimate.output_tokens() >= pieces

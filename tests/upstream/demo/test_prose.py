"""Texts are told in steps that add up to them, and counted by a rule."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.upstream.demo.manners import Manners, manners_of
from penstock.upstream.demo.prose import greeting, prose, tokens_of, verbatim

PLAIN = Manners()


@pytest.mark.parametrize(("characters", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_four_characters_are_a_token(characters, tokens):
    assert tokens_of(characters) == tokens


@settings(deadline=None)
@given(
    source=st.text(min_size=1, max_size=300),
    events=st.none() | st.integers(1, 200),
    size=st.just(0) | st.integers(1, 100_000),
    cap=st.none() | st.integers(0, 100),
)
def test_the_pieces_are_the_text_and_as_many_as_promised(source, events, size, cap):
    told = prose(source, Manners(events=events, size=size), cap)
    pieces = list(told.pieces())
    assert "".join(pieces) == told.text()
    assert len(pieces) == told.count
    assert len(told.text()) == told.length
    assert told.tokens == tokens_of(told.length)
    if cap is not None:
        assert told.tokens <= cap


def test_n_events_are_n_tokens():
    told = prose("words", manners_of("demo-n64"), None)
    assert (told.count, told.tokens) == (64, 64)


def test_a_big_text_comes_in_big_pieces_or_in_as_many_as_asked():
    assert len(prose("", manners_of("demo-big10m"), None).text()) == 10 * 1024 * 1024
    assert prose("", manners_of("demo-big10m"), None).count == 640
    assert prose("", manners_of("demo-big10m-n1"), None).count == 1


def test_a_cap_cuts_and_says_so():
    told = prose("one two three", PLAIN, 2)
    assert (told.text(), told.capped, told.tokens) == ("one two ", True, 2)
    assert not prose("one two three", PLAIN, 4).capped


def test_verbatim_is_not_changed():
    assert verbatim('{"a":1}').text() == '{"a":1}'


def test_the_greeting_repeats_what_was_said_and_says_what_to_do():
    assert 'You said: "hi"' in greeting("hi")
    assert "OPENAI_API_KEY" in greeting("hi")
    assert len(greeting("x" * 10_000)) < 1000

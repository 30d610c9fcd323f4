from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.conversation import Thought
from penstock.upstream.bridges.sealed import MARK, seal, unseal

THOUGHTS = st.builds(Thought, st.text(), st.text(), st.text(), st.text(), st.sampled_from(["messages", "responses", "gemini", "chat"]))


@given(THOUGHTS)
def test_all_but_the_text_comes_back(thought):
    word = seal(thought)
    assert re.fullmatch(r"~psk1\.[A-Za-z0-9_-]+", word)
    assert unseal(word) == Thought("", thought.signature, thought.redacted, thought.id, thought.wire)


@pytest.mark.parametrize(
    "word",
    ["", "EqQBCgIYAhIM", MARK, MARK + "!", MARK + "a", MARK + "bnVsbA", MARK + "WyJhIl0", MARK + "WzEsMiwzLDRd", MARK + "é", MARK + "W1tb"],
)
def test_what_was_not_sealed_here_is_nothing(word):
    assert unseal(word) is None


def test_words_without_bounds_are_not_opened():
    assert unseal(MARK + "A" * (8 * 1024 * 1024)) is None


@given(st.text() | st.text("ABCDEFabc123-_=").map(MARK.__add__))
def test_nothing_makes_it_raise(word):
    unseal(word)

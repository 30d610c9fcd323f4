from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.conversation import Thought
from penstock.upstream.bridges.gemini.signatures import generation, given_back, shown

WORD = st.text(max_size=20)


@given(st.builds(Thought, st.just(""), WORD, WORD, WORD, st.sampled_from(["messages", "responses", "chat"])))
def test_what_is_sealed_for_a_client_is_base64_and_comes_back_in_any_alphabet(thought):
    word = shown(thought)
    if not thought.signature and not thought.redacted:
        assert word == ""
        return
    raw = base64.b64decode(word, validate=True)
    for spelling in (word, base64.urlsafe_b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode().rstrip("=")):
        assert given_back(spelling) == thought


@given(st.text(max_size=40))
def test_anything_else_is_googles_own(word):
    found = given_back(word)
    assert found == Thought("", word, wire="gemini")
    assert shown(found) == word


@pytest.mark.parametrize("word", ["cHNrMS4", "cHNrMS5ub25zZW5zZQ==", "cHNrMSé"])
def test_what_only_looks_sealed_is_googles_own(word):
    assert given_back(word) == Thought("", word, wire="gemini")


@pytest.mark.parametrize(
    ("model", "number"),
    [
        ("gemini-2.5-pro", 2),
        ("gemini-3-pro-preview", 3),
        ("models/gemini-3.1-flash", 3),
        ("gemini-flash-latest", 3),
        ("gemma-3-27b-it", 0),
        ("", 0),
    ],
)
def test_generations(model, number):
    assert generation(model) == number

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.chat.details import given_back, proof_of, read, sealed
from penstock.upstream.bridges.conversation import Thought

THOUGHTS = st.builds(Thought, st.text(), st.text(), st.text(), st.text(), st.sampled_from(["messages", "responses", "gemini"]))


@given(THOUGHTS, st.integers(0, 5))
def test_what_is_sealed_for_a_client_comes_back(thought, index):
    detail = sealed(thought, index)
    if detail is None:
        assert not thought.signature and not thought.redacted
        return
    assert detail["index"] == index
    assert read([json.loads(json.dumps(detail))], "", unseals=True) == [thought]


def test_the_text_may_come_back_beside_the_detail():
    detail = sealed(Thought("", "", "DATA", "rs", "responses"), 0)
    assert read([detail], "hm", unseals=True) == [Thought("hm", "", "DATA", "rs", "responses")]
    assert read(None, "hm", unseals=True) == [Thought("hm")]
    assert read("x", "", unseals=True) == read([5, {}], "", unseals=True) == []


def test_details_of_a_provider_are_given_back_as_they_came():
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": "SIG", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "D", "id": "rs_1", "format": "openai-responses-v1", "index": 1},
        {"type": "reasoning.summary", "summary": "s", "signature": "S2", "index": 2},
    ]
    assert given_back(read(details, "hm", unseals=False)) == details


def test_what_another_penstock_has_sealed_is_a_providers_own():
    detail = sealed(Thought("hm", "SIG", wire="messages"), 0)
    [thought] = read([detail], "", unseals=False)
    assert thought.wire == "chat"
    assert given_back([thought]) == [detail]


def test_thoughts_that_are_not_a_chat_providers_are_not_given_back():
    assert given_back([Thought("hm"), Thought("hm", "SIG", wire="messages")]) == []
    assert given_back([Thought("hm", "SIG", wire="chat")]) == [{"type": "reasoning.text", "signature": "SIG", "text": "hm", "index": 0}]
    assert given_back([Thought("", "", "D", wire="chat")]) == [{"type": "reasoning.encrypted", "data": "D", "index": 0}]


def test_a_word_that_looks_sealed_and_is_not():
    assert read([{"type": "reasoning.text", "text": "hm", "signature": "~psk1.!!"}], "", unseals=True) == [Thought("hm")]


def test_words_alone_prove_nothing():
    assert proof_of({"type": "reasoning.text", "text": "hm", "index": 0}) == ""

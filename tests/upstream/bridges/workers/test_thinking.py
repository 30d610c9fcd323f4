from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.workers.thinking import Thinking, parted


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>\na\n</think>\n\nb", "a", "b"),
        ("a</think>b", "a", "b"),
        ("<think>cut off", "cut off", ""),
        ("plain", "", "plain"),
        ("It is <think>x</think> there", "", "It is <think>x</think> there"),
    ],
)
def test_whole(text, thought, answer):
    assert parted(text) == (thought, answer)


def streamed(pieces) -> tuple[str, str]:
    thinking = Thinking()
    told = [thinking.more(piece) for piece in pieces] + [thinking.rest()]
    return "".join(one for one, _ in told), "".join(one for _, one in told)


@given(st.lists(st.integers(0, 40), max_size=8))
def test_pieces_are_as_good_as_the_whole(cuts):
    text = "\n<think>a < b</thin</think>\n\nyes <think>no</think>"
    at = [0, *sorted(cut for cut in cuts if cut <= len(text)), len(text)]
    pieces = [text[begin:end] for begin, end in pairwise(at)]
    assert streamed(pieces) == ("a < b</thin", "yes <think>no</think>")


@given(st.lists(st.text(alphabet="<think>/ a", max_size=6), max_size=8))
def test_text_without_an_opening_tag_is_left_alone(pieces):
    text = "".join(pieces)
    if not text.lstrip().startswith("<think>"):
        assert streamed(pieces) == ("", text)


def test_what_ends_within_a_tag_is_not_lost():
    assert streamed(["<thi"]) == ("", "<thi")
    assert streamed(["<think>a</thi"]) == ("a</thi", "")


def test_it_is_settled_when_the_answer_has_begun():
    thinking = Thinking()
    assert not thinking.settled
    thinking.more("Hello")
    assert thinking.settled

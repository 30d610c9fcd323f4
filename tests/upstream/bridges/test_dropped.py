from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.dropped import SHOWN, Dropped, refuse


def test_nothing_dropped_is_no_header():
    assert Dropped().header() == b""


def test_what_was_dropped_is_named_once_and_in_order():
    dropped = Dropped()
    for name in ("seed", "thinking", "seed", "tools[0].x"):
        dropped.note(name)
    assert dropped.header() == b"x-penstock-dropped: seed, thinking, tools[0].x\r\n"


def test_of_many_only_some_are_named():
    dropped = Dropped()
    for number in range(SHOWN + 3):
        dropped.note(f"f{number}")
    assert dropped.header().endswith(b"f19, and 3 more\r\n")


@given(st.lists(st.text(), min_size=1))
def test_whatever_the_name_the_header_is_one_line(names):
    dropped = Dropped()
    for name in names:
        dropped.note(name)
    assert re.fullmatch(rb"x-penstock-dropped: [\x21-\x7e]+(?: [\x21-\x7e]+)*\r\n", dropped.header())


def test_aliases_are_each_requests_own():
    first, second = Dropped(), Dropped()
    first.aliases["a"] = "b"
    assert second.aliases == {}


def test_a_refusal_says_what_and_where():
    error = refuse("Sound", "messages", "messages[0].content")
    assert (error.code, error.status, error.param) == ("cannot_translate", 400, "messages[0].content")
    assert error.message.startswith("Sound cannot be said") and "(messages)" in error.message

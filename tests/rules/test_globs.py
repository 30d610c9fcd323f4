from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.rules.globs import Glob, is_glob


@given(st.text("ab?*", max_size=8).filter(is_glob), st.text("ab\n", max_size=12))
@example("a*b*a", "ab")
@example("*a?b*b", "aabb")
@example("a*a", "a")
def test_it_is_what_the_letters_say(glob, text):
    pattern = "".join({"*": ".*", "?": "."}.get(letter) or re.escape(letter) for letter in glob)
    assert Glob(glob).matches(text) is (re.fullmatch(pattern, text, re.DOTALL) is not None)


@pytest.mark.parametrize("glob", ["[a-z]*", "{a,b}*", "\\*", "a.?"])
def test_nothing_else_is_special(glob):
    text = glob.replace("*", "x").replace("?", "y")
    assert Glob(glob).matches(text) and not Glob(glob).matches("a" + text)


def test_texts_may_be_long():
    glob = Glob("*needle?*end")
    assert glob.matches("x" * 100_000 + "needles" + "x" * 100_000 + "end") and not glob.matches("x" * 100_000 + "needleend")


def test_the_more_there_is_to_look_for_the_more_it_weighs():
    assert Glob("a*").weight < Glob("*a*b*c*").weight < Glob("*a?b?c?d*a?b?c*").weight

"""Globs: star and question mark, case-sensitive, nothing else special, and never slow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.globs import NAME_LIMIT, matches


@pytest.mark.parametrize(
    ("glob", "name", "expected"),
    [
        ("gpt-4o*", "gpt-4o", True),
        ("gpt-4o*", "gpt-4o-mini", True),
        ("gpt-4o*", "GPT-4o", False),
        ("gpt-4o", "gpt-4o-mini", False),
        ("claude-*", "claude-", True),
        ("claude-?", "claude-3", True),
        ("claude-?", "claude-", False),
        ("*", "", True),
        ("", "", True),
        ("", "a", False),
        ("*-mini", "o4-mini", True),
        ("*mini*", "gemini-pro", True),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("[!a]", "[!a]", True),
        ("a.b", "axb", False),
        ("a*", "a\nb", True),
        ("a", "a\n", False),
        ("**", "anything", True),
    ],
)
def test_matches(glob: str, name: str, expected: bool) -> None:
    assert matches((glob,), name) is expected


def test_any_of_several() -> None:
    assert matches(("gpt-*", "claude-*"), "claude-x")
    assert not matches(("gpt-*", "claude-*"), "o1")
    assert not matches((), "o1")


def test_names_beyond_the_limit_match_nothing() -> None:
    assert matches(("*",), "a" * NAME_LIMIT)
    assert not matches(("*",), "a" * (NAME_LIMIT + 1))


def test_many_stars_end_quickly() -> None:
    assert not matches(("*a" * 60 + "b",), "a" * NAME_LIMIT)


@given(st.text(alphabet="ab*?[.", max_size=12), st.text(alphabet="ab[.*?", max_size=12))
def test_against_a_plain_definition(glob: str, name: str) -> None:
    def fits(pattern: str, rest: str) -> bool:
        if not pattern:
            return not rest
        if pattern[0] == "*":
            return fits(pattern[1:], rest) or bool(rest and fits(pattern, rest[1:]))
        return bool(rest) and pattern[0] in ("?", rest[0]) and fits(pattern[1:], rest[1:])

    assert matches((glob,), name) is fits(glob, name)

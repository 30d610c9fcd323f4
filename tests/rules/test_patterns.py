from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.rules.patterns import KEPT, Pattern, check_pattern


@pytest.mark.parametrize(
    ("text", "where", "there"),
    [("b+", "abc", True), ("^b", "abc", False), ("(?i)HELLO", "say hello", True), (r"\bx\b", "a x.", True), ("é$", "caf\u00e9", True),
     ("^.$", "😀", True), ("a", "\ud800a", True)],
)  # fmt: skip
def test_patterns_are_searched(text, where, there):
    check_pattern(text, "x")
    assert Pattern(text).within(where) is there


@pytest.mark.parametrize("text", ["", "x" * 501, "(", "a{1001}", r"(a)\1", "(?=a)", "((a{1,100}){1,100}){1,100}", ".{1000}", "\ud800"])
def test_what_cannot_be_used_is_refused(text):
    with pytest.raises(PenstockError) as refused:
        check_pattern(text, "when.value")
    assert refused.value.param == "when.value" and len(refused.value.message) < 400


@pytest.mark.parametrize("text", ["(a+)+$", "(a|aa)+$", "(.*)*x$", "(a|b|ab)*c", "(x+x+)+y", "[a-q][^u-z]{13}x"])
def test_no_pattern_is_slow(text):
    """A backtracking engine would not come to an end."""
    check_pattern(text, "x")
    pattern = Pattern(text)
    assert not pattern.within("a" * 200_000 + "!")


def test_long_programs_weigh_more():
    assert Pattern("a").weight == 1
    assert Pattern("(a|b|c){200}").weight > 10


def test_more_patterns_than_are_kept_work():
    patterns = [Pattern(f"^number {number}$") for number in range(KEPT + 50)]
    assert all(pattern.within(f"number {number}") for number, pattern in enumerate(patterns))

"""Tokens: their forms, their checksum, and what is kept of them."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit import tokens


def test_a_token_has_the_known_form() -> None:
    assert re.fullmatch(r"sk-[A-Za-z0-9]{48}", tokens.make_token())
    assert re.fullmatch(r"sk-cfw[A-Za-z0-9]{45}", tokens.make_team_token())


def test_tokens_differ() -> None:
    assert len({tokens.make_token() for _ in range(500)} | {tokens.make_team_token() for _ in range(500)}) == 1000


def test_our_tokens_are_plausible() -> None:
    for _ in range(200):
        assert tokens.plausible(tokens.make_token().encode())
        assert tokens.plausible(tokens.make_team_token().encode())


@given(place=st.integers(3, 50), other=st.sampled_from("0123456789abcXYZ"))
def test_one_wrong_character_is_noticed(place: int, other: str) -> None:
    token = "sk-Q" + tokens.make_token()[4:45]
    token += tokens._check(token.encode())
    wrong = token[:place] + other + token[place + 1 :]
    assert tokens.plausible(wrong.encode()) is (wrong == token)


@given(place=st.integers(3, 49))
def test_swapped_neighbours_are_noticed(place: int) -> None:
    token = "sk-Q" + tokens.make_token()[4:45]
    token += tokens._check(token.encode())
    swapped = token[:place] + token[place + 1] + token[place] + token[place + 2 :]
    assert tokens.plausible(swapped.encode()) is (swapped == token)


@pytest.mark.parametrize(
    "token", [b"", b"sk-", b"sk-" + b"a" * 48, b"sk-cfw", b"sk-cfw" + b"a" * 44, b"sk-cfw" + b"a" * 44 + b"!", b"\xff" * 51]
)
def test_what_is_not_plausible(token: bytes) -> None:
    assert not tokens.plausible(token)


@given(st.binary(max_size=80))
def test_plausible_never_raises(token: bytes) -> None:
    assert tokens.plausible(token) in (True, False)


def test_a_line_end_is_not_part_of_a_token() -> None:
    assert not tokens.plausible(tokens.make_token().encode() + b"\n")


def test_digest_is_sha_256() -> None:
    assert tokens.digest(b"sk-...") == hashlib.sha256(b"sk-...").digest()


def test_shown() -> None:
    token, team = tokens.make_token(), tokens.make_team_token()
    assert tokens.shown(token) == ("sk-cfw" if token.startswith("sk-cfw") else "sk-", token[-4:])
    assert tokens.shown(team) == ("sk-cfw", team[-4:])

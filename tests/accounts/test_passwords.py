"""Passwords: argon2id, a few at a time, and nothing to be learnt about those who have none."""

from __future__ import annotations

import asyncio

import pytest

from penstock.accounts import passwords as module
from penstock.accounts.passwords import LONGEST, SHORTEST, Passwords, check_password
from penstock.kit.errors import PenstockError


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(memory_kib=64, passes=1)


async def test_a_password_opens_its_own_hash(passwords: Passwords) -> None:
    kept = await passwords.hash("correct horse")
    assert kept.startswith("$argon2id$")
    assert await passwords.hash("correct horse") != kept
    assert await passwords.verify(kept, "correct horse")
    assert not await passwords.verify(kept, "correct horsf")
    assert not await passwords.verify("not a hash", "correct horse")


async def test_nobody_has_no_password(passwords: Passwords) -> None:
    assert not await passwords.verify(None, "correct horse")
    assert not await passwords.verify(None, "nobody's password")


async def test_composed_and_decomposed_letters_are_alike(passwords: Passwords) -> None:
    assert await passwords.verify(await passwords.hash("pass\u00e9 compos\u00e9"), "passe\u0301 compose\u0301")


async def test_a_lone_surrogate_is_a_character_like_any_other(passwords: Passwords) -> None:
    assert await passwords.verify(await passwords.hash("\ud800 and so on"), "\ud800 and so on")


async def test_other_costs_still_open_and_are_outdated(passwords: Passwords) -> None:
    dear = Passwords(memory_kib=128, passes=1)
    kept = await passwords.hash("correct horse")
    assert await dear.verify(kept, "correct horse")
    assert dear.outdated(kept) and not passwords.outdated(kept)


async def test_the_defaults_are_dear() -> None:
    assert "m=19456,t=2,p=1" in await Passwords().hash("correct horse")


async def test_a_crowd_is_asked_to_come_back(passwords: Passwords) -> None:
    outcomes = await asyncio.gather(*(passwords.hash("x") for _ in range(module.WAITING + 5)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, PenstockError)]
    assert [error.code for error in refused] == ["overloaded"] * 5
    assert await passwords.hash("correct horse")


@pytest.mark.parametrize(
    "password", ["", "x" * (SHORTEST - 1), "ab" * LONGEST, "Ada.Lovelace@example.com", "ada.lovelace", "          ", "x" * 20]
)
def test_passwords_that_are_refused(password: str) -> None:
    with pytest.raises(PenstockError) as refused:
        check_password(password, "ada.lovelace@example.com", "new_password")
    assert (refused.value.code, refused.value.param) == ("invalid_request", "new_password")


@pytest.mark.parametrize("password", ["0123456789", "correct horse", "密码密码密码密码密码", "ab" * (LONGEST // 2)])
def test_passwords_that_are_taken(password: str) -> None:
    check_password(password, "ada@example.com")
    check_password(password, None)

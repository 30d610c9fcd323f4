"""Passwords: which are taken, and their argon2id hashes, made and checked on threads, a few at a time."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from penstock.kit.errors import PenstockError

SHORTEST = 10
LONGEST = 1024
AT_ONCE = 2
"""Hashes that are computed at the same time: each takes a core and `MEMORY_KIB` for some 20 ms."""
WAITING = 64
"""How many may wait for theirs; beyond that there is an attack, or a crowd that had better come back."""
MEMORY_KIB = 19 * 1024
PASSES = 2
"""With `MEMORY_KIB` and one lane: the first of the settings that OWASP's password storage cheat sheet recommends."""
T = TypeVar("T")


class Passwords:
    """Makes and checks hashes. `memory_kib` and `passes` are argon2's cost; hashes that were made with another still open."""

    def __init__(self, memory_kib: int = MEMORY_KIB, passes: int = PASSES) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to keep of a password that `check_password` has found good. Raises PenstockError `overloaded`."""
        return await self._on_thread(lambda: self._hasher.hash(_same(password)))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether the password is the one that the hash was made of.

        None, of an account that does not exist or has no password, takes as long as any other and is False. Raises PenstockError
        `overloaded`.
        """
        if self._decoy is None:
            self._decoy = await self.hash("nobody's password")
        good = await self._on_thread(lambda: self._check(kept or self._decoy or "", password))
        return good and kept is not None

    def outdated(self, kept: str) -> bool:
        """Whether a hash should be made again, now that the password is known, because the cost has changed."""
        return self._hasher.check_needs_rehash(kept)

    def _check(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, _same(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _on_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise PenstockError("overloaded", "Too many people sign in at the moment. Try again.", retry_after_s=2)
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def check_password(password: str, email: str | None, param: str = "password") -> None:
    """Refuse what must not be a password: one that is too short or too long, or the e-mail address itself.

    Raises PenstockError `invalid_request`.
    """
    said = None
    if not SHORTEST <= len(password) <= LONGEST:
        said = f"A password has {SHORTEST} to {LONGEST} characters."
    elif email is not None and password.strip().lower() in (email, email.partition("@")[0]):
        said = "The e-mail address is no password."
    elif not password.strip() or len(set(password)) == 1:
        said = "One character again and again is no password."
    if said is not None:
        raise PenstockError("invalid_request", said, param=param)


def _same(password: str) -> bytes:
    """The password as bytes, the same from every keyboard: composed and decomposed letters are alike."""
    return unicodedata.normalize("NFC", password).encode(errors="surrogatepass")

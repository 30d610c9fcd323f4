"""Tokens: the secrets that programs show; how they are made, recognised and kept as a digest."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from string import ascii_letters, digits
from zlib import crc32

_ALPHABET = digits + ascii_letters
_RANDOM_SIZE = 42
_CHECK_SIZE = 6  # 62**6 is more than 2**32
_OURS = re.compile(rb"sk-[0-9A-Za-z]{48}")
_TEAM = re.compile(rb"sk-cfw[0-9A-Za-z]{45}")


def make_token() -> str:
    """A new token: `sk-`, 42 random letters and digits (250 bits), and a checksum of 6."""
    rest = "sk-" + _random(_RANDOM_SIZE)
    return rest + _check(rest.encode())


def make_team_token() -> str:
    """A new token in the form team members know: `sk-cfw` and 45 random letters and digits (267 bits), no checksum."""
    return "sk-cfw" + _random(45)


def plausible(token: bytes) -> bool:
    """Whether we could have made this token. False for mistyped and foreign ones, which need no look-up."""
    if _OURS.fullmatch(token) is None:
        return False
    return token[-_CHECK_SIZE:] == _check(token[:-_CHECK_SIZE]).encode() or _TEAM.fullmatch(token) is not None


def digest(token: bytes) -> bytes:
    """What is kept of a token: its SHA-256, which is enough for a secret of this many random bits."""
    return sha256(token).digest()


def shown(token: str) -> tuple[str, str]:
    """What may be shown of a token: its prefix and its last four characters."""
    return ("sk-cfw" if _TEAM.fullmatch(token.encode()) else "sk-"), token[-4:]


def _random(size: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(size))


def _check(rest: bytes) -> str:
    number = crc32(rest)
    characters = []
    for _ in range(_CHECK_SIZE):
        number, place = divmod(number, 62)
        characters.append(_ALPHABET[place])
    return "".join(reversed(characters))

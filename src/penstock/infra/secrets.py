"""Secrets that are kept in the database: sealed with a key that is not in it (AES-256-GCM)."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from penstock.infra.files import private_dir
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id

FILE = "secret.key"
KEY_BYTES = 32
NONCE_BYTES = 12
SEALED = b"\x01"
"""What everything sealed begins with: the version of how."""
_OTHERS = 0o077


class Secrets:
    """Seals and opens texts with one key. What a text is about is sealed with it: moved to another row, it cannot be opened."""

    def __init__(self, key: bytes) -> None:
        self._box = AESGCM(key)

    def seal(self, plain: str, about: str) -> bytes:
        """The text, sealed; `about` names where it is kept, such as `channel_credential/crd_...`."""
        return self.seal_bytes(plain.encode(), about)

    def open(self, sealed: bytes, about: str) -> str:
        """The text again. Raises PenstockError `wrong_secret_key`."""
        return self.open_bytes(sealed, about).decode(errors="replace")

    def seal_bytes(self, plain: bytes, about: str) -> bytes:
        """Bytes, sealed like a text; what is sealed begins with `SEALED`."""
        nonce = os.urandom(NONCE_BYTES)
        return SEALED + nonce + self._box.encrypt(nonce, plain, about.encode())

    def open_bytes(self, sealed: bytes, about: str) -> bytes:
        """The bytes again. Raises PenstockError `wrong_secret_key`."""
        if sealed[:1] == SEALED:
            nonce, box = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
            with contextlib.suppress(InvalidTag, ValueError):
                return self._box.decrypt(nonce, box, about.encode())
        raise PenstockError(
            "wrong_secret_key",
            f"What is kept sealed as {about} cannot be opened with the secret key of this node: give it the key that it was sealed with "
            f"(PENSTOCK_SECRET_KEY, or {FILE} in the data folder), or set the secret again.",
        )


def open_secrets(folder: Path, given: str | None) -> Secrets:
    """Secrets with the key that is given, base64 of 32 bytes, or that of `secret.key` in the folder, which is made if it is not there.

    Raises ValueError for a key that is none or that others may read, and OSError.
    """
    if given:
        return Secrets(read_key(given))
    path = folder / FILE
    if not path.exists():
        _make(path)
    if mode := stat.S_IMODE(path.stat().st_mode) & _OTHERS:
        raise ValueError(f"{path} may be read by others (mode {mode:03o} too much). Close it: chmod 600 {path}")
    try:
        return Secrets(read_key(path.read_text(encoding="ascii", errors="replace")))
    except ValueError as wrong:
        raise ValueError(f"{path}: {wrong}. Restore it from a backup; a new one cannot open what was sealed with the old one.") from None


def read_key(text: str) -> bytes:
    """The key that is written as base64, of either alphabet. Raises ValueError."""
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("a secret key is base64 of 32 bytes, such as `openssl rand -base64 32` prints")
    return key


def _make(path: Path) -> None:
    """Write a new key, whole or not at all; of several processes that do so at once the first one's stays."""
    private_dir(path.parent)
    draft = path.with_name(new_id(f".{path.name}"))
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()

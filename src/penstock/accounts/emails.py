"""E-mail addresses: which are taken, and how they are kept."""

from __future__ import annotations

import re

from penstock.kit.errors import PenstockError

EMAIL_LIMIT = 254
"""Characters of the longest address that mail can be sent to (RFC 5321, with its erratum 1690)."""
_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def read_email(text: str) -> str:
    """The address in the one form in which it is kept: lower case, without quotes or comments, its domain in ASCII.

    Raises PenstockError `invalid_request`.
    """
    local, _, domain = text.strip().lower().rpartition("@")
    try:
        domain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        domain = ""
    email = f"{local}@{domain}"
    if len(local) > 64 or len(email) > EMAIL_LIMIT or not (_LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain)):
        raise PenstockError("invalid_request", "This is not an e-mail address such as name@example.com.", param="email")
    return email

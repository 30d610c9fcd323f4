"""Headers: which of them rules may look at and change, and how changes are made in header lines."""

from __future__ import annotations

import re
import unicodedata

from penstock.records.redact import MASK, without_secrets
from penstock.rules.given import wrong

VALUE_LIMIT = 4096
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_MASK = MASK.encode()
_FRAMING = frozenset(
    (
        "host", "connection", "content-length", "content-type", "content-encoding", "transfer-encoding", "te", "trailer", "upgrade",
        "expect", "accept-encoding", "keep-alive", "http2-settings", "content-md5", "content-digest", "repr-digest", "digest",
    )
)  # fmt: skip
_IDENTITY = frozenset(
    ("openai-organization", "openai-project", "forwarded", "via", "x-real-ip", "true-client-ip", "x-request-id", "cdn-loop", "origin")
)
_REDIRECTING = frozenset(("x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"))
"""With these some servers answer another request than the one that was metered."""
_OURS = ("x-penstock-",)
_OTHERS = ("x-goog-", "proxy-", "x-forwarded-", "cf-", "sec-", "access-control-")

HeaderEdits = tuple[tuple[bytes, bytes | None], ...]
"""Lower-case names with their new values; None: the header is taken out."""


def read_name(given: str, param: str) -> str:
    """A header's name, in lower case. Raises PenstockError."""
    if not _NAME.fullmatch(given):
        raise wrong("A header's name has 1 to 128 letters, digits and - or other characters that HTTP allows.", param)
    return given.lower()


def read_visible(given: str, param: str) -> str:
    """The name of a header that a condition may look at. Raises PenstockError."""
    name = read_name(given, param)
    plain = name.replace("_", "-")
    if is_secret(plain) or plain.startswith(_OURS):
        raise wrong("Conditions do not look at credentials, cookies and the gateway's own headers.", param)
    return name


def read_changeable(given: str, param: str) -> str:
    """The name of a header that an action may set or delete. Raises PenstockError."""
    name = read_name(given, param)
    plain = name.replace("_", "-")  # to some servers they are the same
    if is_secret(plain) or plain in _IDENTITY or plain in _FRAMING or plain in _REDIRECTING or plain.startswith((*_OURS, *_OTHERS)):
        raise wrong("Rules change no credentials, no identity, and no header by which a message is framed or sent on.", param)
    return name


def check_value(given: str, param: str) -> None:
    """See that this can be a header's value. Raises PenstockError."""
    if len(given) > VALUE_LIMIT or given.strip() != given:
        raise wrong(f"A header's value has at most {VALUE_LIMIT} characters and no blanks around it.", param)
    if any(character > "\xff" or unicodedata.category(character) == "Cc" for character in given):
        raise wrong("A header's value has no control characters and none beyond Latin-1.", param)


def is_secret(name: str) -> bool:
    """Whether what stands under this lower-case name is a credential, as far as records go."""
    return without_secrets([(name.encode("ascii"), b"")])[0][1] == _MASK


def read_lines(lines: bytes) -> dict[str, tuple[str, ...]]:
    """Header lines, `name: value` with CRLF after each, as values by name, in their order."""
    found: dict[str, tuple[str, ...]] = {}
    for line in lines.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            name = name.lower()
            found[name] = (*found.get(name, ()), value.strip())
    return found


def edited(lines: bytes, edits: HeaderEdits) -> bytes:
    """Header lines with the edits made: what is set replaces every line of that name, and stands at the end."""
    names = {name for name, _ in edits}
    kept = [line for line in lines.split(b"\r\n") if line and line.partition(b":")[0].lower() not in names]
    kept += [b"%b: %b" % (name, value) for name, value in edits if value is not None]
    return b"".join(line + b"\r\n" for line in kept)

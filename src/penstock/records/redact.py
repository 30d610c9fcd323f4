"""Redaction: no credential is kept in a record. Headers and query parameters by name, keys in text by their look."""

from __future__ import annotations

import re
from functools import partial
from operator import itemgetter
from urllib.parse import unquote_plus

from penstock.kit.search import find
from penstock.records.record import Headers, Record

MASK = "[redacted]"
_MASK = MASK.encode()
_REMEMBERED = 2048
_HEADERS = frozenset(
    (
        b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie", b"set-cookie",
        b"sec-websocket-protocol",
    )
)  # fmt: skip
_ENDINGS = (b"authorization", b"api-key", b"apikey", b"-token", b"-secret", b"cookie", b"password")
"""Other systems' credentials: `cf-aig-authorization`, `x-auth-token`. Not `-tokens`, which counts them."""
_PARAMETERS = frozenset(("key", "api_key", "api-key", "apikey", "x-api-key", "access_token", "token"))

_harmless: set[bytes] = set()
"""Names of headers that were found not to be secrets, as they were sent."""
_name = itemgetter(0)

_KEYS = (
    # What is found fast and is in every match; the match, which begins with a literal so that it is searched for fast too;
    # what is shown. What stands before a match is looked at afterwards.
    (b"sk-", re.compile(rb"sk-[A-Za-z0-9_-]{12,}"), _MASK),
    (b"AIz", re.compile(rb"AIza[A-Za-z0-9_-]{30,}"), _MASK),
    (b"earer ", re.compile(rb"earer +[A-Za-z0-9._~+/=-]{16,}"), b"earer " + _MASK),
)
_ESCAPE = re.compile(rb"\\(?:[nrtbf]|u[0-9A-Fa-f]{4})$")
_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class Shown(list[tuple[bytes, bytes]]):
    """Headers without secrets: what `without_secrets` gives, and need not be given again."""


def redact_names(record: Record) -> None:
    """Take out, in place, the values of headers and query parameters whose names say that they are credentials."""
    if type(record.request_headers) is not Shown:
        record.request_headers = without_secrets(record.request_headers)
    if not _harmless.issuperset(map(_name, record.response_headers)):
        record.response_headers = without_secrets(record.response_headers)
    if "?" in record.path:
        record.path = without_parameters(record.path)


def redact_text(record: Record) -> None:
    """Take out, in place, whatever looks like a key, wherever it stands. Bodies must be whole, not in pieces."""
    record.path = without_keys(record.path.encode()).decode()
    record.request_headers = Shown([(name, without_keys(value)) for name, value in record.request_headers])
    record.response_headers = [(name, without_keys(value)) for name, value in record.response_headers]
    record.request_body = without_keys(record.request_body)
    record.response_body = [without_keys(part) for part in record.response_body]


def may_hold_keys(data: bytes) -> bool:
    """Whether something in the data may look like a key; quick, and none is missed."""
    return any(find(data, mark) >= 0 for mark, _, _ in _KEYS)


def without_keys(data: bytes) -> bytes:
    """The data with what looks like a key replaced: `sk-...`, `AIza...` and bearer tokens."""
    for mark, pattern, shown in _KEYS:
        if mark in data:
            data = pattern.sub(partial(_masked, shown), data)
    return data


def _masked(shown: bytes, found: re.Match[bytes]) -> bytes:
    return found[0] if _inside_word(found) else shown


def without_parameters(path: str) -> str:
    """The path with the values of query parameters that are credentials replaced."""
    before, mark, query = path.partition("?")
    return before + mark + "&".join(_parameter(part) for part in query.split("&"))


def _parameter(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={MASK}" if equals and unquote_plus(name).strip().lower() in _PARAMETERS else part


def without_secrets(headers: Headers) -> Shown:
    """The headers with the values of those replaced whose names say that they are credentials."""
    return Shown([(name, _MASK) if name not in _harmless and _is_secret(name) else (name, value) for name, value in headers])


def _is_secret(name: bytes) -> bool:
    """Whether a header's value is a secret, by the header's name as it was sent."""
    lower = name.lower()
    secret = lower in _HEADERS or lower.endswith(_ENDINGS)
    if not secret and len(_harmless) < _REMEMBERED:
        _harmless.add(name)
    return secret


def _inside_word(found: re.Match[bytes]) -> bool:
    """Whether the match goes on from a word, as in `task-...`, and is no key. In JSON a line feed ends in a letter, too."""
    start, data = found.start(), found.string
    if data.startswith(b"earer", start):
        start -= 1  # the B
        return start < 0 or data[start : start + 1] not in (b"B", b"b")
    return start > 0 and data[start - 1] in _WORD and _ESCAPE.search(data, max(0, start - 6), start) is None

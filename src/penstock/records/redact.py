"""Redaction: no credential is kept in a record. Headers and query parameters by name, keys in text by their look."""

from __future__ import annotations

import re
from functools import partial
from operator import itemgetter
from typing import Any
from urllib.parse import unquote_plus

import msgspec
from mypy_extensions import mypyc_attr

from penstock.kit.search import Pattern
from penstock.records.record import Headers, Record
from penstock.upstream.providers import PROVIDERS

MASK = "[redacted]"
_MASK = MASK.encode()
_REMEMBERED = 2048
_OURS = (
    b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie", b"set-cookie",
    b"sec-websocket-protocol",
)  # fmt: skip
_HEADERS = frozenset((*_OURS, *(provider.credential_header.lower() for provider in PROVIDERS.values())))
_ENDINGS = (b"authorization", b"api-key", b"apikey", b"-token", b"-secret", b"cookie", b"password")
"""Other systems' credentials: `cf-aig-authorization`, `x-auth-token`. Not `-tokens`, which counts them."""
_PARAMETERS = frozenset(("key", "api_key", "api-key", "apikey", "x-api-key", "access_token", "token"))

_harmless: set[bytes] = set()
"""Names of headers that were found not to be secrets, as they were sent."""
_lines: dict[bytes, bytes] = {}
"""Lines of heads that were sent, and what is shown of them."""
_heads: dict[bytes, bytes] = {}
"""Heads that were sent, up to the length of the body, and what is shown of them: nearly all differ from another one in that alone."""
_paths: set[str] = set()
"""Paths that have no secrets."""
_LINE_LENGTH = 1024
_LENGTH = b"\r\ncontent-length: "
_DIGITS = b"0123456789"
_END = b"\r\n\r\n"
_name, _value = itemgetter(0), itemgetter(1)

_KEYS = (
    # What is in every match; the match, which begins with a literal so that it is searched for fast; what is shown. What stands
    # before a match is looked at afterwards.
    (b"sk-", "sk-[A-Za-z0-9_-]{12,}", _MASK),
    (b"AIz", "AIza[A-Za-z0-9_-]{30,}", _MASK),
    (b"earer ", "earer +[A-Za-z0-9._~+/=-]{16,}", b"earer " + _MASK),
)
_PATTERNS = tuple((mark, re.compile(pattern.encode()), shown) for mark, pattern, shown in _KEYS)
_ANY_KEY = Pattern("|".join(pattern for _, pattern, _ in _KEYS), tuple(mark for mark, _, _ in _KEYS))
_ESCAPE = re.compile(rb"\\(?:[nrtbf]|u[0-9A-Fa-f]{4})$")
_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


@mypyc_attr(native_class=False)
class Shown(list[tuple[bytes, bytes]]):
    """Headers without secrets: what `without_secrets` gives, and need not be given again. They do not change any more."""

    __slots__ = ("_packed",)
    _packed: msgspec.Raw

    def packed(self) -> Any:
        """They as they are stored, made once: a connection has the same for all of its requests."""
        try:
            return self._packed
        except AttributeError:
            self._packed = msgspec.Raw(msgspec.msgpack.encode(self))
            return self._packed


def redact(record: Record) -> None:
    """Take out, in place, every credential. The answer's body becomes one piece, so that none is overlooked between two."""
    headers, body = record.response_headers, record.response_body
    if len(body) > 1:
        body = record.response_body = [b"".join(body)]
    if record.sent_head:
        record.sent_head = head_without_secrets(record.sent_head)
    if record.path not in _paths:
        record.path = _path_without_secrets(record.path)
    if type(record.request_headers) is not Shown:
        record.request_headers = without_secrets(record.request_headers)
    if not _harmless.issuperset(map(_name, headers)):
        headers = record.response_headers = without_secrets(headers)
    if record.came_body is not None or record.sent_body is not None or record.ruled_body is not None:
        _redact_layers(record)
    if may_hold_keys(b"\n".join((*map(_value, headers), record.request_body, *body))):
        _redact_text(record)


def _redact_text(record: Record) -> None:
    record.response_headers = [(name, without_keys(value)) for name, value in record.response_headers]
    record.request_body = without_keys(record.request_body)
    record.response_body = [without_keys(part) for part in record.response_body]


def _redact_layers(record: Record) -> None:
    """Those bodies that are there only where something has changed them on the way."""
    record.ruled_body = _maybe(record.ruled_body)
    record.sent_body = _maybe(record.sent_body)
    if record.came_body is not None:
        came = _maybe(b"".join(record.came_body))
        record.came_body = [came] if came else []


def _maybe(body: bytes | None) -> bytes | None:
    return without_keys(body) if body is not None and may_hold_keys(body) else body


may_hold_keys = _ANY_KEY.within
"""Whether something in some data looks like a key, or would if another letter stood before it; none is missed."""


def without_keys(data: bytes) -> bytes:
    """The data with what looks like a key replaced: `sk-...`, `AIza...` and bearer tokens."""
    for mark, pattern, shown in _PATTERNS:
        if data.find(mark) >= 0:
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
    """The headers with the values of those replaced whose names say that they are credentials, and keys in the others."""
    return Shown([(name, _MASK if name not in _harmless and _is_secret(name) else without_keys(value)) for name, value in headers])


def _path_without_secrets(path: str) -> str:
    shown = without_keys(without_parameters(path).encode()).decode()
    if shown == path and len(path) <= _LINE_LENGTH:
        if len(_paths) > _REMEMBERED:
            _paths.clear()
        _paths.add(path)
    return shown


def head_without_secrets(head: bytes) -> bytes:
    """The request line and the headers of a request with the values of credentials replaced."""
    before, mark, length = head.rpartition(_LENGTH)
    if length.strip(_DIGITS) != _END or len(before) > _LINE_LENGTH:
        return _lines_without_secrets(head)
    shown = _heads.get(before)
    if shown is None:
        if len(_heads) > _REMEMBERED:
            _heads.clear()
        shown = _heads[before] = _lines_without_secrets(before + _END)[: -len(_END)]
    return shown + mark + length


def _lines_without_secrets(head: bytes) -> bytes:
    if len(_lines) > _REMEMBERED:
        _lines.clear()
    lines = head.removesuffix(_END).split(b"\r\n")
    return b"\r\n".join([_lines.get(line) or _line(line) for line in lines]) + _END


def _line(line: bytes) -> bytes:
    """One line without secrets, remembered: nearly all lines of a head are those of the one before it."""
    name, colon, value = line.partition(b":")
    if colon and b" " not in name:
        (_, value) = without_secrets([(name, value.lstrip(b" \t"))])[0]
        shown = name + b": " + value
    else:
        method, _, rest = line.partition(b" ")
        target, blank, version = rest.rpartition(b" ")
        shown = (
            b" ".join((method, without_keys(without_parameters(target.decode("latin-1")).encode("latin-1")), version)) if blank else line
        )
        shown = without_keys(shown)
    if len(line) <= _LINE_LENGTH:
        _lines[line] = shown
    return shown


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

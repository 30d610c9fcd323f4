"""Cover: takes out of a record's bodies what its account does not want kept: places in JSON, and what looks like something."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import re2

from penstock.kit import sse
from penstock.kit.errors import PenstockError
from penstock.records.entries import shelf_of
from penstock.records.readable import undone
from penstock.records.record import Headers, Record
from penstock.records.redact import MASK

PATHS, PATTERNS, LENGTH = 64, 32, 500
"""How many of each there may be, and how many characters of one."""
PATTERN_BYTES = 1 << 20
"""Memory of one pattern."""
_MASK = MASK.encode()
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_DONE = b"[DONE]"
_FIELDS = (b"event:", b"id:", b"retry:", b":")
"""What the lines of an event begin with that have none of its data."""
_ENCODED = b"content-encoding"
Path = tuple[str, ...]


@dataclass(frozen=True)
class Cover:
    """What is covered: paths in JSON, and patterns in whatever text there is."""

    paths: tuple[Path, ...]
    patterns: tuple[Any, ...]


def make_cover(paths: Iterable[str], patterns: Iterable[str]) -> Cover:
    """What paths such as `messages.*.content` and RE2 patterns cover. Raises PenstockError `invalid_request`."""
    paths, patterns = tuple(paths), tuple(patterns)
    for name, given, most in (("redact_paths", paths, PATHS), ("redact_patterns", patterns, PATTERNS)):
        if len(given) > most or any(not 0 < len(one) <= LENGTH for one in given):
            raise PenstockError("invalid_request", f"There can be {most} {name} of 1 to {LENGTH} characters.", param=name)
    return Cover(tuple(map(_path, paths)), tuple(map(_pattern, patterns)))


def _path(path: str) -> Path:
    parts = tuple(path.split("."))
    if not all(parts):
        raise PenstockError("invalid_request", f"'{path}' is not a path: names go between dots, and * is all.", param="redact_paths")
    return parts


def _pattern(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem, options.log_errors = PATTERN_BYTES, False
    try:
        compiled = re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as wrong:
        raise PenstockError("invalid_request", f"'{pattern}' is not an RE2 pattern: {wrong}", param="redact_patterns") from None
    if compiled.search(b"") is not None:
        raise PenstockError("invalid_request", f"'{pattern}' fits nothing at all, which is everywhere.", param="redact_patterns")
    return compiled


def cover_all(records: Iterable[Record], covers: Mapping[str | None, Cover]) -> None:
    """Cover, in place, what each record's account wants covered. Takes its time: for a thread."""
    for record in records:
        cover = covers.get(shelf_of(record.account_id))
        if cover is not None:
            cover_record(record, cover)


def cover_record(record: Record, cover: Cover) -> None:
    """Cover all bodies of a record, in place; their content-encoding is undone, and no longer among the headers."""
    record.request_body, record.request_headers = _covered(record.request_body, record.request_headers, cover)
    if record.ruled_body is not None:
        record.ruled_body = _covered(record.ruled_body, [], cover)[0]
    if record.sent_body is not None:
        head, lines = _head(record.sent_head)
        record.sent_body, left = _covered(record.sent_body, lines, cover)
        if len(left) < len(lines):
            record.sent_head = head + b"".join(b"%b: %b\r\n" % line for line in left) + b"\r\n"
    headers = record.response_headers
    if record.came_body is not None:
        record.came_body = [_covered(b"".join(record.came_body), headers, cover)[0]]
    body, record.response_headers = _covered(b"".join(record.response_body), headers, cover)
    record.response_body = [body] if body else []


def _head(head: bytes) -> tuple[bytes, Headers]:
    """The request line, with its end, and the headers of what was sent."""
    first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
    return first + b"\r\n", [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]


def _covered(body: bytes, headers: Headers, cover: Cover) -> tuple[bytes, Headers]:
    """A body without what is covered, and its headers. What cannot be looked into is covered as a whole."""
    if not body:
        return body, headers
    plain = undone(body, headers)
    left = [pair for pair in headers if pair[0].lower() != _ENCODED]
    if not plain.well:
        return _MASK, left
    body = _without_paths(plain.body, cover.paths) if cover.paths else plain.body
    for pattern in cover.patterns:
        body = pattern.sub(lambda _: _MASK, body)
    return body, left


def _without_paths(body: bytes, paths: tuple[Path, ...]) -> bytes:
    if body.lstrip()[:1] not in (b"{", b"["):
        return _events_without(body, paths)
    try:
        return _json_without(body, paths)
    except _UNREADABLE:
        return _MASK


def _json_without(body: bytes, paths: tuple[Path, ...]) -> bytes:
    """A JSON text without what is at the paths; the text itself where there is nothing."""
    value = msgspec.json.decode(body)
    found = [_masked(value, path) for path in paths]
    return msgspec.json.encode(value) if any(found) or _repeats(body) else body


def _repeats(body: bytes) -> bool:
    """Whether an object has two members of one name: only the last of them was looked into."""
    over: list[int] = []
    json.loads(body, object_pairs_hook=lambda members: over.append(len(members) - len(dict(members))))
    return any(over)


def _masked(value: Any, path: Path) -> bool:
    """Replace what is at the path; whether there was something."""
    name, rest = path[0], path[1:]
    if isinstance(value, dict):
        names: Iterable[Any] = list(value) if name == "*" else (name,) if name in value else ()
    elif isinstance(value, list):
        names = range(len(value)) if name == "*" else (int(name),) if name.isdecimal() and int(name) < len(value) else ()
    else:
        return False
    found = False
    for one in names:
        if rest:
            found = _masked(value[one], rest) or found
        else:
            value[one] = MASK
            found = True
    return found


def _events_without(body: bytes, paths: tuple[Path, ...]) -> bytes:
    """Server-sent events, the JSON of each without what is at the paths; other bodies are covered as a whole."""
    events = sse.split(body)
    payloads = [sse.payload(event) for event in events]
    if not any(payloads):
        return _MASK
    return b"".join(_event_without(event, data, paths) for event, data in zip(events, payloads, strict=True))


def _event_without(event: bytes, data: bytes, paths: tuple[Path, ...]) -> bytes:
    lines = event.splitlines()
    kept = [line for line in lines if line.startswith(_FIELDS)]
    others = [line for line in lines if line and not line.startswith((*_FIELDS, b"data"))]
    if not data or data == _DONE:
        return event if not others else _MASK + b"\n\n"
    try:
        shown = _json_without(data, paths)
    except _UNREADABLE:
        shown = _MASK
    return event if shown is data and not others else b"\n".join((*kept, b"data: " + shown, b"", b""))

"""Layers: what each layer of the gateway has changed of a request and of its answer. JSON is compared by place, all else by line."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, Literal

import msgspec

from penstock.records.readable import body_shown, headers_shown
from penstock.records.record import Record
from penstock.records.redact import without_keys, without_secrets

CHANGES_LIMIT = 500
"""Changes of one layer that are told."""
TEXT_LIMIT = 2_000
"""Characters of a value that are shown."""
LINES_LIMIT = 1_000
"""Lines of each side that are compared: the time can grow with their square."""
_ABSENT: Any = object()
How = Literal["added", "removed", "changed"]


class Change(msgspec.Struct):
    """One change. `at` is the place, as `messages[0].content` or a header's name; by line it is the line's number, from 1."""

    at: str
    how: How
    before: str | None
    after: str | None


class Layer(msgspec.Struct):
    """What one layer has changed. `complete`: these are all changes; else more could be, that were too many or too large to tell."""

    layer: Literal["rules", "sent", "answer"]
    headers: list[Change]
    body: list[Change]
    by: Literal["path", "line"]
    """How the bodies were compared."""
    complete: bool


def layers(record: Record) -> list[Layer]:
    """The layers in order: what the rules have made of what the client sent, what was sent of that, what the client got of the answer."""
    head = record.request_headers
    came = body_shown(record.request_body, head, truncated=record.request_truncated)
    ruled = came if record.ruled_body is None else body_shown(record.ruled_body, [], truncated=False)
    sent = ruled if record.sent_body is None else body_shown(record.sent_body, sent_headers(record), truncated=record.sent_truncated)
    answer = b"".join(record.response_body)
    shown = body_shown(answer, got_headers(record), truncated=record.response_truncated)
    came_body = b"".join(record.came_body or [])
    told = shown if record.came_body is None else body_shown(came_body, record.response_headers, truncated=record.came_truncated)
    if not record.sent_head:
        sent_layer = _layer("sent", {}, {}, ruled, ruled)
    else:
        sent_layer = _layer("sent", headers_shown(head), headers_shown(sent_headers(record)), ruled, sent)
    return [_layer("rules", {}, {}, came, ruled), sent_layer, _layer("answer", *_statuses(record), told, shown)]


def sent_headers(record: Record) -> list[tuple[bytes, bytes]]:
    """The headers of the request that went out, by lower-case name, without credentials."""
    lines = record.sent_head.split(b"\r\n")[1:]
    pairs = [line.partition(b":")[::2] for line in lines if b":" in line]
    return list(without_secrets([(name.strip().lower(), value.strip()) for name, value in pairs]))


def got_headers(record: Record) -> list[tuple[bytes, bytes]]:
    """The headers of the answer as the client got it. Those of one that was translated are not kept, but for what it is."""
    if record.came_body is None:
        return record.response_headers
    return [(name, value) for name, value in record.response_headers if name.lower() == b"content-type"]


def _statuses(record: Record) -> tuple[dict[str, str], dict[str, str]]:
    """The status that came and the one that the client was shown; headers of the answer are kept once."""
    shown = str(record.response_status)
    came = shown if record.came_status is None else str(record.came_status)
    return {":status": came}, {":status": shown}


def _layer(name: Literal["rules", "sent", "answer"], head: dict[str, str], new_head: dict[str, str], body: str, new: str) -> Layer:
    headers = [
        _change(key, head.get(key, _ABSENT), new_head.get(key, _ABSENT))
        for key in sorted(head.keys() | new_head.keys())
        if head.get(key) != new_head.get(key)
    ]
    found: list[Change] = []
    by: Literal["path", "line"] = "path"
    complete = len(headers) <= CHANGES_LIMIT
    if body != new:
        before, after = _document(body), _document(new)
        by = "line" if before is _ABSENT or after is _ABSENT else "path"
        if by == "line":
            complete = complete and max(body.count("\n"), new.count("\n")) < LINES_LIMIT
        changes = _by_line(body, new) if by == "line" else _by_path(before, after)
        for change in changes:
            if len(found) == CHANGES_LIMIT:
                complete = False
                break
            found.append(change)
    return Layer(name, headers[:CHANGES_LIMIT], found, by, complete)


def _document(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return _ABSENT


def _by_path(before: Any, after: Any) -> Iterator[Change]:
    """The places at which two documents differ, in order. What two lists begin and end with alike is passed over."""
    todo: list[tuple[str, Any, Any]] = [("", before, after)]
    while todo:
        at, old, new = todo.pop()
        if old is _ABSENT or new is _ABSENT or type(old) is not type(new) or not isinstance(old, (dict, list)):
            if not _same(old, new):
                yield _change(at, old, new)
        elif isinstance(old, dict):
            keys = [*old, *(key for key in new if key not in old)]
            todo += [(_member(at, key), old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in reversed(keys)]
        else:
            todo += reversed(list(_elements(at, old, new)))


def _elements(at: str, old: list[Any], new: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    start, end = 0, 0
    shorter = min(len(old), len(new))
    while start < shorter and _same(old[start], new[start]):
        start += 1
    while end < shorter - start and _same(old[-1 - end], new[-1 - end]):
        end += 1
    for place in range(start, max(len(old), len(new)) - end):
        before = old[place] if place < len(old) - end else _ABSENT
        yield f"{at}[{place}]", before, new[place] if place < len(new) - end else _ABSENT


def _same(old: Any, new: Any) -> bool:
    """Equal, and of the same kind: true is not 1."""
    try:
        return type(old) is type(new) and bool(old == new) and (not isinstance(old, (dict, list)) or _written(old) == _written(new))
    except RecursionError:
        return False


def _written(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def _member(at: str, key: str) -> str:
    if key.isidentifier():
        return f"{at}.{key}" if at else key
    return f"{at}[{msgspec.json.encode(key).decode()}]"


def _by_line(before: str, after: str) -> Iterator[Change]:
    old, new = before.splitlines()[:LINES_LIMIT], after.splitlines()[:LINES_LIMIT]
    for tag, start, end, new_start, new_end in SequenceMatcher(None, old, new).get_opcodes():
        if tag != "equal":
            for place in range(max(end - start, new_end - new_start)):
                line = old[start + place] if start + place < end else _ABSENT
                other = new[new_start + place] if new_start + place < new_end else _ABSENT
                number = start + place if line is not _ABSENT else new_start + place
                yield _change(str(number + 1), line, other)


def _change(at: str, old: Any, new: Any) -> Change:
    how: How = "added" if old is _ABSENT else "removed" if new is _ABSENT else "changed"
    return Change(at[:TEXT_LIMIT], how, _told(old), _told(new))


def _told(value: Any) -> str | None:
    if value is _ABSENT:
        return None
    text = value if isinstance(value, str) else _written(value).decode()
    text = without_keys(text.encode(errors="replace")).decode(errors="replace")
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}..."

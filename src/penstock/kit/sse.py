"""Server-sent events: where they end, and what is in them, in bytes. WHATWG HTML, section 9.2 "Server-sent events".

Lines end in LF, CR LF or CR; an event ends with a blank line. An event here is its bytes *with* that blank line: joined,
the events are the stream.
"""

from __future__ import annotations

import re

_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_BOM = b"\xef\xbb\xbf"


def split(data: bytes) -> list[bytes]:
    """The events of `data`; what follows the last blank line, if anything does, is the last item."""
    if b"\r" not in data:
        pieces = data.split(b"\n\n")
        last = pieces.pop()
        events = [piece + b"\n\n" for piece in pieces]
        return [*events, last] if last else events
    events = []
    done = 0
    for match in _BLANK_LINE.finditer(data):
        events.append(data[done : match.end()])
        done = match.end()
    return [*events, data[done:]] if done < len(data) else events


def end_of_events(data: bytes) -> int:
    """Where the last whole event of `data` ends; 0 if none does."""
    if data.endswith(b"\n\n"):
        return len(data)
    if b"\r" not in data:
        return data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    end = 0
    for match in _BLANK_LINE.finditer(data):
        end = match.end()
    return end


def payload(event: bytes) -> bytes:
    """The values of the event's `data` fields, joined by LF; empty where there is none."""
    if event.startswith(b"data: ") and b"\n" not in event and b"\r" not in event:
        return event[6:]
    return b"\n".join(_values(event, b"data"))


def event_name(event: bytes) -> bytes:
    """The value of the event's last `event` field; empty where there is none."""
    names = _values(event, b"event")
    return names[-1] if names else b""


def _values(event: bytes, field: bytes) -> list[bytes]:
    found = []
    for line in event.removeprefix(_BOM).splitlines():
        name, _, value = line.partition(b":")
        if name == field:
            found.append(value.removeprefix(b" "))
    return found

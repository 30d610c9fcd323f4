"""Paths: every spelling that clients send reaches the same place, by normalisation and never by redirect."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from penstock.upstream.wires import WIRES, wire_for
from penstock.upstream.wires.wire import Wire

ROOTS = frozenset(
    (
        "assistants", "audio", "batches", "chat", "complete", "completions", "containers", "conversations", "edits", "embeddings",
        "engines", "evals", "files", "fine_tuning", "images", "messages", "models", "moderations", "organizations", "realtime",
        "responses", "threads", "uploads", "vector_stores", "videos",
    )
)  # fmt: skip
"""First segments that mean the API although `/v1` was forgotten."""
_SLASHES = re.compile(rb"/{2,}")
_VERSION = re.compile(r"v\d+")
_ABSOLUTE = re.compile(rb"^https?://[^/?#]*", re.IGNORECASE)
_BAD = re.compile(rb"[^\x21-\x7e]|\\")
CACHED = 2048


class Target(NamedTuple):
    """Where a request goes. `wire` None: not the relay's but the control plane's; `refused`: not a path at all."""

    method: bytes
    path: str
    query: bytes
    wire: Wire | None
    refused: bool = False


_targets: dict[tuple[bytes, bytes], Target] = {}


def find_target(method: bytes, url: bytes) -> Target:
    """The target of a request line. Look-ups are cached, bounded."""
    target = _targets.get((method, url))
    if target is None:
        target = _read(method, url)
        if len(_targets) >= CACHED:
            _targets.clear()
        if len(url) <= 512 and b"key=" not in url:
            _targets[method, url] = target
    return target


def _read(method: bytes, url: bytes) -> Target:
    raw, _, query = _ABSOLUTE.sub(b"", url, count=1).partition(b"?")
    query = query.partition(b"#")[0]
    raw = _SLASHES.sub(b"/", raw.partition(b"#")[0])
    segments = [part for part in raw.split(b"/") if part]
    if _BAD.search(url) or any(unquote_to_bytes(part) in (b".", b"..") for part in segments):
        return Target(method, "", b"", None, refused=True)
    names = [part.decode("ascii") for part in segments]
    if names and names[0] in ROOTS:
        names.insert(0, "v1")
    while len(names) > 1 and names[0] == "v1" and names[1] == "v1":
        del names[0]
    path = "/" + "/".join(names)
    if not names or not _VERSION.fullmatch(names[0]):
        return Target(method, path, query, None)
    wire = WIRES["realtime"] if path == "/v1/realtime" else wire_for(method.decode("ascii"), path)
    return Target(method, path, query, wire)

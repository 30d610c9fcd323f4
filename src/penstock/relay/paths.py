"""Paths: every spelling that clients send reaches the same place, by normalisation and never by redirect."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from penstock.upstream.wires import WIRES, platform_wire, wire_for
from penstock.upstream.wires.wire import Wire

ROOTS = frozenset(
    (
        "assistants", "audio", "batches", "chat", "complete", "completions", "containers", "conversations", "edits", "embeddings",
        "engines", "estimate", "evals", "files", "fine_tuning", "images", "messages", "models", "moderations", "organizations", "realtime",
        "responses", "threads", "uploads", "vector_stores", "videos",
    )
)  # fmt: skip
"""First segments that mean the API although `/v1` was forgotten."""
_VERSION = re.compile(r"v\d+(?:alpha|beta)?")
_VERSIONS = frozenset(("v1", "v1beta", "v1alpha"))
"""Of two of them in a row only the last one is meant: the first came with the base URL, the other from an SDK."""
_BETAS = _VERSIONS - {"v1"}
"""Of Google's. What no wire claims there is the control plane's, but for the list of models."""
_READS = frozenset((b"GET", b"HEAD"))
_PLATFORM = ["api", "v1"]
"""The platform's own paths: some are wires, the others the control plane's."""
_BILLING = ["dashboard", "billing"]
_SAFE = "/:@!$&'()*+,;=~"
_ABSOLUTE = re.compile(rb"^https?://[^/?#]*", re.IGNORECASE)
_BAD = re.compile(rb"[^\x21-\x7e]|\\")
_OUTSIDE = re.compile(rb"(?:^|[/\\])\.{1,2}(?:[/\\;]|$)|[\x00-\x1f\x7f]")
"""In a decoded path: a dot segment, or a control character."""
_OTHER = WIRES["passthrough"]
CACHED = 2048


@dataclass(frozen=True)
class Target:
    """Where a request goes. `wire` None: not the relay's but the control plane's; `refused`: not a path at all.

    `respelled`: the control plane, which takes each path as it is written, is to be given `path` and not what the client sent.
    """

    method: bytes
    path: str
    query: bytes
    wire: Wire | None
    refused: bool = False
    respelled: bool = False


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
    raw, _, query = _ABSOLUTE.sub(b"", url, count=1).partition(b"#")[0].partition(b"?")
    decoded = unquote_to_bytes(raw) if b"%" in raw else raw
    if _BAD.search(url) or _OUTSIDE.search(decoded):
        return Target(method, "", b"", None, refused=True)
    names = _names(raw.decode("ascii"))
    path = "/" + "/".join(names)
    if names[:2] == _PLATFORM:
        return Target(method, path, query, platform_wire(method.decode("ascii"), path))
    if names[:2] == _BILLING or names[1:3] == _BILLING:  # the old billing URLs: compat/dashboard.py
        return Target(method, path, query, None, respelled=True)
    if not names or not _VERSION.fullmatch(names[0]) or names[1:2] == _BILLING[:1]:
        return Target(method, path, query, None)
    wire = _wire(method, path)
    if decoded is not raw and (wire is _OTHER or wire.addressed):
        # A provider decodes before it looks at the path, so what is metered is what it will see.
        plain = "/" + "/".join(_names(decoded.decode("utf-8", "replace")))
        meant = _wire(method, plain)
        if meant is not _OTHER:
            path, wire = quote(plain, safe=_SAFE), meant
    if wire is _OTHER and names[0] in _BETAS and not (names[1:2] == ["models"] and method in _READS):
        return Target(method, path, query, None)
    return Target(method, path, query, wire)


def _names(path: str) -> list[str]:
    """The segments of a path, as if `/v1` had been written once, whether it was or not."""
    names = [name for name in path.split("/") if name]
    if names and names[0] in ROOTS:
        names.insert(0, "v1")
    while len(names) > 1 and names[0] in _VERSIONS and names[1] in _VERSIONS:
        del names[0]
    return names


def _wire(method: bytes, path: str) -> Wire:
    if path == "/v1/realtime" and method == b"GET":
        return WIRES["realtime"]
    return wire_for(method.decode("ascii"), path)

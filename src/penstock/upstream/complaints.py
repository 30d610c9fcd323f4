"""Complaints: what a provider says is wrong, found in whatever it has answered with, and the error that a caller is shown for it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.faults import READ_BYTES, Fault, read_fault, seconds_of

WORDS_LIMIT = 600
EMPTY = "it is empty"
_READ_LIMIT = 64 * 1024
_OURS = frozenset((401, 402, 403, 407))
"""The operator's credential or credit: nothing that the caller has done, and no business of theirs."""
_CALLERS = frozenset((400, 404, 405, 406, 411, 413, 414, 415, 416, 422))
_NOTHING = frozenset((b"", b"{}", b"[]", b"null"))
_MARKS = (b'"error"', b'"errors"', b'"success"')
_PLACES = ("object", "choices", "output", "content", "data", "candidates", "result", "usage", "text", "id")
"""Where answers have what was asked for, or say what they are."""
_BLANKS = re.compile(r"\s+")


class ProviderRefusal(PenstockError):
    """A provider has refused or failed: what the caller is told of it, and what that says about the channel, if anything."""

    fault: Fault | None = None
    again: bool = False
    """Nothing has been done: another channel may be asked for the same."""


def emptiness(body: bytes) -> str | None:
    """Why there is no answer in a success: nothing at all, an empty value, or the provider's error; None where there is one, or may be.

    An object that has a place for an answer is one, whatever else it says.
    """
    text = body.strip() if len(body) <= _READ_LIMIT else body
    if text in _NOTHING:
        return EMPTY
    if not text.startswith(b"{") or len(text) > _READ_LIMIT or not any(mark in text for mark in _MARKS):
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if any(found.get(place) for place in _PLACES) or not (found.get("error") or found.get("errors") or found.get("success") is False):
        return None
    return f"it is an error: {words(text) or 'without words'}"


def words(body: bytes) -> str:
    """The provider's own words in the body of an error: the message of a JSON object, or plain text; empty for pages and for nothing."""
    text = body[:_READ_LIMIT].decode("utf-8", "replace").strip()
    if text.startswith(("{", "[")):
        try:
            text = _message(msgspec.json.decode(body))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return ""
    elif text.startswith("<"):
        return ""
    return _BLANKS.sub(" ", text).strip()[:WORDS_LIMIT]


def refusal(status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> ProviderRefusal:
    """The error for an answer of status 400 or more, or one that is none. `headers` have lower-case names."""
    found = dict(headers)
    error = _told(status, words(body), found)
    error.fault = read_fault(status, body[:READ_BYTES], found.get(b"retry-after"))
    error.again = error.fault is not None
    return error


def unreadable(what: str) -> ProviderRefusal:
    """The error for an answer that says all is well and is not what it should be."""
    return ProviderRefusal("upstream_invalid", f"The provider's answer cannot be used: {what}.")


def _told(status: int, said: str, headers: Mapping[bytes, bytes]) -> ProviderRefusal:
    if status in _OURS:
        return ProviderRefusal(
            "upstream_invalid", f"The provider does not accept the operator's credential or credit (status {status}). Tell the operator."
        )
    if status == 429:
        seconds = seconds_of(headers.get(b"retry-after"))
        wait = math.ceil(seconds) if seconds is not None else None
        return ProviderRefusal("too_many_requests", f"The provider is asked too often. {said}".strip(), retry_after_s=wait)
    if status in _CALLERS:
        return ProviderRefusal("invalid_request", said or f"The provider refuses the request with status {status}.")
    if status < 400:
        return ProviderRefusal("upstream_redirect", "The provider answered with a redirect: the channel's base URL is wrong.")
    if status in {408, 504}:
        return ProviderRefusal("upstream_timeout", f"The provider took too long. {said}".strip())
    if status == 503:
        return ProviderRefusal("overloaded", f"The provider is overloaded. {said}".strip())
    return ProviderRefusal("upstream_invalid", f"The provider failed with status {status}. {said}".strip())


def _message(value: object) -> str:
    """The message in an error object, wherever vendors put it."""
    for _ in range(4):
        if isinstance(value, list):
            value = value[0] if value else None
        if isinstance(value, str):
            return value
        if not isinstance(value, dict):
            return ""
        value = next((value[name] for name in ("error", "message", "detail", "title", "errors") if value.get(name)), None)
    return ""

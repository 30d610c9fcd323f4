"""Sealed: what only one provider can read (signatures, encrypted reasoning), packed so that clients of another wire carry it.

A client gives back a thought's signature unread. Where the signature comes from a provider of another wire than the client's, it is
packed with the name of that wire, so that it reaches the same kind of provider again and no other.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from penstock.upstream.bridges.conversation import Thought

MARK = "~psk1."
"""Begins with a character that bodies seldom have, so that it is found to be absent in no time."""
_LIMIT = 8 * 1024 * 1024


def seal(thought: Thought) -> str:
    """Everything of a thought but its text, as one opaque word."""
    packed = msgspec.json.encode([thought.wire, thought.signature, thought.redacted, thought.id])
    return MARK + urlsafe_b64encode(packed).rstrip(b"=").decode("ascii")


def unseal(word: str) -> Thought | None:
    """The thought, without text; None if the word was not sealed here."""
    if not word.startswith(MARK) or len(word) > _LIMIT:
        return None
    packed = word[len(MARK) :]
    try:
        found = msgspec.json.decode(urlsafe_b64decode(packed + "=" * (-len(packed) % 4)), type=tuple[str, str, str, str])
    except (ValueError, msgspec.MsgspecError):
        return None
    wire, signature, redacted, item_id = found
    return Thought("", signature, redacted, item_id, wire)

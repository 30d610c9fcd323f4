"""The text that the demo provider answers with: what it says, how long it is, and how it is counted."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from penstock.upstream.demo.manners import Manners

CREATED = 1_790_000_000
"""The time of everything the demo provider makes, so that the same request has the same answer."""
TOKEN_LENGTH = 4
"""Characters of a token; a content event of a stream carries one token unless the text is big."""
CACHE_READ, CACHE_WRITE_5M, CACHE_WRITE_1H = 1024, 256, 128
"""Tokens that a `cached` model reads from and writes to its cache, beside the request's own."""
THOUGHT = "The user said something. The demo provider repeats it."
"""What the demo provider thinks when it is asked to."""
MIDWAY = "The demo provider fails in the middle, as the model's name asks."
"""What it says when a stream is to end in an error."""

_BIG_PIECE = 16 * 1024
_ECHO_LENGTH = 500
_FILLER = "The quick brown fox jumps over the lazy dog. "


def tokens_of(characters: int) -> int:
    """The tokens of so many characters: one for four, rounded up."""
    return -(-characters // TOKEN_LENGTH)


def greeting(said: str) -> str:
    """What a newcomer reads: who answers, what was said, and how to get a real answer."""
    echo = said if len(said) <= _ECHO_LENGTH else said[:_ECHO_LENGTH] + "…"
    return (
        "Hello! This is Penstock's demo provider; there is no model behind it, and it costs nothing. "
        f'You said: "{echo}". Set OPENAI_API_KEY or ANTHROPIC_API_KEY and restart to get real answers.'
    )


class Prose(msgspec.Struct, gc=False):
    """A text of `length` characters that repeats `source`, and the steps in which a stream tells it."""

    source: str
    length: int
    step: int = TOKEN_LENGTH
    capped: bool = False
    """The caller's own limit on tokens cut it short."""

    @property
    def tokens(self) -> int:
        """What the text is counted as."""
        return tokens_of(self.length)

    @property
    def count(self) -> int:
        """How many pieces a stream tells it in."""
        return -(-self.length // self.step)

    def text(self) -> str:
        """The whole text."""
        if self.length <= len(self.source):
            return self.source[: self.length]
        return (self.source * (self.length // len(self.source) + 1))[: self.length]

    def pieces(self) -> Iterator[str]:
        """The text in steps, without ever holding all of it."""
        if self.length <= len(self.source):
            for at in range(0, self.length, self.step):
                yield self.source[at : min(at + self.step, self.length)]
            return
        period = len(self.source)
        reel = self.source * (self.step // period + 2)
        for at in range(0, self.length, self.step):
            start = at % period
            yield reel[start : start + min(self.step, self.length - at)]


def verbatim(text: str) -> Prose:
    """Exactly this text, whatever the manners: it must stay valid JSON."""
    return Prose(text, len(text))


def prose(source: str, manners: Manners, cap: int | None) -> Prose:
    """`source`, or as much filler as the manners ask for, cut to `cap` tokens."""
    if manners.size:
        length = manners.size
        step = -(-length // manners.events) if manners.events else _BIG_PIECE
        told = Prose(_FILLER, length, step)
    elif manners.events:
        told = Prose(_FILLER, manners.events * TOKEN_LENGTH)
    else:
        told = Prose(source, len(source))
    if cap is not None and told.tokens > cap:
        told.length = cap * TOKEN_LENGTH
        told.capped = True
    return told

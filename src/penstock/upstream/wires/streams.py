"""Streams: what the meters of all wires have in common."""

from __future__ import annotations

import re
from typing import ClassVar

import msgspec
from mypy_extensions import mypyc_attr

from penstock.kit.sse import event_name
from penstock.upstream.usage import Usage
from penstock.upstream.wires import estimate
from penstock.upstream.wires.wire import Ask

TOKENS_MARK = b'_tokens"'
"""Is in every OpenAI usage object, however it is spaced, and not in the `"usage":null` of other chunks."""
DONE = b"[DONE]"
ERROR_MARK = b'"error"'
"""Text cannot contain it: inside JSON strings quotes are escaped."""

_TYPE = re.compile(rb'"type"[ \t]*+:[ \t]*+"([\w.]+)"')
_HEAD = 1024


@mypyc_attr(allow_interpreted_subclasses=True)
class Counting:
    """Counts what passes and ends up with a usage: the provider's own if it came, else an estimate.

    A meter sets `_usage` to the latest figures, `_final` when they are known to be for the whole answer, and `_failed` when
    the provider reported an error.
    """

    overhead_bytes: ClassVar[int] = 0
    """Bytes of this wire's usual event that are not text."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._estimate = estimate.Estimate(self.overhead_bytes)
        self._usage: Usage | None = None
        self._final = False
        self._failed = False

    @property
    def learned(self) -> bool:
        """An event with text was read."""
        return self._estimate.learned

    def skip(self, size_bytes: int, events: int) -> None:
        """Count events that were forwarded unread."""
        self._estimate.skip(size_bytes, events)

    def usage(self) -> tuple[Usage, bool]:
        """The usage so far, and whether it is estimated. A stream that only said that it failed has consumed nothing."""
        if self._usage is not None and self._final:
            return self._usage, False
        if self._usage is not None:
            seen = max(self._usage.output_tokens, self._estimate.output_tokens())
            return msgspec.structs.replace(self._usage, output_tokens=seen), True
        if self._failed and not self._estimate.began:
            return Usage(calls=0), False
        return self._guess(), True

    def _guess(self) -> Usage:
        return Usage(input_tokens=estimate.input_tokens(self._ask), output_tokens=self._estimate.output_tokens())


def named(event: bytes, data: bytes) -> str:
    """The type of an event that cannot be decoded, such as the beginning of a long one: its name, else its first "type"."""
    name = event_name(event[:_HEAD])
    if not name:
        match = _TYPE.search(data, 0, _HEAD)
        name = match[1] if match is not None else b""
    return name.decode("utf-8", "replace")

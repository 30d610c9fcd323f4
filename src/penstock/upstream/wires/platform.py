"""The platform's own calls: what their wires have in common. Paths under /api/v1, forms and JSON alike, errors in its envelope."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.upstream.dialects import platform
from penstock.upstream.usage import Usage
from penstock.upstream.wires.free import FreeMeter
from penstock.upstream.wires.jsonwire import JsonWire
from penstock.upstream.wires.wire import Ask, Dialect, StreamMeter


class PlatformMeter(FreeMeter):
    """Counts what was known beforehand; these calls have no streams of their own."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def usage(self) -> tuple[Usage, bool]:
        """What the request says."""
        return _known(self._ask), True


class PlatformWire(JsonWire):
    """A call whose quantities are known from its request."""

    dialect: Dialect = platform.DIALECT
    accepts_forms: ClassVar[bool] = True
    forms_as_json: ClassVar[bool] = True
    methods: ClassVar[tuple[str, ...]] = ("POST",)

    def prepare(self, body: bytes, ask: Ask, model: str | None) -> bytes:
        """The body: no provider speaks this wire itself, so there is nothing to be renamed in it."""
        return body

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader that counts what is known."""
        return PlatformMeter(ask)

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """What was known beforehand, if there is an answer at all and not a web page in its place."""
        if not body.strip() or body.rstrip()[-7:].lower() == b"</html>":
            return Usage(calls=0), False
        return _known(ask), False


class CallWire(PlatformWire):
    """A call that is charged as one, under a model name of its own so that keys can be allowed it and it can have a price."""

    model: ClassVar[str]

    def peek(self, body: bytes) -> Ask:
        """The same for every request: what is in it is checked by the bridge that takes it over."""
        return Ask(model=self.model, output_cap=0, quantity=Usage())

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """One call, where the answer is JSON."""
        return (_known(ask), False) if body.rstrip()[-1:] in {b"}", b"]"} else (Usage(calls=0), False)


def _known(ask: Ask) -> Usage:
    return msgspec.structs.replace(ask.quantity) if ask.quantity is not None else Usage()

"""The shape that is read of most requests."""

from __future__ import annotations

import msgspec

from penstock.upstream.wires.asks import Scalar


class Fields(msgspec.Struct, gc=False):
    """What most wires read of a request. `cap` goes by other names on some."""

    model: Scalar = None
    stream: Scalar = None
    cap: Scalar = msgspec.field(default=None, name="max_tokens")

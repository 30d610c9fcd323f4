"""A charge: what one request consumed and cost, as the relay makes it and as the books keep it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import astuple


class Charge(msgspec.Struct, gc=False):
    """One row of the table `charge`, fields in the order of its columns; `draws`, the last, is none of them.

    Made once per request: 0.1 us by position, 0.8 us by keyword in this order. Of the times, `upload_ms` is until
    the request had been sent, `first_byte_ms` until the answer began, `duration_ms` until it ended.
    """

    id: str
    """The request's id, `req_...`; it begins with the time, and makes writing a charge twice harmless."""
    created_at_ms: int
    account_id: str | None
    key_id: str | None
    wire: str
    provider: str
    channel: str
    model: str
    """What was asked for."""
    served_model: str
    """What was sent to the provider."""
    status: int
    """The HTTP status that the client was shown."""
    outcome: str
    """complete, client_gone, upstream_died, upstream_timeout, upstream_error or stopped."""
    streamed: bool
    estimated: bool
    """The usage is our estimate: the provider's own figures did not arrive."""
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    extra_usage: str | None
    """The rarer usage that is not zero, as a JSON object."""
    cost_nano: int
    free_nano: int
    """How much of the cost was free money."""
    multiplier_micro: int
    """Millionths that the price was multiplied by."""
    price_version: str | None
    """None: the model has no price."""
    upload_ms: int
    first_byte_ms: int
    duration_ms: int
    attempts: int
    draws: tuple[tuple[str, int], ...] = ()
    """What it draws of which lease, in the units of its purse: not a column, but written to the leases with the row."""


_SMALL = frozenset({"status", "upload_ms", "first_byte_ms", "duration_ms", "attempts"})
COLUMNS = tuple(name for name in Charge.__struct_fields__ if name != "draws")
WIDTH = len(COLUMNS)
_KINDS = [(field.type, 2**31 if field.name in _SMALL else 2**63) for field in msgspec.structs.fields(Charge)[:WIDTH]]


def columns(charge: Charge) -> dict[str, Any]:
    """The row, by name."""
    return {name: getattr(charge, name) for name in COLUMNS}


def drawn(charges: Iterable[Charge]) -> dict[str, int]:
    """What the charges draw of each lease."""
    spent: dict[str, int] = {}
    for charge in charges:
        for lease_id, units in charge.draws:
            spent[lease_id] = spent.get(lease_id, 0) + units
    return spent


def mended(charge: Charge) -> Charge:
    """The charge with every value as its column can hold it; equal to the charge if it was sound.

    Clients and providers decide what is in some fields: a NUL or half a surrogate pair in a model's name, more tokens
    than 64 bits can count. A database refuses the whole group for one of them, so such a charge is changed, not dropped.
    """
    values = (_fit(value, kind, bound) for value, (kind, bound) in zip(astuple(charge)[:WIDTH], _KINDS, strict=True))
    return Charge(*(*values, charge.draws))


def _fit(value: Any, kind: Any, bound: int) -> Any:
    if kind is bool:
        return bool(value)
    if kind is int:
        return max(-bound, min(value, bound - 1)) if isinstance(value, int) else 0
    if value is None and kind is not str:
        return None
    return str(value or "").encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")

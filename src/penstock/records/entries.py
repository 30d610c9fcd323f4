"""Entries: what a list says of a record, and the pages that keep many of them as one value."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from penstock.accounts.models import OPERATOR
from penstock.records.record import Record

OPERATOR_SHELF = "operator"
"""The shelf of those who run the gateway; every other shelf is called like the account whose it is."""
TEXT_LIMIT = 256
"""Characters of a path or a name that an entry has; the record has all of them."""


class Place(NamedTuple):
    """Where in its segment a record is: in which group, and which of that group's it is."""

    group: int
    position: int


class Entry(msgspec.Struct, array_like=True, gc=False):
    """What a list says of one record.

    `model` is what was asked for, `served` what went out. `created_at_ms` is when the exchange ended, `first_byte_us` how long after
    the request's first byte the answer's first one came, 0 where that is not known. Sizes are those of the bodies that were kept.
    Stored as a list of these fields, in this order: a new field goes to the end and has a default.
    """

    created_at_ms: int
    id: str
    account_id: str | None
    key_id: str | None
    method: str
    path: str
    wire: str
    model: str | None
    served: str | None
    channel: str
    status: int | None
    outcome: str
    is_stream: bool
    duration_ms: int
    cost_nano: int
    input_tokens: int
    output_tokens: int
    rules: tuple[str, ...]
    first_byte_us: int
    request_bytes: int
    response_bytes: int
    place: Place

    @property
    def order(self) -> tuple[int, str]:
        """What lists are in the order of."""
        return (self.created_at_ms, self.id)


Row = tuple[Any, ...]
"""The fields of an entry, in their order."""
facts_of: Any = attrgetter(
    "created_at_ms", "id", "account_id", "key_id", "method", "path", "wire", "original_model", "rewritten_model", "channel",
    "response_status", "outcome", "is_stream", "duration_ms", "cost_nano", "input_tokens", "output_tokens", "rules",
)  # fmt: skip
"""The fields of a record that are an entry's, in its order; the others follow them."""

_decoder = msgspec.msgpack.Decoder(list[Entry])
encode_rows = msgspec.msgpack.Encoder().encode
"""Rows, or entries, as bytes."""


def row_of(record: Record, group: int, position: int) -> Row:
    """The entry of a record that is at a place, as a row."""
    facts: Row = facts_of(record)
    if len(facts[5]) + len(facts[7] or "") + len(facts[8] or "") > TEXT_LIMIT:
        facts = tuple(fact[:TEXT_LIMIT] if isinstance(fact, str) else fact for fact in facts)
    phases, body = record.phases_us, record.response_body
    first_byte_us = phases[0] + phases[1] + phases[2] + phases[3] + phases[4] if len(phases) > 4 else 0
    size = len(body[0]) if len(body) == 1 else sum(map(len, body))
    return facts + (first_byte_us, len(record.request_body), size, (group, position))  # noqa: RUF005  twice as fast as unpacking


def entry_of(row: Row) -> Entry:
    """The entry of a row."""
    return decode_rows(encode_rows([row]))[0]


def decode_rows(data: bytes) -> list[Entry]:
    """The entries again. Raises ValueError for what are none."""
    return _decoder.decode(data)


def shelf_of(account_id: str | None) -> str:
    """The shelf of an account; what nobody was asked a key for is the operator's own traffic."""
    return account_id or OPERATOR


def shelves_of(entry: Record) -> Sequence[str]:
    """On which shelves a record stands."""
    shelves = (shelf_of(entry.account_id),) if entry.for_owner else ()
    return (*shelves, OPERATOR_SHELF) if entry.for_operator else shelves

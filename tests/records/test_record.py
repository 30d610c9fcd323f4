"""What is stored of a record."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from penstock.records.record import Record

STORED = (
    "id", "created_at_ms", "key_id", "method", "path", "wire", "original_model", "rewritten_model", "request_headers",
    "request_body", "response_status", "response_headers", "response_body", "duration_ms", "is_stream", "outcome",
    "request_truncated", "response_truncated", "channel", "attempts",
)  # fmt: skip


def test_the_order_of_stored_fields_stays() -> None:
    assert Record.__struct_fields__[: len(STORED)] == STORED


def test_what_is_stored_is_read_back(make_record: Callable[..., Record]) -> None:
    record = make_record(request_body=bytes(range(256)), key_id=None, response_status=None, response_truncated=True)

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=Record) == record


def test_records_of_an_older_version_are_read(make_record: Callable[..., Record]) -> None:
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(make_record()))

    record = msgspec.convert(fields[:16], Record)

    assert (record.outcome, record.request_truncated, record.response_truncated) == ("complete", False, False)

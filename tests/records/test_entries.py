"""Entries: what a list says of a record, and back from what is stored."""

from __future__ import annotations

import pytest

from made_records import made
from penstock.accounts.models import OPERATOR
from penstock.records.entries import OPERATOR_SHELF, TEXT_LIMIT, Place, decode_rows, encode_rows, entry_of, row_of, shelf_of, shelves_of


def test_an_entry_says_what_its_record_does() -> None:
    record = made(rules=("rul_1",), phases_us=(1, 2, 3, 4, 5, 6), cost_nano=7, response_body=[b"ab", b"c"])

    [entry] = decode_rows(encode_rows([row_of(record, 3, 4)]))

    assert entry == entry_of(row_of(record, 3, 4))
    assert (entry.id, entry.created_at_ms, entry.model, entry.served) == (record.id, record.created_at_ms, "gpt-4o", "gpt-4o")
    assert (entry.rules, entry.cost_nano, entry.response_bytes, entry.place) == (("rul_1",), 7, 3, Place(3, 4))
    assert entry.order == (record.created_at_ms, record.id)


@pytest.mark.parametrize(("phases", "first_byte_us"), [((), 0), ((1, 2, 3, 4), 0), ((1, 2, 3, 4, 5), 15), ((1, 2, 3, 4, 5, 6, 7), 15)])
def test_the_first_byte(phases: tuple[int, ...], first_byte_us: int) -> None:
    assert entry_of(row_of(made(phases_us=phases), 0, 0)).first_byte_us == first_byte_us


@pytest.mark.parametrize("name", ["path", "original_model", "rewritten_model"])
def test_long_texts_are_cut(name: str) -> None:
    entry = entry_of(row_of(made(**{name: "x" * 5000}), 0, 0))
    shown = {"path": entry.path, "original_model": entry.model, "rewritten_model": entry.served}
    assert shown[name] == "x" * TEXT_LIMIT


def test_shelves() -> None:
    assert shelf_of(None) == OPERATOR
    assert shelf_of("acc_1") == "acc_1"
    assert shelves_of(made(account_id="acc_1")) == ("acc_1", OPERATOR_SHELF)
    assert shelves_of(made(account_id="acc_1", for_operator=False)) == ("acc_1",)
    assert shelves_of(made(account_id="acc_1", for_owner=False)) == (OPERATOR_SHELF,)
    assert shelves_of(made(for_owner=False, for_operator=False)) == ()


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x91\x91\x01"])
def test_what_are_no_entries(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_rows(data)

"""Pages: summaries that never hide a record that is looked for."""

from __future__ import annotations

import pytest
from obstore.store import MemoryStore

from made_records import made
from penstock.infra.secrets import Secrets
from penstock.records.entries import OPERATOR_SHELF, row_of
from penstock.records.pages import ITEMS, SPAN_MS, items, make_page, make_segment, plain
from penstock.records.segments import SPAN_MS as DRAFT_SPAN_MS
from penstock.records.segments import Draft
from penstock.records.vault import Vault

T = 1_700_000_000_000


@pytest.mark.parametrize(
    ("values", "listed"),
    [
        ([], "\n"), ([None], "\n"), (["b", "a", None, "b"], "\na\nb\n"), ([200, 429, None], "\n200\n429\n"), ([""], "\n\n"),
        ([f"{number}" for number in range(ITEMS)], None), ([f"{number}" for number in range(ITEMS + 1)], ""), (["x" * 5000], ""),
    ],
)  # fmt: skip
def test_items(values: list, listed: str | None) -> None:
    found = items(values)
    assert found == listed if listed is not None else found.count("\n") == ITEMS + 1


def test_a_page() -> None:
    records = [
        made(id=f"req_{9 - place}", created_at_ms=T + place, cost_nano=place, key_id=None if place else "key_1") for place in range(3)
    ]
    records[1].rules = ("rul_1",)
    page = make_page("seg_1", "acc_1", [row_of(record, 0, 0) for record in records], 99)

    assert (page["shelf"], page["segment_id"], page["from_ms"], page["until_ms"], page["count"]) == ("acc_1", "seg_1", T, T + 2, 3)
    assert (page["first_id"], page["last_id"], page["size_bytes"]) == ("req_7", "req_9", 99)
    assert (page["keys"], page["models"], page["statuses"], page["greatest_cost_nano"], page["ruled"]) == (
        "\nkey_1\n",
        "\ngpt-4o\n",
        "\n200\n",
        2,
        True,
    )


def test_a_segment_of_a_draft() -> None:
    draft = Draft()
    for place, account_id in enumerate(("acc_1", "acc_2", "acc_1")):
        draft.add(made(account_id=account_id, created_at_ms=T - place))
    vault = Vault(MemoryStore(), Secrets(bytes(32)))
    segment = make_segment(vault, draft, "seg_1", T + 5)

    assert (segment.count, segment.path, segment.row["until_ms"]) == (3, "2023/11/14/seg_1.zst", T)
    assert {page["shelf"]: page["count"] for page in segment.pages} == {OPERATOR_SHELF: 3, "acc_1": 2, "acc_2": 1}
    for page, row in zip(segment.pages, segment.entries, strict=True):
        entries = vault.entries("seg_1", page["shelf"], row["data"])
        assert [entry.created_at_ms for entry in entries] == sorted(entry.created_at_ms for entry in entries)
        assert len(entries) == page["count"]
    assert sum(page["size_bytes"] for page in segment.pages[1:]) <= segment.row["size_bytes"]


def test_an_account_that_sends_everything_has_the_operators_page() -> None:
    draft = Draft()
    for place in range(3):
        draft.add(made(account_id="acc_1", created_at_ms=T - place))
    segment = make_segment(Vault(MemoryStore(), Secrets(bytes(32))), draft, "seg_1", T)

    mine, theirs = segment.pages
    assert mine | {"shelf": "acc_1"} == theirs
    assert segment.entries[0]["data"] == segment.entries[1]["data"]


def test_how_far_pages_reach() -> None:
    """A draft spans less than an hour, and those of an hour may be joined."""
    assert SPAN_MS == 2 * DRAFT_SPAN_MS


def test_no_text_has_a_nul() -> None:
    assert plain("a\0b") == "ab"
    assert plain("ab") == "ab"

"""Records as they are read: every layer, decoded, without credentials."""

from __future__ import annotations

import gzip

from made_records import CHAT, entry, made, opened
from penstock.kit.clock import iso_ms
from penstock.records.shown import entry_shown, opened_shown, record_shown

KEY = b"sk-" + b"a1B2" * 12


def test_an_entry():
    record = made(rules=("rul_1",), cost_nano=5)
    shown = entry_shown(entry(record))
    assert (shown["id"], shown["rules"], shown["cost_nano"]) == (record.id, ["rul_1"], 5)
    assert shown["created_at"] == iso_ms(record.created_at_ms)
    assert shown["created_at"].endswith("Z") and "." in shown["created_at"]


def test_what_was_left_as_it_was_is_null():
    shown = record_shown(made())
    assert [shown[name] for name in ("ruled", "sent", "answer")] == [None, None, None]
    assert shown["request"] == {
        "headers": {"content-type": "application/json", "user-agent": "tester/1"}, "body": CHAT.decode(), "truncated": False,
    }  # fmt: skip
    assert shown["response"]["status"] == 200


def test_all_layers():
    packed = [(b"content-encoding", b"gzip")]
    record = made(
        request_headers=packed, request_body=gzip.compress(b"sent"), ruled_body=b"ruled", sent_body=b"out", sent_truncated=True,
        sent_head=b"POST /v1/messages?key=1 HTTP/1.1\r\nX-Api-Key: " + KEY + b"\r\nA: b\r\n\r\n",
        came_status=529, came_body=[gzip.compress(b"came")], response_headers=[*packed, (b"content-type", b"text/x")],
        response_body=[b"got " + KEY],
        phases_us=(1, 2), attempts=("spare: 503",), shadow_rules=("rul_2",), is_estimated=True,
    )  # fmt: skip
    shown = record_shown(record)
    assert (shown["request"]["body"], shown["ruled"]["body"]) == ("sent", "ruled")
    assert shown["sent"] == {
        "line": "POST /v1/messages?key=1 HTTP/1.1", "headers": {"x-api-key": "[redacted]", "a": "b"}, "body": "out[truncated]",
        "truncated": True,
    }  # fmt: skip
    assert (shown["answer"]["status"], shown["answer"]["body"]) == (529, "came")
    assert shown["answer"]["headers"] == {"content-encoding": "gzip", "content-type": "text/x"}
    assert (shown["response"]["body"], shown["response"]["headers"]) == ("got [redacted]", {"content-type": "text/x"})
    assert shown["phases_us"] == {"edge_wait": 1, "admit": 2}
    assert (shown["attempts"], shown["shadow_rules"], shown["estimated"]) == (["spare: 503"], ["rul_2"], True)


def test_a_record_that_cannot_be_read():
    shown = opened_shown(opened(made(), "It is gone."))
    assert (shown["record"], shown["missing"]) == (None, "It is gone.")
    assert opened_shown(opened(made()))["missing"] is None

"""HAR: what version 1.2 asks of an entry is there, whatever the record has."""

from __future__ import annotations

import gzip
import json

import pytest

from made_records import CHAT, made, opened
from penstock.records.har import creator, har_entry

REQUIRED = {"startedDateTime", "time", "request", "response", "cache", "timings"}
REQUEST = {"method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"}
RESPONSE = {"status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize", "bodySize"}


def is_entry(found: dict) -> None:
    """Raises unless HAR 1.2 calls it an entry (section "entries" and those below)."""
    assert found.keys() >= REQUIRED and found["request"].keys() >= REQUEST and found["response"].keys() >= RESPONSE
    assert all(name in REQUIRED | {"comment", "connection", "pageref", "serverIPAddress"} or name.startswith("_") for name in found)
    assert found["timings"].keys() >= {"send", "wait", "receive"}
    assert all(found["timings"][name] >= 0 for name in ("send", "wait", "receive"))
    assert found["time"] == pytest.approx(sum(value for name, value in found["timings"].items() if value >= 0 and name != "ssl"))
    for side in ("request", "response"):
        assert all(header.keys() == {"name", "value"} for header in found[side]["headers"])
    json.dumps(found)


def test_an_exchange():
    record = made(path="/v1/chat/completions?a=b&c=", phases_us=(100, 200, 300, 4000, 5000, 6000, 700))
    found = har_entry(opened(record))
    is_entry(found)
    assert found["request"]["url"] == "http://penstock/v1/chat/completions?a=b&c="
    assert found["request"]["queryString"] == [{"name": "a", "value": "b"}, {"name": "c", "value": ""}]
    assert found["request"]["postData"] == {"mimeType": "application/json", "params": [], "text": CHAT.decode()}
    assert found["timings"] == {
        "blocked": 1.3, "dns": -1, "connect": 4.0, "send": 0, "wait": 5.0, "receive": 6.0, "ssl": -1,
    }  # fmt: skip
    assert found["response"]["status"] == 200 and "Hi!" in found["response"]["content"]["text"]


def test_without_phases_all_of_it_is_waiting():
    found = har_entry(opened(made()))
    is_entry(found)
    assert found["timings"]["wait"] == found["time"] == 12


def test_bodies_are_expanded_and_what_is_no_text_is_base64():
    record = made(
        request_headers=[(b"content-encoding", b"gzip")], request_body=gzip.compress(b"plain"),
        response_headers=[(b"content-type", b"audio/mpeg")], response_body=[b"\xff\xfb\x90"],
    )  # fmt: skip
    found = har_entry(opened(record))
    is_entry(found)
    assert found["request"]["postData"]["text"] == "plain"
    assert found["response"]["content"]["encoding"] == "base64" and found["response"]["content"]["text"] == "//uQ"


def test_an_exchange_without_an_answer_or_without_bodies():
    is_entry(found := har_entry(opened(made(response_status=None, response_body=[], response_headers=[]))))
    assert found["response"]["status"] == 0
    is_entry(found := har_entry(opened(made(), "Its segment is gone.")))
    assert found["comment"] == "Its segment is gone." and "postData" not in found["request"]


def test_who_made_it():
    assert creator()["name"] == "Penstock"

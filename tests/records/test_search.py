"""A text is found in any body, in capitals or not, however it is written or encoded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.records.record import Record
from penstock.records.search import Wanted

Make = Callable[..., Record]
LAYERS = ["request_body", "response_body", "ruled_body", "sent_body", "came_body"]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("text", ["needle", "NEEDLE", "dle"])
def test_every_body_is_searched(make_record: Make, layer: str, text: str) -> None:
    body = b"in a NeEdLe stack"
    pieces = [body[:6], body[6:]]
    assert Wanted(text).within(make_record(**{layer: pieces if layer.endswith(("response_body", "came_body")) else body}))
    assert not Wanted(text).within(make_record())


def test_what_is_compressed(make_record: Make) -> None:
    packed = gzip.compress(b"a needle")
    assert Wanted("needle").within(make_record(response_headers=[(b"content-encoding", b"gzip")], response_body=[packed]))
    assert not Wanted("needle").within(make_record(response_body=[packed]))


@pytest.mark.parametrize("ensure_ascii", [True, False])
@given(text=st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable()))
def test_any_text_is_found_as_json_writes_it(ensure_ascii: bool, text: str) -> None:
    body = json.dumps({"said": f"before {text} after"}, ensure_ascii=ensure_ascii).encode(errors="replace")
    record = Record("req_1", 0, None, "POST", "/", "w", None, None, [], body, 200, [], [], 1, False, "complete")
    if not ensure_ascii or text.isascii():
        assert Wanted(text).within(record)
        assert Wanted(text.lower()).within(record) or text.lower().casefold() != text.casefold()


@pytest.mark.parametrize("text", ["line\nbreak", 'a "quote"', "tab\t", "ß", "Ünïcode", ".*", "\\"])
def test_texts_that_json_escapes(make_record: Make, text: str) -> None:
    for ensure_ascii in (True, False):
        assert Wanted(text).within(make_record(request_body=json.dumps({"x": text}, ensure_ascii=ensure_ascii).encode()))


@pytest.mark.parametrize("text", [".*", "n.edle", "needle ", "ß"])
def test_it_is_no_pattern(make_record: Make, text: str) -> None:
    assert not Wanted(text).within(make_record(request_body=b"needle"))

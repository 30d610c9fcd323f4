from __future__ import annotations

import json

from penstock.kit.sse import event_name, payload
from penstock.upstream.dialects.text import clean, event


def test_an_event_is_one_line_of_json_and_a_blank_line():
    written = event("error", {"message": "two\nlines\r\n\r\nand 模型"})
    assert written.endswith(b"\n\n")
    assert written.count(b"\n") == 3
    assert b"\r" not in written
    assert event_name(written) == b"error"
    assert json.loads(payload(written)) == {"message": "two\nlines\r\n\r\nand 模型"}
    assert event(None, {}) == b"data: {}\n\n"


def test_text_that_cannot_be_encoded_is_replaced():
    assert clean("a\ud800b") == "a?b"
    assert clean("模型 😀") == "模型 😀"

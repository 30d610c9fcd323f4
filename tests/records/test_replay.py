"""Replays: what is sent again, and what cannot be. That it is charged, limited and settled as any request: tests/walk/test_replays.py."""

from __future__ import annotations

import gzip
import json

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_records import CHAT, made, opened
from penstock.kit.errors import PenstockError
from penstock.records.record import Record
from penstock.records.replay import request_of, sendable


class Heard:
    """A request as a server reads it."""

    def __init__(self, request: bytes) -> None:
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.requests = 0
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(request)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.requests += 1


def heard(record: Record, model: str = "other") -> Heard:
    found = Heard(request_of(record, model))
    assert found.requests == 1
    return found


def test_the_same_with_another_model():
    body = b'{ "messages": [{"role": "user", "content": "\\u0041"}], "model" : "gpt-4o", "n": 1.0 }'
    found = heard(made(request_body=body))
    assert found.url == b"/v1/chat/completions"
    assert found.body == body.replace(b'"gpt-4o"', b'"other"'), "every other byte stays"
    assert found.headers[b"content-type"] == b"application/json" and found.headers[b"user-agent"] == b"tester/1"


def test_the_same_model_is_the_same_body():
    assert heard(made(), "gpt-4o").body == CHAT


def test_a_body_without_a_model_gets_one():
    assert json.loads(heard(made(request_body=b'{"prompt": "a cat"}')).body) == {"model": "other", "prompt": "a cat"}


def test_compressed_bodies_are_sent_expanded():
    record = made(request_headers=[(b"content-encoding", b"gzip"), (b"content-length", b"3")], request_body=gzip.compress(CHAT))
    found = heard(record)
    assert found.body == CHAT.replace(b"gpt-4o", b"other") and b"content-encoding" not in found.headers


def test_google_names_the_model_in_the_path():
    path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse&key=[redacted]"
    record = made(wire="gemini", path=path, request_body=b'{"contents":[]}', original_model="gemini-2.5-pro")
    assert heard(record, "gemini-2.5-flash").url == b"/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"


def test_nothing_of_the_first_sending_is_sent_again():
    gone = ("host", "authorization", "x-api-key", "cookie", "connection", "expect", "upgrade", "idempotency-key", "x-forwarded-for")
    headers = [(name.encode(), b"x") for name in gone] + [(b"x-secret-thing", b"[redacted]"), (b"anthropic-version", b"2023-06-01")]
    found = heard(made(request_headers=headers))
    assert found.headers.keys() == {b"host", b"anthropic-version", b"content-length"}
    assert found.headers[b"host"] == b"penstock"


@given(st.binary(max_size=40))
def test_no_header_smuggles_a_request(value):
    found = heard(made(request_headers=[(b"x-test", value.replace(b"\x7f", b""))])) if value.isascii() and value.isalnum() else None
    hostile = request_of(made(request_headers=[(b"x-test", b"a" + value + b"\r\nx-evil: 1\r\n\r\nGET / HTTP/1.1")]), "other")
    assert b"x-evil" not in hostile
    assert found is None or found.headers[b"x-test"] == value


@pytest.mark.parametrize("body", [b"", b"[]", b"not json", b"\xff", b"[" * 100_000])
def test_what_is_no_json_cannot_be_sent(body):
    with pytest.raises(PenstockError) as refused:
        request_of(made(request_body=body), "other")
    assert refused.value.code == "conflict"


@given(st.text(min_size=1, max_size=50))
def test_any_name_can_be_asked_for(model):
    assert json.loads(heard(made(), model).body)["model"] == model


@pytest.mark.parametrize(("found", "words"), [
    (opened(made(), "Its segment is gone."), "Its segment is gone."),
    (opened(made(request_truncated=True)), "only the beginning"),
    (opened(made(original_model=None)), "names none"),
    (opened(made(method="GET")), "names none"),
    (opened(made(request_headers=[(b"content-type", b"multipart/form-data; boundary=x")])), "upload"),
])  # fmt: skip
def test_what_cannot_be_sent_again_is_refused_in_words(found, words):
    with pytest.raises(PenstockError) as refused:
        sendable(found)
    assert refused.value.code == "conflict" and words in refused.value.message


def test_what_can_be_sent_again():
    record = made()
    assert sendable(opened(record)) is record

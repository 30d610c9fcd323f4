"""What providers say is wrong is found wherever they put it, and told in words for the caller."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.complaints import EMPTY, WORDS_LIMIT, emptiness, refusal, unreadable, words


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":{"code":403,"message":"Quota exceeded","errors":[]}}', "Quota exceeded"),
        (b'{"message":"Unauthorized.","statusCode":403}', "Unauthorized."),
        (b'{"title":"Input validation failed","detail":"- input.seed: bad\\n","status":422}', "- input.seed: bad"),
        (b'{"errors":[{"message":"first"},{"message":"second"}]}', "first"),
        (b'[{"error":{"message":"listed"}}]', "listed"),
        (b'{"error":"plain"}', "plain"),
        (b"a header\r\n is missing", "a header is missing"),
        (b"<html>no</html>", ""),
        (b"", ""),
        (b"{}", ""),
        (b'{"error":5}', ""),
        (b'{"error', ""),
        (b"[" * 100_000, ""),
        (b"x" * 5000, "x" * WORDS_LIMIT),
    ],
)
def test_words(body, said):
    assert words(body) == said


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_request", None),
        (401, "upstream_invalid", "status"),
        (402, "upstream_invalid", "status"),
        (403, "upstream_invalid", None),
        (404, "invalid_request", None),
        (408, "upstream_timeout", "status"),
        (422, "invalid_request", None),
        (429, "too_many_requests", "status"),
        (500, "upstream_invalid", "status"),
        (503, "overloaded", "status"),
        (504, "upstream_timeout", "status"),
        (302, "upstream_redirect", None),
    ],
)
def test_statuses(status, code, kind):
    error = refusal(status, b'{"message":"Because."}')
    assert error.code == code
    assert (error.fault.kind if error.fault is not None else None) == kind
    assert error.again is (kind is not None)
    assert ("Because." in error.message) is (status not in {302, 401, 402, 403})


def test_how_long_to_wait():
    assert refusal(429, b"", [(b"retry-after", b"7")]).retry_after_s == 7
    assert refusal(429, b"", [(b"retry-after", b"soon")]).retry_after_s is None


def test_an_answer_that_is_none():
    assert (unreadable("it is empty").code, unreadable("it is empty").status) == ("upstream_invalid", 502)


@given(st.integers(300, 999), st.binary())
def test_nothing_escapes(status, body):
    assert refusal(status, body).status >= 400


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b"[]", b"null"])
def test_a_success_with_nothing_in_it(body):
    assert emptiness(body) == EMPTY


@pytest.mark.parametrize(
    "body",
    [
        b'{"errors":{"code":7,"message":"kaputt"},"success":false,"result":{}}',
        b'{"errors":[{"message":"kaputt"}]}',
        b'{"type":"error","error":{"message":"kaputt"}}',
        b'{"success":false,"message":"kaputt"}',
    ],
)
def test_a_success_that_is_an_error(body):
    assert emptiness(body) == "it is an error: kaputt"


@pytest.mark.parametrize(
    "body",
    [
        b'{"object":"response","error":{"message":"x"}}',
        b'{"choices":[{}],"error":{"message":"x"}}',
        b'{"data":[1],"success":false}',
        b'{"error":null}',
        b'{"text":"\\"error\\""}',
        b"[1]",
        b'{"error":',
        b"sound",
        b'{"error":"' + b"x" * 100_000 + b'"}',
    ],
)
def test_what_may_be_an_answer_is_one(body):
    assert emptiness(body) is None

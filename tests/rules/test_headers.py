from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.rules.headers import check_value, edited, is_secret, read_changeable, read_lines, read_name, read_visible

SECRETS = ["Authorization", "x-api-key", "api-key", "x-goog-api-key", "Cookie", "set-cookie", "proxy-authorization", "x-auth-token",
           "cf-aig-authorization", "my-secret", "x_api_key", "sec-websocket-protocol"]  # fmt: skip
FIXED = [
    "host", "Connection", "content-length", "content-type", "content-encoding", "transfer-encoding", "te", "trailer", "upgrade", "expect",
    "accept-encoding", "openai-organization", "OpenAI-Project", "x-goog-user-project", "proxy-connection", "keep-alive", "content_length",
    "x-http-method-override", "x-forwarded-for", "x-original-url", "forwarded", "via", "cf-connecting-ip", "sec-fetch-mode", "origin",
]  # fmt: skip


@pytest.mark.parametrize("name", [*SECRETS, "x-penstock-anything", "X-Penstock-Cost", "x_penstock_cost"])
def test_secrets_are_neither_looked_at_nor_changed(name):
    for read in (read_visible, read_changeable):
        with pytest.raises(PenstockError) as refused:
            read(name, "when.name")
        assert refused.value.param == "when.name"


@pytest.mark.parametrize("name", FIXED)
def test_identity_and_framing_are_not_changed(name):
    with pytest.raises(PenstockError):
        read_changeable(name, "x")


@pytest.mark.parametrize("name", ["X-Team", "anthropic-beta", "user-agent", "accept", "openai-beta", "idempotency-key", "max-tokens"])
def test_others_are(name):
    assert read_changeable(name, "x") == read_visible(name, "x") == name.lower()


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", "x" * 129, "a\0"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(PenstockError):
        read_name(name, "x")


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "\t", "a\tb", "\0", "\x7f", "\x85", "€", "x" * 4097, " a", "a "])
def test_what_is_no_value_is_refused(value):
    with pytest.raises(PenstockError):
        check_value(value, "x")


@pytest.mark.parametrize("value", ["", "a b", "é", "x" * 4096])
def test_values(value):
    check_value(value, "x")


@given(st.text(max_size=50))
def test_no_value_that_is_let_through_begins_another_line(value):
    try:
        check_value(value, "x")
    except PenstockError:
        return
    lines = edited(b"a: 1\r\n", ((b"x-b", value.encode("latin-1")),))
    assert lines.count(b"\r\n") == 2 and lines.count(b"\n") == 2
    assert read_lines(lines) == {"a": ("1",), "x-b": (value,)}


def test_lines_are_read_by_name():
    assert read_lines(b"a: 1\r\nB: 2\r\na:3\r\nodd\r\n") == {"a": ("1", "3"), "b": ("2",)}
    assert read_lines(b"") == {}


def test_what_is_set_replaces_every_line_and_what_is_deleted_goes():
    lines = b"a: 1\r\nb: 2\r\nA: 3\r\nc: 4\r\n"
    assert edited(lines, ((b"a", b"9"), (b"c", None), (b"d", None))) == b"b: 2\r\na: 9\r\n"


def test_a_secret_is_what_records_hide():
    assert is_secret("authorization") and is_secret("my-api-key") and not is_secret("x-team")

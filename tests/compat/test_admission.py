"""Who is let in."""

from __future__ import annotations

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from penstock.compat.admission import bearer_of, is_prefetch, same_secret, shows_secret

SECRET = "correct horse/battery"


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "headers": raw})


@given(st.text(), st.text())
def test_secrets_are_the_same_or_not(one: str, other: str) -> None:
    assert same_secret(one, one.encode(errors="replace").decode()) == (one == one.encode(errors="replace").decode())
    assert same_secret(one, "x" + other.encode(errors="replace").decode()) == (one == "x" + other)


@pytest.mark.parametrize(
    ("authorization", "bearer"),
    [("Bearer s3cret", "s3cret"), (" BEARER   s3cret ", "s3cret"), ("s3cret", "s3cret"), ("Bearer", "Bearer"), ("", "")],
)
def test_with_and_without_the_word(authorization: str, bearer: str) -> None:
    assert bearer_of(request(authorization=authorization)) == bearer


def test_no_authorization() -> None:
    assert bearer_of(request()) == ""


@pytest.mark.parametrize(
    ("headers", "parameter"),
    [
        ({"authorization": "Bearer s3cret"}, ""),
        ({"authorization": "bearer  s3cret"}, ""),
        ({"authorization": "s3cret"}, ""),
        ({"x_api_key": "s3cret"}, ""),
        ({}, "s3cret"),
        ({"authorization": "Bearer other", "x_api_key": "s3cret"}, "wrong"),
        ({"authorization": "Bearer s3cret", "x_api_key": "other"}, ""),
    ],
)
def test_whoever_shows_the_secret(headers: dict[str, str], parameter: str) -> None:
    assert shows_secret(request(**headers), "s3cret", "x-api-key", parameter)


@pytest.mark.parametrize(
    ("headers", "parameter"),
    [
        ({}, ""),
        ({"authorization": ""}, ""),
        ({"authorization": "Bearer"}, ""),
        ({"x_other": "s3cret"}, ""),
        ({"x_api_key": "S3CRET"}, "s3cre"),
    ],
)
def test_nobody_else(headers: dict[str, str], parameter: str) -> None:
    assert not shows_secret(request(**headers), "s3cret", "x-api-key", parameter)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_purpose": "prefetch"},
        {"sec_purpose": "prefetch;prerender"},
        {"purpose": "prefetch"},
        {"x_moz": "prefetch"},
        {"x_purpose": "preview"},
    ],
)
def test_a_prefetch(headers: dict[str, str]) -> None:
    assert is_prefetch(request(**headers))


def test_no_prefetch() -> None:
    assert not is_prefetch(request(accept="text/html", sec_fetch_mode="navigate"))

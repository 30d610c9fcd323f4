"""E-mail addresses: one form, and nothing that could end a header or a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.accounts.emails import EMAIL_LIMIT, read_email
from penstock.infra.mail import _EMAIL
from penstock.kit.errors import PenstockError


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" Ada@Example.COM ", "ada@example.com"),
        ("a.b+c_d'e@x-y.museum", "a.b+c_d'e@x-y.museum"),
        ("root@localhost", "root@localhost"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
    ],
)
def test_addresses(text: str, kept: str) -> None:
    assert read_email(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "", "ada", "@example.com", "ada@", "a b@example.com", "a@b@c", "a..b@example.com", ".a@example.com", "a@-b.example", "a@b..c",
        'a"b@example.com', "a@exa\nmple.com", "a\x00@example.com", "ä@example.com", "a@[127.0.0.1]", "a,b@example.com", "<a@example.com>",
        f"{'a' * 65}@example.com", f"a@{'b' * 64}.example", f"a@{'b.' * 130}c", "a@\udc80.example", "a@" + "ü" * 70,
    ],
)  # fmt: skip
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(PenstockError) as refused:
        read_email(text)
    assert (refused.value.code, refused.value.param) == ("invalid_request", "email")


@given(st.text(max_size=30).map(lambda text: f"{text}@example.com") | st.text(max_size=40) | st.emails())
def test_what_is_kept_is_kept_again_and_can_be_written_to(text: str) -> None:
    try:
        kept = read_email(text)
    except PenstockError:
        return
    assert read_email(kept) == kept
    assert kept.isascii() and kept.isprintable() and " " not in kept and len(kept) <= EMAIL_LIMIT
    assert _EMAIL.fullmatch(kept)

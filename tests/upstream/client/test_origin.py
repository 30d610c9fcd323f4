"""Origins: where a URL's connections go, and how that is written."""

from __future__ import annotations

import pytest

from penstock.upstream.client.origin import Origin


@pytest.mark.parametrize(
    ("url", "authority", "whole"),
    [
        ("https://api.example/v1", b"api.example", b"api.example:443"),
        ("http://api.example:80", b"api.example", b"api.example:80"),
        ("http://api.example:443", b"api.example:443", b"api.example:443"),
        ("http://[::1]:9000", b"[::1]:9000", b"[::1]:9000"),
        ("http://[::80]", b"[::80]", b"[::80]:80"),
        ("https://b\xfccher.example", b"xn--bcher-kva.example", b"xn--bcher-kva.example:443"),
    ],
)
def test_authorities(url, authority, whole):
    origin = Origin.of(url)
    assert (origin.authority, origin.whole_authority) == (authority, whole)

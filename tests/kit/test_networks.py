"""Networks: one spelling each, and what is in them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.networks import contains, parse_network


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        (" 10.1.2.3/8 ", "10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8:0::1", "2001:db8::1/128"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ("::ffff:10.1.1.1/104", "10.0.0.0/8"),
    ],
)
def test_one_spelling(text: str, network: str) -> None:
    assert parse_network(text) == network


@pytest.mark.parametrize(
    "text", ["", "10", "10.0.0", "10.0.0.0/33", "::/129", "010.0.0.1", "example.com", "10.0.0.1-10.0.0.9", "fe80::1%eth0"]
)
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_network(text)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.255.0.1", True),
        ("::ffff:10.0.0.1", True),
        ("11.0.0.1", False),
        ("2001:db8::ffff", True),
        ("2001:db9::", False),
        ("", False),
        ("testclient", False),
    ],
)
def test_what_is_in_a_network(address: str, inside: bool) -> None:
    assert contains(("10.0.0.0/8", "2001:db8::/32"), address) is inside


@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(2**64, 2**128 - 1).map(IPv6Address), st.integers(0, 128))
def test_an_address_is_in_every_network_around_it(address: IPv4Address | IPv6Address, prefix: int) -> None:
    network = parse_network(f"{address}/{min(prefix, address.max_prefixlen)}")
    assert parse_network(network) == network
    assert contains((network,), str(address))

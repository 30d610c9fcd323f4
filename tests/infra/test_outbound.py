"""Outbound: which addresses are on the internet, and that nothing else gets past."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.infra.outbound import is_private_host, is_public, resolve
from penstock.kit.errors import PenstockError

PRIVATE = [
    "0.0.0.0", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "169.254.0.1",
    "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.1", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b:1::808:808", "100::1",
    "2001::1", "2001:db8::1", "2002:a00:1::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd12:3456::1", "fe80::1",
    "fe80::1%eth0", "fec0::1", "ff02::1", "4000::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "192.169.0.1", "223.255.255.255",
    "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address):
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "example.com", "1.1.1", "1.1.1.1/32", "::g"])
def test_what_is_no_address_is_not_public(text):
    assert not is_public(text)


SPECIAL = [ip_network(text) for text in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]


@given(st.ip_addresses(v=4))
def test_every_way_of_writing_an_ipv4_address_is_as_public(address: IPv4Address):
    if any(address in network for network in SPECIAL):
        assert not is_public(str(address))
    if is_public(str(address)):
        assert address.is_global
    number = int(address)
    for base in ("::ffff:0:0", "64:ff9b::"):
        assert is_public(str(IPv6Address(int(IPv6Address(base)) + number))) == is_public(str(address))
    assert is_public(str(IPv6Address((0x2002 << 112) + (number << 80)))) == is_public(str(address))


@given(st.ip_addresses(v=6))
def test_whatever_is_public_in_ipv6_was_given_out(address: IPv6Address):
    if is_public(str(address)) and address.ipv4_mapped is None and address not in ip_network("64:ff9b::/96"):
        assert ip_address(address) in ip_network("2000::/3")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "api.localhost", "printer.local", "metadata.google.internal", "nas.lan", "x.home.arpa", "127.0.0.1",
     "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "[::1]", "::1", "fe80::1%eth0", "10.0.0.1", "0", "[::ffff:10.0.0.1]"],
)  # fmt: skip
def test_hosts_that_say_it_themselves(host):
    assert is_private_host(host)


@pytest.mark.parametrize(
    "host",
    ["api.openai.com", "8.8.8.8", "134744072", "localhost.example.com", "mylocal", "10.example.com", "[2606:4700::1111]", "3com.com", "x"],
)
def test_hosts_that_do_not(host):
    assert not is_private_host(host)


async def refused(host: str) -> PenstockError:
    with pytest.raises(PenstockError) as caught:
        await resolve(host, 80)
    assert caught.value.code == "private_address"
    assert "allow_private" in caught.value.message
    return caught.value


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "::1", "::ffff:127.0.0.1", "169.254.169.254"])
async def test_private_hosts_are_refused(host):
    assert host in (await refused(host)).message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_unless_they_are_allowed(host):
    assert set(await resolve(host, 80, allow_private=True)) <= {"127.0.0.1", "::1"}


async def test_public_addresses_are_given_as_they_are():
    assert await resolve("8.8.8.8", 443) == ["8.8.8.8"]


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example", "no-such-host.invalid"])
async def test_what_has_no_address(host):
    with pytest.raises(OSError):
        await resolve(host, 80)

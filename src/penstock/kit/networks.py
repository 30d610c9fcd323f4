"""Networks: addresses and CIDR as people write them, and whether an address is in one."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_IPV4_IN_IPV6 = IPv6Network("::ffff:0:0/96")


def parse_network(text: str) -> str:
    """An address or a network in its one spelling, as CIDR: "10.1.2.3/8" -> "10.0.0.0/8". Raises ValueError.

    An IPv4 address that is written as IPv6 is an IPv4 address.
    """
    if "%" in text:
        raise ValueError("a network has no zone")
    network = ip_network(text.strip(), strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_IPV4_IN_IPV6):
        network = IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return str(network)


@lru_cache(maxsize=16_384)
def contains(networks: tuple[str, ...], address: str) -> bool:
    """Whether the address is in one of the networks; verdicts are remembered. What is no address is in none."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    meant: IPv4Address | IPv6Address = found
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        meant = found.ipv4_mapped
    return any(meant in _parsed(network) for network in networks)


@lru_cache(maxsize=4096)
def _parsed(network: str) -> IPv4Network | IPv6Network:
    return ip_network(network)

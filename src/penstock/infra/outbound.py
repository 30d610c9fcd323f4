"""Outbound: where requests to addresses that somebody else has chosen may go. The one guard against reaching what only this host can.

A name is looked up once, what it stands for is checked, and the connection is made to just that: a second look-up could say
something else.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from penstock.kit.errors import PenstockError
from penstock.kit.networks import contains

_CLOSED = (
    # The special-purpose registry of IANA (RFC 6890), and multicast.
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    # Azure answers its virtual machines from an address that looks public; other clouds' are among the above.
    "168.63.129.16/32",
)  # fmt: skip
_OPEN_6 = ("2000::/3",)
"""All that was ever given out (RFC 4291); unique local, link-local, site-local and multicast addresses are not in it."""
_CLOSED_6 = ("2001::/23", "2001:db8::/32", "3fff::/20")
_NAT64 = "64:ff9b::/96"
_6TO4 = "2002::/16"
_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa")


def is_public(address: str) -> bool:
    """The address can be that of a host on the internet. One that stands for an IPv4 address is as public as that."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = found if isinstance(found, IPv4Address) else _inner(found)
    if inner is not None:
        return not contains(_CLOSED, str(inner))
    return contains(_OPEN_6, str(found)) and not contains(_CLOSED_6, str(found))


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that one stands for: mapped (RFC 4291), behind a NAT64 (RFC 6052), or 6to4 (RFC 3056)."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if contains((_NAT64,), str(address)):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour if contains((_6TO4,), str(address)) else None


def is_private_host(host: str) -> bool:
    """The host says by itself that it is not on the internet: it is an address, however written, or a name of private networks."""
    name = host.strip("[]").rstrip(".").lower()
    if any(name == private or name.endswith(f".{private}") for private in _NAMES):
        return True
    try:
        return not is_public(str(ip_address(name.partition("%")[0])))
    except ValueError:
        pass
    try:
        # What resolvers take for an address, too: 127.1, 2130706433, 0x7f.0.0.1
        return not is_public(socket.inet_ntoa(socket.inet_aton(name))) if name[:1].isdigit() else False
    except (OSError, ValueError):
        return False


def private_address(host: str) -> PenstockError:
    """The refusal. It does not tell which address it is: whoever asks might be looking around."""
    return PenstockError(
        "private_address",
        f"{host} is not on the internet but in a private network, or nowhere. If that is meant, an operator must set allow_private for it.",
    )


async def resolve(host: str, port: int, *, allow_private: bool = False) -> list[str]:
    """The addresses of a host that may be connected to, the preferred first; connect to these and not to the name.

    Raises PenstockError `private_address` when there is none but private ones, OSError when there is none at all.
    """
    if not allow_private and is_private_host(host):
        raise private_address(host)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError(f"{host[:100]} is not a host's name") from None
    addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
    allowed = addresses if allow_private else [address for address in addresses if is_public(address)]
    if addresses and not allowed:
        raise private_address(host)
    if not allowed:
        raise OSError(f"{host} has no address")
    return allowed

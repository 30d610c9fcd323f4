"""What a key was made for: protocols, and addresses. A client cannot say that it is somewhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_ends import CHAT, ask, parts_of
from penstock.kit.errors import PenstockError
from penstock.relay.permit import check_address, check_wire, client_address

FORWARDED = b"x-forwarded-for"
KEY = "sk-" + "c" * 48


def refused(act, *given_) -> str | None:
    try:
        act(*given_)
    except PenstockError as error:
        return f"{error.status} {error.code}"
    return None


def test_a_wire_that_is_named_may_be_used_and_no_other():
    assert refused(check_wire, frozenset({"chat", "responses"}), "chat") is None
    assert refused(check_wire, frozenset({"chat", "responses"}), "messages") == "403 wire_not_allowed"
    assert refused(check_wire, frozenset(), "chat") == "403 wire_not_allowed"


@pytest.mark.parametrize(("address", "code"), [
    ("10.1.2.3", None), ("11.1.2.3", "403 address_not_allowed"), ("203.0.113.7", None), ("203.0.113.8", "403 address_not_allowed"),
    ("2001:db8::5", None), ("2001:db9::5", "403 address_not_allowed"), ("::ffff:10.1.2.3", None),
    ("::ffff:11.1.2.3", "403 address_not_allowed"),
    ("", "403 address_not_allowed"), ("unknown", "403 address_not_allowed"), ("10.1.2.3.4", "403 address_not_allowed"),
])  # fmt: skip
def test_an_address_that_is_in_a_network_may_call(address, code):
    assert refused(check_address, ("10.0.0.0/8", "203.0.113.7/32", "2001:db8::/32"), address) == code


# proxies


def test_without_a_trusted_proxy_the_peer_is_the_client():
    assert client_address("1.1.1.1", [(FORWARDED, b"10.0.0.1")], ()) == "1.1.1.1"
    assert client_address("1.1.1.1", [(FORWARDED, b"10.0.0.1")], ("2.2.2.0/24",)) == "1.1.1.1"


@pytest.mark.parametrize(("headers", "client"), [
    ([], "2.2.2.2"),
    ([b"9.9.9.9"], "9.9.9.9"),
    ([b"10.0.0.1, 9.9.9.9"], "9.9.9.9"),
    ([b"10.0.0.1", b"9.9.9.9"], "9.9.9.9"),
    ([b"9.9.9.9, 2.2.2.3"], "9.9.9.9"),
    ([b"2.2.2.4, 2.2.2.3"], "2.2.2.4"),
    ([b"9.9.9.9:1234"], "9.9.9.9"),
    ([b"[2001:db8::1]:1234"], "2001:db8::1"),
    ([b"2001:db8::1"], "2001:db8::1"),
    ([b"9.9.9.9, rubbish"], "rubbish"),
    ([b"9.9.9.9,"], ""),
    ([b"\xff"], "\xff"),
])  # fmt: skip
def test_a_trusted_proxy_is_believed_and_the_client_behind_it_is_not(headers, client):
    pairs = [(b"forwarded", b"for=10.0.0.1"), *((FORWARDED, value) for value in headers)]
    assert client_address("2.2.2.2", pairs, ("2.2.2.0/24",)) == client


@given(made_up=st.lists(st.binary(max_size=20).filter(lambda value: b"\n" not in value), max_size=4))
def test_whatever_a_client_makes_up_the_proxy_adds_the_truth(made_up):
    pairs = [(FORWARDED, value) for value in made_up]
    assert client_address("2.2.2.2", [*pairs, (FORWARDED, b"9.9.9.9")], ("2.2.2.2/32",)) == "9.9.9.9"


# in the walk


async def test_a_key_for_one_protocol_is_refused_on_another(live):
    live.know(KEY, wires=frozenset({"messages"}))
    vendor = live.vendor()
    status, _, body = parts_of(live.client().says(ask(key=KEY)))
    assert status == 403 and b"wire_not_allowed" in body
    assert vendor.hears() == b"" and live.plane.holds.taken == 0


@pytest.mark.parametrize(("networks", "peer", "status"), [
    (("10.0.0.0/8",), ("10.2.3.4", 5), None), (("10.0.0.0/8",), ("1.2.3.4", 5), 403), (("10.0.0.0/8",), None, 403),
    (("10.0.0.0/8",), ("::ffff:10.2.3.4", 5), None),
])  # fmt: skip
async def test_a_key_for_one_network_is_refused_elsewhere(live, networks, peer, status):
    live.know(KEY, networks=networks)
    client, vendor = live.client(), live.vendor()
    client.edge.client = peer
    heard = client.says(ask(b"x-forwarded-for: 10.2.3.4", key=KEY))
    if status is None:
        assert vendor.hears().endswith(CHAT)
        client.leaves()
        await live.durable()
    else:
        assert parts_of(heard)[0] == status and b"address_not_allowed" in heard
        assert vendor.hears() == b""


async def test_behind_a_trusted_proxy_the_forwarded_address_counts(open_rig):
    live = await open_rig(trusted_proxies="127.0.0.1, 192.0.2.0/24")
    live.know(KEY, networks=("10.0.0.0/8",))
    client, vendor = live.client(), live.vendor()
    client.edge.client = ("192.0.2.9", 1)
    assert b"address_not_allowed" in client.says(ask(b"x-forwarded-for: 10.2.3.4, 1.2.3.4", key=KEY))
    client.says(ask(b"x-forwarded-for: 1.2.3.4, 10.2.3.4", key=KEY))
    assert vendor.hears().endswith(CHAT)
    client.leaves()
    await live.durable()

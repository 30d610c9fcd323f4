"""Admission: the first credential that opens is used, and none that was revoked, whatever is remembered of a request."""

from __future__ import annotations

import asyncio

import pytest

from fake_ends import KEY, answer, ask, parts_of
from penstock.kit.errors import PenstockError
from penstock.kit.walker import Walker
from penstock.relay.admit import CREDENTIALS_LIMIT, OWN_CREDENTIALS, find_caller, look_up

OTHER = "sk-" + "b" * 48


def bearing(rig, *headers, line=b"GET /v1/models"):
    return rig.exchange(line, *headers)


def bearer(token):
    return (b"authorization", b"Bearer " + token.encode())


async def looked_up(exchange, plane):
    """What `look_up` gives, or the code of its refusal."""
    ended = asyncio.get_running_loop().create_future()
    found = []

    async def run():
        found.append(await look_up(exchange, plane))

    Walker(run(), ended.set_result).start()
    error = await asyncio.wait_for(ended, 5)
    if isinstance(error, PenstockError):
        return error.code
    assert error is None
    return found[0]


def test_a_key_that_was_seen_is_found_at_once(rig):
    exchange = bearing(rig, bearer(KEY))
    assert find_caller(exchange, rig.plane) is rig.caller
    assert exchange.sifted.caller is rig.caller


@pytest.mark.parametrize("header", [
    (b"authorization", b"Bearer %b"), (b"authorization", b"bearer  %b "), (b"authorization", b"%b"), (b"x-api-key", b"%b"),
    (b"api-key", b"%b"), (b"x-goog-api-key", b"%b"),
])  # fmt: skip
def test_every_header_that_a_key_may_be_in(rig, header):
    assert find_caller(bearing(rig, (header[0], header[1] % KEY.encode())), rig.plane) is rig.caller


def test_a_key_in_the_query(rig):
    assert find_caller(bearing(rig, line=b"GET /v1/models?key=" + KEY.encode()), rig.plane) is rig.caller


def test_a_key_that_is_known_not_to_open_is_refused_at_once(rig):
    with pytest.raises(PenstockError) as refusal:
        find_caller(bearing(rig, bearer("sk-nobody")), rig.plane)
    assert (refusal.value.code, refusal.value.status) == ("invalid_key", 401)


def test_without_keys_of_ours_the_clients_own_credentials_are_enough(make_rig):
    rig = make_rig(openai_api_key=None, anthropic_api_key=None)
    assert rig.plane.keys is None
    assert find_caller(bearing(rig), rig.plane) is OWN_CREDENTIALS
    assert OWN_CREDENTIALS.allows("anything")


@pytest.mark.parametrize("known", [True, False])
def test_while_stopping_nobody_is_admitted(rig, known):
    exchange = bearing(rig, bearer(KEY))
    if known:
        find_caller(exchange, rig.plane)
    rig.plane.stopping = True
    with pytest.raises(PenstockError) as refusal:
        find_caller(exchange, rig.plane)
    assert (refusal.value.code, refusal.value.retry_after_s) == ("shutting_down", 1)


# of several

GOOD, BAD = (b"x-api-key", KEY.encode()), bearer("sk-nobody")


@pytest.mark.parametrize("headers", [(BAD, GOOD), (GOOD, BAD), (bearer(KEY), (b"api-key", b"sk-nobody"))])
async def test_of_several_the_one_that_opens_is_used(live, headers):
    exchange = bearing(live, *headers)
    assert find_caller(exchange, live.plane) is None
    assert await looked_up(exchange, live.plane) is live.caller


async def test_of_several_that_do_not_open_the_first_says_why(live):
    live.know(OTHER, expires_at_ms=1)
    assert await looked_up(bearing(live, bearer(OTHER), (b"x-api-key", b"sk-nobody")), live.plane) == "key_expired"
    assert await looked_up(bearing(live, BAD, (b"x-api-key", OTHER.encode())), live.plane) == "invalid_key"


async def test_no_more_than_a_few_are_tried(live):
    many = [(b"x-api-key", b"sk-nobody-%d" % number) for number in range(CREDENTIALS_LIMIT)]
    assert await looked_up(bearing(live, *many, bearer(KEY)), live.plane) == "invalid_key"
    assert await looked_up(bearing(live, *many[1:], bearer(KEY)), live.plane) is live.caller


@pytest.mark.parametrize("headers", [(), ((b"authorization", b""),), ((b"authorization", b"Bearer"),), ((b"x-api-key", b" "),)])
async def test_no_key_is_another_matter_than_a_wrong_one(live, headers):
    exchange = bearing(live, *headers)
    assert find_caller(exchange, live.plane) is None
    assert await looked_up(exchange, live.plane) == "missing_key"


async def test_a_key_that_was_not_seen_is_looked_up_in_the_database(live):
    made = await live.parts.keys.create("test")
    exchange = bearing(live, bearer(made.token))
    assert find_caller(exchange, live.plane) is None
    assert (await looked_up(exchange, live.plane)).key_id == made.key.id
    assert find_caller(exchange, live.plane).key_id == made.key.id


# revoked


def test_what_was_remembered_is_forgotten_with_every_change_of_keys(rig):
    exchange = bearing(rig, bearer(KEY))
    find_caller(exchange, rig.plane)
    rig.plane.keys._forget()
    for _ in range(3):
        with pytest.raises(PenstockError):
            find_caller(exchange, rig.plane)
    new = rig.know(KEY, models=("cheap",))
    assert find_caller(exchange, rig.plane) is new


def test_a_refusal_is_not_forgotten_for_what_was_remembered_before(rig):
    exchange = bearing(rig, bearer("sk-nobody"))
    exchange.sifted.caller, exchange.sifted.epoch = rig.caller, rig.plane.keys.epoch
    rig.plane.keys._forget()
    for _ in range(3):
        with pytest.raises(PenstockError):
            find_caller(exchange, rig.plane)


def test_a_key_that_expires_is_asked_again_each_time(rig):
    rig.know(OTHER, expires_at_ms=2**60)
    exchange = bearing(rig, bearer(OTHER))
    assert find_caller(exchange, rig.plane) is not None
    rig.know(OTHER, expires_at_ms=1)
    with pytest.raises(PenstockError) as refusal:
        find_caller(exchange, rig.plane)
    assert refusal.value.code == "key_expired"


async def test_a_connection_with_a_known_head_ends_with_its_key(live):
    await live.parts.feed.start()
    made = await live.parts.keys.create("test")
    client, vendor = live.client(), live.vendor()

    async def asks():
        heard = client.says(ask(key=made.token, line=b"GET /v1/models", body=b""))
        async with asyncio.timeout(5):
            while client.edge.active is not None and not vendor.connection.waiting:  # noqa: ASYNC110  nothing tells
                await asyncio.sleep(0.001)
        if vendor.connection.waiting:
            vendor.says(answer(b"{}"))
        return parts_of(heard + client.hears())[0]

    assert [await asks() for _ in range(3)] == [200] * 3
    assert client.edge._known is not None
    await live.parts.keys.disable(made.key.id)
    async with asyncio.timeout(5):
        while (status := await asks()) == 200:  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.05)
    assert status == 401
    assert client.edge._known is not None
    assert [await asks() for _ in range(3)] == [401] * 3
    await live.parts.feed.stop()
    await live.plane.keys.stop()

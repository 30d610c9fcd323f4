"""The team's URLs: replies to the letter, keys that work, nothing else swallowed, on both engines."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import insert

from control_plane import ControlPlane
from penstock.accounts.models import OPERATOR
from penstock.compat.team import router
from penstock.infra.database import Database
from penstock.keys.door import KeyRing
from penstock.keys.models import Key
from penstock.keys.service import KEYS_LIMIT, Keys
from penstock.kit import clock
from penstock.kit.errors import PenstockError

TOKEN = "Une9f2ijwe"
KEY = re.compile(r"sk-cfw[A-Za-z0-9]{45}\n")


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database)


@pytest.fixture
async def plane(database: Database, keys: Keys, new_settings) -> AsyncIterator[ControlPlane]:
    others = APIRouter()

    @others.get("/healthz")
    async def healthz() -> str:
        return "fine"

    async with ControlPlane(database, others, router(keys, new_settings(access_token=TOKEN))) as made:
        yield made


@pytest.fixture
def client(plane: ControlPlane) -> httpx.AsyncClient:
    """A client that shows nothing by itself."""
    return plane.client()


async def opens(database: Database, token: str) -> str | None:
    """Whose the token is, as the relay finds out."""
    try:
        return (await KeyRing(database).look_up(token.strip().encode())).name
    except PenstockError as refusal:
        return None if refusal.code == "invalid_key" else refusal.code


def is_text(answer: httpx.Response) -> bool:
    return answer.headers["content-type"].startswith("text/plain")


async def refused(client: httpx.AsyncClient, path: str, words: str, method: str = "GET", headers: dict[str, str] | None = None) -> None:
    answer = await client.request(method, path, headers=headers)
    assert (answer.status_code, answer.text, is_text(answer)) == (403, words, True)


async def test_register_reset_and_delete(client: httpx.AsyncClient, database: Database) -> None:
    first = await client.get(f"/{TOKEN}/register/janlay")
    assert (first.status_code, is_text(first), first.headers["cache-control"]) == (200, True, "no-store")
    assert KEY.fullmatch(first.text)
    assert await opens(database, first.text) == "janlay"

    second = await client.get(f"/{TOKEN}/reset/janlay")
    assert KEY.fullmatch(second.text)
    assert await opens(database, first.text) is None
    assert await opens(database, second.text) == "janlay"

    gone = await client.delete(f"/{TOKEN}/janlay")
    assert (gone.status_code, gone.text, is_text(gone)) == (200, "ok\n", True)
    assert await opens(database, second.text) is None
    await refused(client, f"/{TOKEN}/janlay", "User not found", "DELETE")


async def test_registering_again_makes_a_new_key_of_the_same_member(client: httpx.AsyncClient, keys: Keys, database: Database) -> None:
    first = (await client.get(f"/{TOKEN}/register/janlay")).text
    before = await keys.get("janlay")
    second = (await client.get(f"/{TOKEN}/register/janlay")).text

    assert await opens(database, first) is None
    assert await opens(database, second) == "janlay"
    assert (await keys.get("janlay")).id == before.id


async def test_resetting_an_unknown_member_makes_them(client: httpx.AsyncClient, database: Database) -> None:
    assert await opens(database, (await client.get(f"/{TOKEN}/reset/new")).text) == "new"


async def test_any_method_registers(client: httpx.AsyncClient) -> None:
    for method in ("GET", "POST", "PUT", "PATCH"):
        assert KEY.fullmatch((await client.request(method, f"/{TOKEN}/register/janlay")).text)


REFUSED = [
    ("GET", "/", "Access forbidden"),
    ("GET", "/favicon.ico", "Access forbidden"),
    ("GET", "/wrong/register/janlay", "Access forbidden"),
    ("DELETE", "/wrong/janlay", "Access forbidden"),
    ("GET", f"/{TOKEN}x/register/janlay", "Access forbidden"),
    ("GET", f"/{TOKEN.lower()}/register/janlay", "Access forbidden"),
    ("GET", "/team/register/janlay", "Access forbidden"),
    ("GET", f"/{TOKEN}", "Invalid action"),
    ("GET", f"/{TOKEN}/", "Invalid action"),
    ("GET", f"/{TOKEN}/janlay", "Invalid action"),
    ("GET", f"/{TOKEN}/list/janlay", "Invalid action"),
    ("GET", f"/{TOKEN}/register", "Invalid username1"),
    ("GET", f"/{TOKEN}/register/", "Invalid username1"),
    ("GET", f"/{TOKEN}/reset/", "Invalid username1"),
    ("DELETE", f"/{TOKEN}", "Invalid username2"),
    ("DELETE", f"/{TOKEN}/", "Invalid username2"),
    ("DELETE", f"/{TOKEN}/nobody", "User not found"),
]


async def test_what_is_refused(client: httpx.AsyncClient) -> None:
    for method, path, words in REFUSED:
        await refused(client, path, words, method)


async def test_names_that_are_none(client: httpx.AsyncClient, keys: Keys) -> None:
    for name in ["a%2Fb", "a/b", "%20a", "a%09b", "%00", "x" * 65, "%FF", "key_1"]:
        await refused(client, f"/{TOKEN}/register/{name}", "Invalid username1")
    assert await keys.list() == []


async def test_names(client: httpx.AsyncClient, keys: Keys) -> None:
    names = {"x" * 64: "x" * 64, "%E5%BC%A0%E4%B8%89": "张三", "a%20b": "a b", "j@x.org": "j@x.org", "j/": "j"}
    for name, stored in names.items():
        assert KEY.fullmatch((await client.get(f"/{TOKEN}/register/{name}")).text)
        assert [(key.name, key.kind) for key in await keys.list()] == [(stored, "team")]
        assert (await client.delete(f"/{TOKEN}/{name}")).text == "ok\n"


@pytest.mark.parametrize("headers", [{"authorization": f"Bearer {TOKEN}"}, {"x-access-token": TOKEN}])
async def test_the_token_may_be_in_a_header(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert KEY.fullmatch((await client.post("/team/register/janlay", headers=headers)).text)
    assert KEY.fullmatch((await client.get("/team/reset/janlay", headers=headers)).text)
    assert (await client.delete("/team/janlay", headers=headers)).text == "ok\n"
    await refused(client, "/other/register/janlay", "Access forbidden", headers=headers)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"x-access-token": ""}])
async def test_a_wrong_token_in_a_header(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    await refused(client, "/team/register/janlay", "Access forbidden", headers=headers)


async def test_keys_for_a_time(client: httpx.AsyncClient, keys: Keys) -> None:
    day_ms = 86_400_000

    async def days(query: str) -> float | None:
        assert KEY.fullmatch((await client.get(f"/{TOKEN}/register/janlay{query}")).text)
        ends_ms = (await keys.get("janlay")).expires_at_ms
        return None if ends_ms is None else round((ends_ms - clock.now_ms()) / day_ms, 2)

    assert await days("") is None
    assert await days("?days=30") == 30
    assert await days("") == 30, "a new token does not make it last longer"
    assert await days("?days=7") == 7
    assert await days("?days=3650") == 3650
    for wrong in ("", "0", "-1", "1.5", "x", "3651", "99999", "٣"):
        answer = await client.get(f"/{TOKEN}/register/janlay", params={"days": wrong})
        assert (answer.status_code, answer.text) == (403, "Invalid days")
    await client.delete(f"/{TOKEN}/janlay")
    assert await days("?days=1") == 1


async def test_many_at_once_leave_one_key(client: httpx.AsyncClient, keys: Keys, database: Database) -> None:
    answers = await asyncio.gather(*(client.get(f"/{TOKEN}/register/janlay") for _ in range(8)))

    assert all(KEY.fullmatch(answer.text) for answer in answers)
    assert len(await keys.list()) == 1
    assert [await opens(database, answer.text) for answer in answers].count("janlay") == 1


async def test_the_operators_own_keys_are_left_alone(client: httpx.AsyncClient, keys: Keys, database: Database) -> None:
    made = await keys.create("ops")
    await refused(client, f"/{TOKEN}/register/ops", "Invalid username1")
    await refused(client, f"/{TOKEN}/ops", "User not found", "DELETE")
    await refused(client, f"/{TOKEN}/{made.key.id}", "User not found", "DELETE")
    assert await opens(database, made.token) == "ops"


async def test_ids_are_no_names(client: httpx.AsyncClient, keys: Keys, database: Database) -> None:
    token = (await client.get(f"/{TOKEN}/register/janlay")).text
    ident = (await keys.get("janlay")).id
    await refused(client, f"/{TOKEN}/reset/{ident}", "Invalid username1")
    await refused(client, f"/{TOKEN}/{ident}", "User not found", "DELETE")
    assert await opens(database, token) == "janlay"


@pytest.mark.parametrize(("method", "headers"), [("HEAD", {}), ("OPTIONS", {}), ("GET", {"sec-purpose": "prefetch"})])
async def test_what_makes_no_key(client: httpx.AsyncClient, keys: Keys, method: str, headers: dict[str, str]) -> None:
    answer = await client.request(method, f"/{TOKEN}/register/janlay", headers=headers)

    assert answer.status_code == 403
    assert await keys.list() == []


async def test_other_routes_are_not_swallowed(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == "fine"
    assert (await client.get("/docs")).status_code == 200
    schema = (await client.get("/openapi.json")).text
    assert TOKEN not in schema
    assert "register" not in schema


@pytest.mark.parametrize("new_database_url", ["sqlite"], indirect=True)
async def test_too_many_members(client: httpx.AsyncClient, database: Database) -> None:
    facts = {"account_id": OPERATOR, "kind": "team", "prefix": "sk-cfw", "last_four": "abcd", "record": False, "created_at_ms": 0}
    rows = [{**facts, "id": f"key_{number}", "name": str(number), "digest": b"%d" % number} for number in range(KEYS_LIMIT)]
    async with database.session() as session:
        await session.execute(insert(Key), rows)
    await refused(client, f"/{TOKEN}/register/janlay", "Too many users")
    assert KEY.fullmatch((await client.get(f"/{TOKEN}/register/7")).text)


async def test_the_control_api_answers_for_itself(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/none")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    answer = await client.post("/api/v1/none", headers={"authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.json()["errorType"]) == (404, "not_found_error")


# a member's own


def own(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token.strip()}"}


async def test_a_member_resets_their_own_key(client: httpx.AsyncClient, database: Database, keys: Keys) -> None:
    first = (await client.get(f"/{TOKEN}/register/janlay?days=7")).text
    before = await keys.get("janlay")
    answer = await client.post("/team/self/reset", headers=own(first))
    assert (answer.status_code, is_text(answer), answer.headers["cache-control"]) == (200, True, "no-store")
    assert KEY.fullmatch(answer.text)
    assert await opens(database, first) is None
    assert await opens(database, answer.text) == "janlay"
    after = await keys.get("janlay")
    assert (after.id, after.expires_at_ms) == (before.id, before.expires_at_ms)
    await refused(client, "/team/self/reset", "Access forbidden", "POST", headers=own(first))
    bare = await client.post("/team/self/reset/", headers={"authorization": answer.text.strip()})
    assert bare.status_code == 403, "the path is exactly this one"
    assert KEY.fullmatch((await client.post("/team/self/reset", headers={"authorization": answer.text.strip()})).text)


async def test_of_resets_at_once_one_succeeds(client: httpx.AsyncClient, keys: Keys, database: Database) -> None:
    token = (await client.get(f"/{TOKEN}/register/janlay")).text
    answers = await asyncio.gather(*(client.post("/team/self/reset", headers=own(token)) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 403, 403, 403]
    (new,) = [answer.text for answer in answers if answer.status_code == 200]
    assert await opens(database, new) == "janlay"


async def test_who_may_not_act_for_themselves(client: httpx.AsyncClient, keys: Keys) -> None:
    operators = await keys.create("ops")
    disabled = (await client.get(f"/{TOKEN}/register/disabled")).text
    await keys.disable("disabled")
    member = (await client.get(f"/{TOKEN}/register/janlay")).text
    for token in (operators.token, disabled, TOKEN, "sk-cfw" + "a" * 45, "", "\xff"):
        headers = {"authorization": b"Bearer " + token.strip().encode("latin-1")}
        await refused(client, "/team/self/reset", "Access forbidden", "POST", headers=headers)
        await refused(client, "/team/self/usage", "Access forbidden", headers=headers)
    for method in ("GET", "PUT", "PATCH", "HEAD", "OPTIONS", "DELETE"):
        answer = await client.request(method, "/team/self/reset", headers=own(member))
        assert answer.status_code == 403
    await refused(client, "/team/register/other", "Access forbidden", headers=own(member))
    await refused(client, "/team/usage", "Access forbidden", headers=own(member))
    assert (await client.post("/team/self/reset", headers=own(member))).status_code == 200


async def test_a_member_may_be_called_self(client: httpx.AsyncClient) -> None:
    header = {"authorization": f"Bearer {TOKEN}"}
    assert KEY.fullmatch((await client.post("/team/register/self", headers=header)).text)
    assert KEY.fullmatch((await client.post("/team/reset/self", headers=header)).text)
    assert (await client.delete("/team/self", headers=header)).text == "ok\n"


# usage


async def test_usage(client: httpx.AsyncClient, keys: Keys, plane: ControlPlane) -> None:
    tokens = {name: (await client.get(f"/{TOKEN}/register/{name}")).text for name in ("ann", "bob")}
    await keys.create("the operator's own")
    ann = await keys.get("ann")
    day_ms = 86_400_000
    now_ms = clock.now_ms()
    await plane.charge(OPERATOR, ann.id, 1_500_000_000, now_ms - 10 * day_ms)
    await plane.charge(OPERATOR, ann.id, 250_000_000, now_ms - 2 * day_ms)
    unused = {"state": "active", "requests": 0, "tokens": 0, "cost": "0", "cost_nano": 0, "used_at": None, "expires_at": None}
    row_of_ann = {
        **unused,
        "name": "ann",
        "requests": 2,
        "tokens": 34,
        "cost": "1.75",
        "cost_nano": 1_750_000_000,
        "used_at": clock.iso(now_ms - 2 * day_ms),
        "created_at": clock.iso(ann.created_at_ms),
    }
    row_of_bob = {**unused, "name": "bob", "created_at": clock.iso((await keys.get("bob")).created_at_ms)}

    for path, headers in ((f"/{TOKEN}/usage", {}), ("/team/usage", {"x-access-token": TOKEN}), ("/team/usage", own(TOKEN))):
        answer = await client.get(path, headers=headers)
        assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/json", "no-store")
        assert answer.json() == {"members": [row_of_ann, row_of_bob]}
    assert (await client.get("/team/self/usage", headers=own(tokens["ann"]))).json() == row_of_ann
    assert (await client.get("/team/self/usage", headers=own(tokens["bob"]))).json() == row_of_bob

    lately = {**row_of_ann, "requests": 1, "tokens": 17, "cost": "0.25", "cost_nano": 250_000_000}
    assert (await client.get(f"/{TOKEN}/usage?days=7")).json() == {"members": [lately, row_of_bob]}
    assert (await client.get("/team/self/usage?days=7", headers=own(tokens["ann"]))).json() == lately
    none = {**lately, "requests": 0, "tokens": 0, "cost": "0", "cost_nano": 0}
    assert (await client.get("/team/self/usage?days=1", headers=own(tokens["ann"]))).json() == none
    for days in ("0", "x", "3651"):
        await refused(client, f"/{TOKEN}/usage?days={days}", "Invalid days")
        await refused(client, f"/team/self/usage?days={days}", "Invalid days", headers=own(tokens["ann"]))


async def test_usage_of_nobody(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/{TOKEN}/usage")).json() == {"members": []}
    assert (await client.get(f"/{TOKEN}/usage?days=7")).json() == {"members": []}


async def test_usage_is_asked_for_by_get_alone(client: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "PATCH"):
        await refused(client, f"/{TOKEN}/usage", "Invalid action", method)
    await refused(client, f"/{TOKEN}/usage/x", "Invalid action")
    await refused(client, f"/{TOKEN}/usage", "User not found", "DELETE")
    await refused(client, "/wrong/usage", "Access forbidden")
    await refused(client, "/team/usage", "Access forbidden")


def test_without_a_token_there_are_no_such_routes(new_settings) -> None:
    with pytest.raises(ValueError, match="access token"):
        router(Keys(None), new_settings())

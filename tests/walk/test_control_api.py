"""The life of a user over real sockets, on both engines: from the first administrator's token to the account that is no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from live_gateway import LiveGateway
from penstock.accounts.api.gate import COOKIE, CSRF_HEADER, Gate
from penstock.accounts.models import Session, Ticket
from penstock.accounts.tickets import first_admin_token
from penstock.compat.admission import same_secret
from penstock.keys.models import Key
from penstock.kit import tokens

DOLLAR = 10**9
PASSWORD = "a river runs by night"
HELLO = [{"role": "user", "content": "hello"}]
SEEN_S = 1.0
"""Within this every worker has seen a change."""
PATIENCE_S = 15
"""How long a test waits for it on a machine that does much else."""
NUMBERS = count()


class Office:
    """A gateway that has been set up through its API, and what opens browsers on it."""

    def __init__(self, gateway: LiveGateway, stack: ExitStack) -> None:
        self.gateway = gateway
        self._stack = stack
        self.first_token = gateway.run(first_admin_token(gateway.parts.database))
        self.admin = self.browser()
        body = {"token": self.first_token, "name": "Ada", "email": "ada@example.com", "password": PASSWORD}
        assert self.admin.get("/api/setup").json() == {"is_set_up": False}
        self.admin.headers[CSRF_HEADER] = opened(self.admin.post("/api/setup", json=body))["csrf_token"]

    def browser(self, **headers: str) -> httpx.Client:
        """Someone who has not signed in."""
        return self._stack.enter_context(httpx.Client(base_url=self.gateway.url, headers=headers, timeout=20))

    def program(self, token: str) -> httpx.Client:
        """A program that has a key."""
        return self.browser(authorization=f"Bearer {token}")

    def sign_in(self, email: str, password: str = PASSWORD) -> httpx.Client:
        """A browser that somebody has signed in with."""
        browser = self.browser()
        browser.headers[CSRF_HEADER] = opened(browser.post("/api/sessions", json={"email": email, "password": password}))["csrf_token"]
        return browser

    def member(self) -> tuple[str, httpx.Client]:
        """A member whom the administrator has made and who has signed in: the id, the browser."""
        email = f"member{next(NUMBERS)}@example.com"
        made = self.admin.post("/api/accounts", json={"name": "Grace", "email": email, "password": PASSWORD})
        assert made.status_code == 201 and made.json()["role"] == "member"
        return made.json()["id"], self.sign_in(email)

    def top_up(self, account_id: str, amount_nano: int = DOLLAR, key: str | None = None, **fields: Any) -> httpx.Response:
        """The administrator adds money."""
        headers = {} if key is None else {"idempotency-key": key}
        return self.admin.post(f"/api/accounts/{account_id}/top-ups", json={"amount_nano": amount_nano, **fields}, headers=headers)


def opened(answer: httpx.Response) -> dict[str, Any]:
    """What is said of a session that has been opened, with its cookie as it must be."""
    assert answer.status_code == 201, answer.text
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(COOKIE) and "httponly" in cookie and "samesite=lax" in cookie
    return answer.json()


def make_key(browser: httpx.Client, name: str = "main", **terms: Any) -> dict[str, Any]:
    made = browser.post("/api/keys", json={"name": name, **terms})
    assert made.status_code == 201, made.text
    return made.json()


def chat(program: httpx.Client, **fields: Any) -> httpx.Response:
    return program.post("/v1/chat/completions", json={"model": "demo", "max_tokens": 16, "messages": HELLO, **fields})


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def eventually(true: Callable[[], bool]) -> bool:
    """It becomes true: within a second where the machine is free."""
    end = time.monotonic() + PATIENCE_S
    while not (found := true()) and time.monotonic() < end:
        time.sleep(SEEN_S / 20)
    return found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office(request, make_gateway) -> Iterator[Office]:
    settings = {} if request.param == "sqlite" else {"database_url": request.getfixturevalue("postgres").create(migrated=True)}
    with ExitStack() as stack:
        yield Office(make_gateway(demo=True, **settings), stack)


def test_the_first_administrator_comes_once(office):
    browser = office.browser()
    assert browser.get("/api/setup").json() == {"is_set_up": True}
    body = {"token": office.first_token, "name": "Eve", "email": "eve@example.com", "password": PASSWORD}
    assert code(browser.post("/api/setup", json=body)) == (400, "invalid_request")
    assert COOKIE not in browser.cookies
    me = office.sign_in("Ada@Example.com").get("/api/me").json()
    assert (me["role"], me["name"], me["via"]) == ("admin", "Ada", "session")


def test_without_the_csrf_token_nothing_is_changed(office):
    account_id, browser = office.member()
    shown = browser.headers.pop(CSRF_HEADER)
    assert browser.get("/api/me").json()["csrf_token"] == shown
    for headers in ({}, {CSRF_HEADER: "wrong"}, {CSRF_HEADER: office.admin.headers[CSRF_HEADER]}):
        assert code(browser.post("/api/keys", json={"name": "stolen"}, headers=headers)) == (403, "csrf_refused")
    other_site = {CSRF_HEADER: shown, "origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert code(browser.post("/api/keys", json={"name": "stolen"}, headers=other_site)) == (403, "csrf_refused")
    assert code(office.browser().get("/api/me")) == (401, "not_signed_in")
    assert browser.get("/api/keys").json()["data"] == []
    assert office.admin.get("/api/keys", params={"account_id": account_id}).json()["data"] == []


def test_money_comes_and_goes(office):
    account_id, browser = office.member()
    program = office.program(make_key(browser)["token"])
    assert code(chat(program)) == (402, "insufficient_funds")
    assert code(browser.post(f"/api/accounts/{account_id}/top-ups", json={"amount_nano": DOLLAR})) == (403, "forbidden")
    first = office.top_up(account_id, key="order-1", note="cash")
    assert first.status_code == 201 and first.json()["amount_nano"] == DOLLAR
    assert office.top_up(account_id, key="order-1", note="cash").json() == first.json()
    assert code(office.top_up(account_id, amount_nano=2 * DOLLAR, key="order-1", note="cash")) == (409, "idempotency_conflict")
    assert browser.get("/api/balance").json()["total_nano"] == DOLLAR

    answers: list[httpx.Response] = []
    assert eventually(lambda: answers.append(chat(program)) or answers[-1].status_code == 200)
    answer = answers[-1]
    (charge,) = browser.get("/api/charges").json()["data"]
    assert charge["id"] == answer.headers["x-request-id"] and charge["cost_nano"] > 0
    assert charge["prompt_tokens"] == answer.json()["usage"]["prompt_tokens"]
    balance = browser.get("/api/balance").json()
    assert balance["total_nano"] == balance["paid_nano"] == DOLLAR - charge["cost_nano"]
    receipt = browser.get(f"/api/charges/{charge['id']}/receipt").json()
    assert receipt["agrees"] is True and sum(line["amount_nano"] for line in receipt["lines"]) > 0
    assert receipt["paid_from"] == [{"purse": "paid", "amount_nano": charge["cost_nano"]}]
    _, stranger = office.member()
    assert code(stranger.get(f"/api/charges/{charge['id']}")) == (404, "not_found")


def test_a_key_is_rotated_with_grace(office):
    account_id, browser = office.member()
    office.top_up(account_id)
    made = make_key(browser)
    old = office.program(made["token"])
    assert chat(old).status_code == 200
    rotated = browser.post(f"/api/keys/{made['id']}/rotate", json={"grace_s": 3600}).json()
    new = office.program(rotated["token"])
    assert rotated["token"] != made["token"] and rotated["grace_until"] is not None
    assert eventually(lambda: chat(new).status_code == 200) and chat(old).status_code == 200
    again = office.program(browser.post(f"/api/keys/{made['id']}/rotate").json()["token"])
    assert eventually(lambda: chat(again).status_code == 200)
    assert eventually(lambda: chat(old).status_code == 401) and eventually(lambda: chat(new).status_code == 401)
    assert code(chat(new)) == (401, "invalid_key")


def test_a_disabled_member_is_refused_until_enabled(office):
    account_id, browser = office.member()
    office.top_up(account_id)
    program = office.program(make_key(browser)["token"])
    assert chat(program).status_code == 200
    assert office.admin.post(f"/api/accounts/{account_id}/disable").json()["state"] == "disabled"
    assert code(browser.get("/api/me")) == (401, "not_signed_in")
    assert eventually(lambda: chat(program).status_code == 401)
    assert code(chat(program)) == (401, "account_disabled")
    assert office.admin.post(f"/api/accounts/{account_id}/enable").json()["state"] == "active"
    assert eventually(lambda: chat(program).status_code == 200)


def test_an_account_is_deleted_while_a_stream_runs(office):
    account_id, browser = office.member()
    office.top_up(account_id)
    token = make_key(browser)["token"]
    program = office.program(token)
    assert chat(program).status_code == 200
    exported = browser.get("/api/me/export")
    assert exported.json()["account"]["id"] == account_id and token not in exported.text
    assert {"keys", "events"} <= exported.json().keys()

    body = {"model": "demo-n30d50", "stream": True, "messages": HELLO}
    with program.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert office.admin.delete(f"/api/accounts/{account_id}").status_code == 204
        assert eventually(lambda: chat(office.program(token)).status_code == 401)
        said = [line for line in lines if line]
    assert answer.status_code == 200 and said[-1] == "data: [DONE]"
    charges = office.admin.get("/api/charges", params={"account_id": account_id}).json()["data"]
    charge = next(one for one in charges if one["id"] == answer.headers["x-request-id"])
    assert charge["outcome"] == "complete" and charge["cost_nano"] > 0 and charge["completion_tokens"] > 0
    assert code(browser.get("/api/me")) == (401, "not_signed_in")
    kept = office.admin.get(f"/api/accounts/{account_id}").json()
    assert kept["state"] == "deleted" and kept["email"] is None and kept["name"] != "Grace"


def test_everything_is_in_the_audit_trail(office):
    account_id, browser = office.member()
    key = make_key(browser)
    office.top_up(account_id)
    office.admin.post(f"/api/accounts/{account_id}/disable")
    events = office.admin.get("/api/events", params={"account_id": account_id}).json()["data"]
    actions = [one["action"] for one in reversed(events)]
    assert actions == ["account.create", "session.create", "key.create", "top_up.create", "account.disable"]
    assert key["token"] not in str(events)


def test_wrong_passwords_are_slowed_and_the_right_one_still_works(office):
    account_id, _ = office.member()
    email = office.admin.get(f"/api/accounts/{account_id}").json()["email"]
    stranger = office.browser()
    answers = [stranger.post("/api/sessions", json={"email": email, "password": f"guess {number}"}) for number in range(12)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {code(answer) for answer in answers} == {(401, "wrong_credentials"), (429, "too_many_requests")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert eventually(lambda: stranger.post("/api/sessions", json={"email": email, "password": PASSWORD}).status_code == 201)


@contextmanager
def statements(gateway: LiveGateway) -> Iterator[list[str]]:
    """What the gateway asks its database about keys meanwhile."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "digest" in statement and "key" in statement:
            asked.append(statement)

    time.sleep(2 * SEEN_S)  # whatever was changed before is known by then, and nothing is forgotten for its sake
    engine = gateway.parts.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_an_unknown_key_is_looked_up_once_and_a_mistyped_one_never(office):
    program = office.program(tokens.make_token())
    with statements(office.gateway) as asked:
        assert {code(chat(program)) for _ in range(5)} == {(401, "invalid_key")}
        assert len(asked) == 1
        token = tokens.make_token()
        for wrong in (token[:-1], token[:-1] + ("a" if token[-1] != "a" else "b"), "sk-test", "sk-" + "0" * 48):
            assert code(chat(office.program(wrong))) == (401, "invalid_key")
        assert len(asked) == 1


def test_a_known_key_is_not_looked_up_again(office):
    account_id, browser = office.member()
    office.top_up(account_id)
    program = office.program(make_key(browser)["token"])
    assert eventually(lambda: chat(program).status_code == 200)
    with statements(office.gateway) as asked:
        assert {chat(program).status_code for _ in range(6)} == {200}
        assert len(asked) <= 1


def test_secrets_are_found_by_digest_and_compared_in_constant_time():
    for table in (Key, Session, Ticket):
        columns = set(table.__table__.columns.keys())
        assert "digest" in columns and not columns & {"token", "secret", "hash"}
    assert len(tokens.digest(b"sk-any")) == 32
    for function in (same_secret, Gate.session_of):
        assert "compare_digest" in function.__code__.co_names

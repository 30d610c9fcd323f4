"""What the tests of accounts share: a clock that is set by hand, a real mail server, the services, and browsers that speak to the API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from mail_server import MailServer, serve_mail
from penstock.accounts.api import accounts, errors, events, joining, me, password_resets, sessions, setup, tiers
from penstock.accounts.api.gate import Gate
from penstock.accounts.identity import CLI
from penstock.accounts.models import Account
from penstock.accounts.parts import Others, Parts
from penstock.accounts.passwords import Passwords
from penstock.accounts.service import Draft
from penstock.infra.database import Database
from penstock.infra.mail import open_mail
from penstock.settings import Settings

NO_OTHERS = Others()
MODULES = (accounts, events, joining, me, password_resets, sessions, setup, tiers)
PASSWORD = "correct horse battery"


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


class Keys:
    """Management keys, as the domain above would know them: the account and the id by token."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, str]] = {}

    async def find(self, token: str, address: str) -> tuple[str, str] | None:
        return self.known.get(token)


class Browser(httpx.AsyncClient):
    """A browser, which sends the CSRF token of its session once it has one."""

    async def sign_in(self, email: str, password: str = PASSWORD) -> dict[str, Any]:
        answer = await self.post("/api/sessions", json={"email": email, "password": password})
        assert answer.status_code == 201, answer.text
        return self.entered(answer)

    def entered(self, answer: httpx.Response) -> dict[str, Any]:
        self.headers["x-csrf-token"] = answer.json()["csrf_token"]
        return answer.json()

    async def refused(self, method: str, path: str, **given: Any) -> tuple[int, str, str | None]:
        answer = await self.request(method, path, **given)
        error = answer.json()["error"]
        assert error["request_id"] == answer.headers["x-request-id"]
        return answer.status_code, error["code"], error["param"]


@pytest.fixture
def clock() -> Clock:
    """The clock of the test."""
    return Clock()


@pytest.fixture
async def elsewhere(database_url: str) -> AsyncIterator[Database]:
    """The same database, as another process has it open."""
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    """The mail server."""
    async with serve_mail() as server:
        yield server


@pytest.fixture
def settings(mail: MailServer) -> Settings:
    """The settings of the gateway under test."""
    return Settings(smtp_url=mail.url, mail_from="Gateway <gateway@example.com>", public_url="http://gateway.test", registration="open")


@pytest.fixture
def new_parts(database: Database, clock: Clock) -> Callable[..., Parts]:
    """Makes the services over the database of the test, or another opening of it. Hashes are cheap, to save time."""

    def make(settings: Settings, over: Database = database, others: Others = NO_OTHERS) -> Parts:
        secret = settings.smtp_url.get_secret_value() if settings.smtp_url else None
        return Parts(over, open_mail(secret, settings.mail_from), settings, others, clock, Passwords(memory_kib=64, passes=1))

    return make


@pytest.fixture
async def parts(settings: Settings, new_parts: Callable[..., Parts]) -> AsyncIterator[Parts]:
    """The services."""
    made = new_parts(settings)
    yield made
    await made.stop()


@pytest.fixture
def keys() -> Keys:
    """The management keys that the gate knows."""
    return Keys()


@pytest.fixture
def new_app(keys: Keys) -> Callable[..., FastAPI]:
    """Makes an application with the routes of accounts."""

    def make(parts: Parts, settings: Settings) -> FastAPI:
        app = FastAPI()
        errors.install(app)
        app.state.gate = Gate(parts.sessions, parts.accounts, (keys.find,), settings.public_url)
        for name, service in vars(parts).items():
            setattr(app.state, name, service)
        for module in MODULES:
            app.include_router(module.routes)
        return app

    return make


@pytest.fixture
def app(parts: Parts, settings: Settings, new_app: Callable[..., FastAPI]) -> FastAPI:
    """The application."""
    return new_app(parts, settings)


@pytest.fixture
async def new_browser(app: FastAPI) -> AsyncIterator[Callable[..., Browser]]:
    """Makes browsers, each with cookies of its own, at an address of its own if need be."""
    async with AsyncExitStack() as stack:

        def make(address: str = "10.0.0.1", of: FastAPI = app) -> Browser:
            transport = httpx.ASGITransport(of, client=(address, 1))
            browser = Browser(transport=transport, base_url="http://gateway.test")
            stack.push_async_callback(browser.aclose)
            return browser

        yield make


@pytest.fixture
def browser(new_browser: Callable[..., Browser]) -> Browser:
    """A browser that nobody has signed in with."""
    return new_browser()


@pytest.fixture
def new_account(parts: Parts) -> Callable[..., Any]:
    """Makes accounts that can sign in, named by their e-mail address."""

    async def make(email: str, **given: Any) -> Account:
        return await parts.accounts.create(CLI, Draft(**{"name": email.partition("@")[0], "email": email, "password": PASSWORD} | given))

    return make


@pytest.fixture
async def ada(new_account: Callable[..., Any], new_browser: Callable[..., Browser]) -> Browser:
    """A member's browser; `ada.account_id` is whose."""
    account = await new_account("ada@example.com")
    browser = new_browser()
    await browser.sign_in("ada@example.com")
    browser.account_id = account.id
    return browser


@pytest.fixture
async def admin(new_account: Callable[..., Any], new_browser: Callable[..., Browser]) -> Browser:
    """An administrator's browser."""
    account = await new_account("root@example.com", role="admin")
    browser = new_browser()
    await browser.sign_in("root@example.com")
    browser.account_id = account.id
    return browser

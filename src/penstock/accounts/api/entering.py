"""Entering: what is asked of a browser that is about to get a session, and what it is answered when it has."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response

from penstock.accounts.api.asking import Doorway
from penstock.accounts.api.gate import COOKIE, address_of
from penstock.accounts.api.shapes import SessionOpened, account_shown
from penstock.accounts.models import Account
from penstock.accounts.sessions import LONGEST_MS, Browser, Opened
from penstock.kit.clock import iso


def browser_of(request: Request) -> Browser:
    """The browser that asks."""
    return Browser(request.headers.get("user-agent", ""), address_of(request), request.cookies.get(COOKIE))


Comer = Annotated[Browser, Depends(browser_of)]


class Entrance:
    """Gives and takes the cookie of one answer."""

    def __init__(self, request: Request, response: Response, gate: Doorway) -> None:
        self._response = response
        self._secure = gate.is_https(request)
        gate.check_site(request)

    def open(self, entered: tuple[Account, Opened]) -> SessionOpened:
        """The answer to someone who has got in, with the cookie."""
        account, opened = entered
        age_s = LONGEST_MS // 1000
        self._response.set_cookie(COOKIE, opened.token, max_age=age_s, path="/", secure=self._secure, httponly=True, samesite="lax")
        return SessionOpened(account=account_shown(account), csrf_token=opened.csrf_token, expires_at=iso(opened.expires_at_ms))

    def close(self) -> None:
        """Have the browser forget the cookie."""
        self._response.delete_cookie(COOKIE, path="/", secure=self._secure, httponly=True, samesite="lax")


Door = Annotated[Entrance, Depends()]

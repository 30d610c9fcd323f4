"""The gate: who a request of the control API comes from, by its session or by a management key, and that no other site sent it."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from urllib.parse import urlsplit

from fastapi import Request

from penstock.accounts.identity import Identity
from penstock.accounts.service import Accounts
from penstock.accounts.sessions import Sessions, SignedIn
from penstock.kit.errors import PenstockError

COOKIE = "penstock_session"
CSRF_HEADER = "x-csrf-token"
ADDRESS_LIMIT = 64
KNOWN_LIMIT = 10_000
KNOWN_S = 1.0
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))

Bearer = Callable[[str, str], Awaitable[tuple[str, str] | None]]
"""Given a token and the address it came from: the account and the id of a key that may call the control API; None for a token that
it does not know.
Raises PenstockError for one that it knows and refuses.
"""


class Gate:
    """Lets requests in. `bearers` are asked in their order for what `Authorization: Bearer` shows.

    `public_url` is where browsers find the gateway, if it is behind another server; empty: where they say they found it.
    """

    def __init__(self, sessions: Sessions, accounts: Accounts, bearers: Sequence[Bearer] = (), public_url: str = "") -> None:
        self._sessions = sessions
        self._accounts = accounts
        self._bearers = tuple(bearers)
        self._public = urlsplit(public_url)
        self._known: dict[tuple[bytes, str], tuple[float, Identity]] | None = None

    def remember(self) -> None:
        """From now on, remember for a second whom a key and an address belong to; `forget` is called whenever keys or accounts change."""
        self._known = {}

    def forget(self) -> None:
        """Ask the database again."""
        if self._known is not None:
            self._known = {}

    async def identify(self, request: Request) -> Identity:
        """Who sent the request.

        Raises PenstockError: `not_signed_in`, `csrf_refused`, or what is wrong with the key. A key that is shown counts alone: a
        session beside it is not looked at.
        """
        address = address_of(request)
        token = _bearer_of(request)
        if token is not None:
            return await self._by_key(token, address)
        return (await self.session_of(request)).identity(address)

    async def session_of(self, request: Request) -> SignedIn:
        """The session of the request; raises PenstockError `not_signed_in`, `csrf_refused`, `forbidden` when a key is shown instead."""
        if _bearer_of(request) is not None:
            raise PenstockError("forbidden", "This cannot be done with a key. Sign in.")
        cookie = request.cookies.get(COOKIE)
        found: SignedIn | None = getattr(request.state, "signed_in", None)  # it has been asked for already
        if found is None and cookie is not None:
            found = request.state.signed_in = await self._sessions.find(cookie)
        if found is None:
            raise PenstockError("not_signed_in", "Sign in, or send a management key as Authorization: Bearer.")
        if request.method not in SAFE:
            self.check_site(request)
            shown = request.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(shown.encode(errors="surrogatepass"), found.csrf_token.encode()):
                raise PenstockError("csrf_refused", f"Send the csrf_token of the session in the header {CSRF_HEADER}.", param=CSRF_HEADER)
        return found

    def check_site(self, request: Request) -> None:
        """That no page of another site has a browser send this. Programs, which say nothing of sites, pass.

        Raises PenstockError `csrf_refused`.
        """
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        if site is not None:
            ours = site in ("same-origin", "none")
        elif origin is not None:
            ours = self._is_ours(origin, request.headers.get("host", ""))
        else:
            ours = True
        if not ours:
            raise PenstockError("csrf_refused", "This was sent by a page of another site. Operator: is public_url right?", param="origin")

    def is_https(self, request: Request) -> bool:
        """Whether the browser is spoken to over TLS, here or by a server in front."""
        return request.url.scheme == "https" or self._public.scheme == "https"

    def _is_ours(self, origin: str, host: str) -> bool:
        shown = urlsplit(origin)
        if self._public.netloc and (shown.scheme, shown.netloc) == (self._public.scheme, self._public.netloc):
            return True
        return bool(host) and shown.netloc == host

    async def _by_key(self, token: str, address: str) -> Identity:
        known = self._known
        if known is None:
            return await self._look_up(token, address)
        shown = (sha256(token.encode(errors="replace")).digest(), address)
        now_s = time.monotonic()
        found = known.get(shown)
        if found is not None and now_s < found[0]:
            return found[1]
        identity = await self._look_up(token, address)
        if len(known) >= KNOWN_LIMIT:
            known.clear()
        known[shown] = (now_s + KNOWN_S, identity)
        return identity

    async def _look_up(self, token: str, address: str) -> Identity:
        for bearer in self._bearers:
            found = await bearer(token, address)
            if found is not None:
                account_id, key_id = found
                return await self._accounts.identify(account_id, key_id, address)
        raise PenstockError("invalid_key", "This is not a management key that is known here. Check that it was copied whole.")


def address_of(request: Request) -> str:
    """The address of the client, or of the client of a trusted server in front; empty if there is none to tell."""
    return request.client.host[:ADDRESS_LIMIT] if request.client else ""


def _bearer_of(request: Request) -> str | None:
    """What `Authorization` shows, with or without the word Bearer; None when there is no such header."""
    shown = request.headers.get("authorization")
    if shown is None:
        return None
    shown = shown.strip()
    return shown[7:].lstrip() if shown[:7].lower() == "bearer " else shown

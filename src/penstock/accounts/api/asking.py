"""Asking: what routes of the control API ask of a request before they begin, as annotations of their parameters.

`Who` is whoever was let in; `Admin` an administrator; `InPerson` someone with a session, not a key; `Once` the request with its
`Idempotency-Key`, for `Repeats.once`; `Paging` the page of a list; `On` the account that is meant; `Id` an id in the path.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, cast

from fastapi import Depends, Header, Path, Query, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from penstock.accounts.api.gate import COOKIE, Gate
from penstock.accounts.identity import Identity
from penstock.accounts.repeats import KEY_LIMIT, Repeat
from penstock.accounts.sessions import SignedIn
from penstock.kit.errors import PenstockError
from penstock.kit.pages import CURSOR_LIMIT, LIMIT, LIMIT_MAX, Place, decode

ID = r"^[A-Za-z0-9_.-]+$"
ID_LIMIT = 100
Id = Annotated[str, Path(max_length=ID_LIMIT, pattern=ID)]
_SESSION = APIKeyCookie(name=COOKIE, scheme_name="session", description="Of a signed-in browser.", auto_error=False)
_KEY = HTTPBearer(scheme_name="management_key", description="A key made with `kind` `management`.", auto_error=False)


def _gate(request: Request) -> Gate:
    return cast(Gate, request.app.state.gate)


Doorway = Annotated[Gate, Depends(_gate)]


_ShowsSession = Annotated[object, Security(_SESSION)]
_ShowsKey = Annotated[object, Security(_KEY)]


async def who(request: Request, gate: Doorway, _session: _ShowsSession, _key: _ShowsKey) -> Identity:
    """Whoever sent the request."""
    return await gate.identify(request)


Who = Annotated[Identity, Depends(who)]


def administrator(who: Who) -> Identity:
    """The same, if they may administer."""
    if not who.is_admin:
        raise PenstockError("forbidden", "Only administrators may do this.")
    return who


Admin = Annotated[Identity, Depends(administrator)]


async def in_person(request: Request, gate: Doorway, _session: _ShowsSession) -> SignedIn:
    """The session that the request was sent in; a key will not do."""
    return await gate.session_of(request)


InPerson = Annotated[SignedIn, Depends(in_person)]


def same_site(request: Request, gate: Doorway) -> None:
    """Refuses what a page of another site sends; for what asks for no session."""
    gate.check_site(request)


def on(
    who: Who,
    account_id: Annotated[
        str | None, Query(max_length=ID_LIMIT, pattern=ID, description="For administrators: whose. Default: one's own.")
    ] = None,
) -> str:
    """The account that is meant."""
    return who.acting_on(account_id)


On = Annotated[str, Depends(on)]


async def repeat_of(
    request: Request,
    who: Who,
    key: Annotated[
        str | None,
        Header(alias="idempotency-key", min_length=1, max_length=KEY_LIMIT, pattern=r"^[\x21-\x7e]+$", examples=["6f1c0d2e-..."]),
    ] = None,
) -> Repeat:
    """What tells this request from others: whoever sends it with the same key gets the first one's answer."""
    digest = sha256()
    for part in (request.method.encode(), request.url.path.encode(), request.url.query.encode(), await request.body()):
        digest.update(len(part).to_bytes(8) + part)
    return Repeat(who.account_id, key, digest.digest())


Once = Annotated[Repeat, Depends(repeat_of)]


def paging(
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many to list at most.")] = LIMIT,
    cursor: Annotated[str | None, Query(max_length=CURSOR_LIMIT, description="The `next` of the page before.")] = None,
) -> Place:
    """Which page of a list is asked for."""
    return Place(None if cursor is None else decode(cursor), limit)


Paging = Annotated[Place, Depends(paging)]

"""The team worker's URLs: `/TOKEN/register/NAME`, `/TOKEN/reset/NAME`, `DELETE /TOKEN/NAME`; or `/team/...` with the token in a header.

And what its list of wishes names: `/TOKEN/usage`, and for a member with their own key `/team/self/usage` and `/team/self/reset`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import unquote

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from penstock.accounts.models import OPERATOR
from penstock.billing.selection import Selection, Span
from penstock.billing.usage import KeyTotals, Statistics, Sums
from penstock.compat.admission import bearer_of, is_prefetch, same_secret, shows_secret
from penstock.keys.facts import state
from penstock.keys.models import Key
from penstock.keys.service import Keys
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.money import dollars
from penstock.settings import Settings

NAME_LIMIT = 64
DAYS_LIMIT = 3650
HEADER_ROOT = "team"
CONTROL_ROOT = "api"
SELF = "self"
USAGE = "usage"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_DAY_MS = 86_400_000
_HEADERS = {"cache-control": "no-store", "referrer-policy": "no-referrer"}


class _Refused(Exception):
    """The words that a caller gets, with 403."""


def router(keys: Keys, settings: Settings) -> APIRouter:
    """One route for every path and method: to be mounted last, and only when `settings.access_token` is set.

    Answers are plain text, as people's scripts expect: a key or `ok` and a line feed; or 403 and why. Usage is JSON.
    """
    token = settings.access_token.get_secret_value() if settings.access_token else ""
    if not token:
        raise ValueError("the team's URLs need an access token")
    routes = APIRouter()

    # The token is no part of the route's path, so that it is in no list of routes and in no metric.
    @routes.api_route("/{path:path}", methods=_METHODS, include_in_schema=False)
    async def team(request: Request) -> Response:
        try:
            answer = await _answer(request, keys, token)
        except _Refused as refused:
            return PlainTextResponse(str(refused), 403)
        return PlainTextResponse(f"{answer}\n", headers=_HEADERS) if isinstance(answer, str) else JSONResponse(answer, headers=_HEADERS)

    return routes


async def _answer(request: Request, keys: Keys, token: str) -> str | dict[str, Any]:
    root, *rest = _segments(request)
    asked = (request.method, *rest)
    if root == HEADER_ROOT and asked in (("GET", SELF, USAGE), ("POST", SELF, "reset")):
        return await _of_self(request, keys)
    by_header = root == HEADER_ROOT and shows_secret(request, token, "x-access-token")
    if not (same_secret(root, token) or by_header):
        if root == CONTROL_ROOT:
            raise HTTPException(404)  # told as everything is there
        raise _Refused("Access forbidden")
    if asked == ("GET", USAGE):
        members = [key for key in await keys.list(OPERATOR) if key.kind == "team"]
        return {"members": await _usage(request, members)}
    if request.method == "DELETE":
        return await _delete(keys, _name(rest, "Invalid username2"))
    if request.method in ("HEAD", "OPTIONS") or is_prefetch(request) or not rest or rest[0] not in ("register", "reset"):
        raise _Refused("Invalid action")
    return await _register(keys, _name(rest[1:], "Invalid username1"), _expiry_ms(request))


async def _of_self(request: Request, keys: Keys) -> str | dict[str, Any]:
    """What a member may do, who shows their own key: ask what they have used, and get a new key."""
    try:
        if request.method == "POST":
            return (await keys.reset(bearer_of(request))).token
        (usage,) = await _usage(request, [await keys.member(bearer_of(request))])
    except PenstockError as error:
        raise _Refused("Access forbidden") from error
    return usage


async def _usage(request: Request, members: Sequence[Key]) -> list[dict[str, Any]]:
    """What members have used since they were made, or in the last `?days=`."""
    usage = cast(Statistics, request.app.state.usage)
    totals = await usage.of_keys([member.id for member in members])
    since_ms = _days_ms(request)
    if since_ms is not None:
        only = members[0].id if len(members) == 1 else None
        parts = await usage.by("key", Selection(span=Span(clock.now_ms() - since_ms), account_id=OPERATOR, key_id=only))
        lately = {part.of: part.sums for part in parts}
        totals = {key_id: _within(totals[key_id], lately.get(key_id, Sums())) for key_id in totals}
    return [_row(member, totals.get(member.id, KeyTotals())) for member in members]


def _within(ever: KeyTotals, sums: Sums) -> KeyTotals:
    tokens = sums.input_tokens + sums.cache_read_tokens + sums.cache_write_tokens + sums.output_tokens
    return KeyTotals(sums.requests, tokens, sums.cost_nano, sums.free_nano, ever.used_at_ms)


def _row(member: Key, used: KeyTotals) -> dict[str, Any]:
    return {
        "name": member.name,
        "state": state(member, clock.now_ms()),
        "requests": used.requests,
        "tokens": used.tokens,
        "cost": dollars(used.cost_nano),
        "cost_nano": used.cost_nano,
        "used_at": _iso(used.used_at_ms),
        "created_at": _iso(member.created_at_ms),
        "expires_at": _iso(member.expires_at_ms),
    }


def _segments(request: Request) -> list[str]:
    """The segments of the path, at least one. Each is decoded by itself: `%2F` does not divide."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return [unquote(part, errors="replace") for part in raw.partition(b"?")[0].decode("latin-1").lstrip("/").split("/")]


def _name(rest: list[str], refusal: str) -> str:
    """The member's name: one segment, and a slash after it at most."""
    name = rest[0] if rest else ""
    printable = name.isprintable() and "/" not in name and "\ufffd" not in name
    if not name or len(name) > NAME_LIMIT or not printable or name != name.strip() or any(rest[1:]):
        raise _Refused(refusal)
    return name


def _days_ms(request: Request) -> int | None:
    """How long `?days=` is; None if it is not given."""
    days = request.query_params.get("days")
    if days is None:
        return None
    if not (days.isascii() and days.isdigit() and len(days) <= 4 and 1 <= int(days) <= DAYS_LIMIT):
        raise _Refused("Invalid days")
    return int(days) * _DAY_MS


def _expiry_ms(request: Request) -> int | None:
    """The end of a time-limited key, from `?days=`."""
    days_ms = _days_ms(request)
    return None if days_ms is None else clock.now_ms() + days_ms


async def _register(keys: Keys, name: str, expires_at_ms: int | None) -> str:
    """A new token for a member, who is made if need be. Registering and resetting have always been the same."""
    if token := await _rotate(keys, name, expires_at_ms):
        return token
    try:
        return (await keys.create(name, kind="team", expires_at_ms=expires_at_ms)).token
    except PenstockError as error:
        # Someone else has just registered the name; or it is one that a key can't have.
        if token := await _rotate(keys, name, expires_at_ms):
            return token
        raise _Refused("Invalid username1" if error.param == "name" else "Too many users") from error


async def _rotate(keys: Keys, name: str, expires_at_ms: int | None) -> str | None:
    """A new token for a member who exists; None for one who does not."""
    try:
        await _check_member(keys, name, "Invalid username1")
        return (await keys.rotate(name, expires_at_ms=expires_at_ms)).token
    except PenstockError as error:
        if error.code != "not_found":
            raise
        return None


async def _delete(keys: Keys, name: str) -> str:
    try:
        await _check_member(keys, name, "User not found")
        await keys.delete(name)
    except PenstockError as error:
        if error.code != "not_found":
            raise
        raise _Refused("User not found") from error
    return "ok"


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else clock.iso(at_ms)


async def _check_member(keys: Keys, name: str, refusal: str) -> None:
    """Leave the operator's own keys alone, and ids: only a member's name will do."""
    key = await keys.get(name)
    if key.kind != "team" or key.name != name:
        raise _Refused(refusal)

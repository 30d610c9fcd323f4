"""The team worker's URLs: `/TOKEN/register/NAME`, `/TOKEN/reset/NAME`, `DELETE /TOKEN/NAME`; or `/team/...` with the token in a header."""

from __future__ import annotations

from urllib.parse import unquote

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from penstock.compat.admission import is_prefetch, same_secret, shows_secret
from penstock.keys.service import Keys
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.settings import Settings

NAME_LIMIT = 64
DAYS_LIMIT = 3650
HEADER_ROOT = "team"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_DAY_MS = 86_400_000


class _Refused(Exception):
    """The words that a caller gets, with 403."""


def router(keys: Keys, settings: Settings) -> APIRouter:
    """One route for every path and method: to be mounted last, and only when `settings.access_token` is set.

    Answers are plain text, as people's scripts expect: a key or `ok` and a line feed; or 403 and why.
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
        return PlainTextResponse(f"{answer}\n", headers={"cache-control": "no-store", "referrer-policy": "no-referrer"})

    return routes


async def _answer(request: Request, keys: Keys, token: str) -> str:
    root, *rest = _segments(request)
    by_header = root == HEADER_ROOT and shows_secret(request, token, "x-access-token")
    if not (same_secret(root, token) or by_header):
        raise _Refused("Access forbidden")
    if request.method == "DELETE":
        return await _delete(keys, _name(rest, "Invalid username2"))
    if request.method in ("HEAD", "OPTIONS") or is_prefetch(request) or not rest or rest[0] not in ("register", "reset"):
        raise _Refused("Invalid action")
    return await _register(keys, _name(rest[1:], "Invalid username1"), _expiry_ms(request))


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


def _expiry_ms(request: Request) -> int | None:
    """The end of a time-limited key, from `?days=`."""
    days = request.query_params.get("days")
    if days is None:
        return None
    if not (days.isascii() and days.isdigit() and len(days) <= 4 and 1 <= int(days) <= DAYS_LIMIT):
        raise _Refused("Invalid days")
    return clock.now_ms() + int(days) * _DAY_MS


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
        raise _Refused("Invalid username1") from error


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


async def _check_member(keys: Keys, name: str, refusal: str) -> None:
    """Leave the operator's own keys alone, and ids: only a member's name will do."""
    key = await keys.get(name)
    if key.kind != "team" or key.name != name:
        raise _Refused(refusal)

"""The platform's calls for API keys, membership and balance, under `/api/v1/user/admin`. They take a management key."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar, cast

from fastapi import APIRouter, Depends, Request, Response

from penstock.accounts.api.asking import Who
from penstock.accounts.identity import Identity
from penstock.billing.ledger import Ledger
from penstock.billing.membership import Memberships
from penstock.billing.usage import KeyTotals, Statistics
from penstock.compat.envelope import PREFIX, REFUSALS, Envelope, RateLimit, fields, nano, ok, takes, units
from penstock.keys.facts import masked
from penstock.keys.models import Key
from penstock.keys.service import Keys
from penstock.keys.terms import NAME_LIMIT, Changes, Terms
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.limits import read_limits

_LEAST = "0.01"
_LOST_PLUS = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*) (\d\d:?\d\d)", re.ASCII)
"""A moment with an offset to the east, as it arrives in a form whose `+` was not escaped."""
_CREATE = takes("expired_at", "max_fee", remark="build server", expired_at="2027-12-31T23:59:59Z", max_fee="0", permissions='["gpt-4o"]')
_UPDATE = takes(
    "key", key="sk-...", remark="build server", expired_at="2027-12-31 23:59:59", max_fee="100.00", permissions='["*"]', is_disabled="false"
)
_DELETE = takes("key", key="sk-...")
T = TypeVar("T")


def _keys(request: Request) -> Keys:
    return cast(Keys, request.app.state.keys)


def _usage(request: Request) -> Statistics:
    return cast(Statistics, request.app.state.usage)


def _ledger(request: Request) -> Ledger:
    return cast(Ledger, request.app.state.ledger)


def _memberships(request: Request) -> Memberships:
    return cast(Memberships, request.app.state.membership)


def _per_dollar(request: Request) -> int:
    return cast(int, request.app.state.settings.display_units)


Service = Annotated[Keys, Depends(_keys)]
PerDollar = Annotated[int, Depends(_per_dollar)]


def router(now_s: Callable[[], float] = time.monotonic) -> APIRouter:
    """The calls, each with both of its spellings, and how often a key may make it in a second."""
    routes = APIRouter(prefix=f"{PREFIX}/user/admin", tags=["platform"], responses=REFUSALS)
    calls: tuple[tuple[Callable[..., Awaitable[Response]], tuple[str, ...], int | None, dict[str, Any] | None], ...] = (
        (create, ("new-api-token", "create-api-token"), 10, _CREATE),
        (update, ("update-api-token",), 10, _UPDATE),
        (list_, ("get-api-tokens",), 1, None),
        (delete, ("del-api-token", "delete-api-token"), 50, _DELETE),
        (membership, ("get-membership-expire-date",), None, None),
        (balance, ("balance",), None, None),
    )
    for call, names, per_s, takes_fields in calls:
        paced = [] if per_s is None else [Depends(RateLimit(per_s, now_s).check)]
        for name in names:
            routes.add_api_route(
                f"/{name}",
                call,
                methods=["POST"],
                response_model=Envelope,
                operation_id=f"platform_{name.replace('-', '_')}",
                dependencies=paced,
                openapi_extra=takes_fields,
            )
    return routes


async def create(request: Request, who: Who, keys: Service, per_dollar: PerDollar) -> Response:
    """Make a key; `data` is the key, shown this once."""
    given = await fields(request)
    for name in ("expired_at", "max_fee"):
        if name not in given:
            raise _invalid(f"{name} is missing.", name)
    _check_admin(given, is_admin=False)
    terms = _terms(given, per_dollar)
    remark = _text(given, "remark")
    made = await _named(remark, lambda name: keys.create(name, account_id=who.account_id, who=who, **terms))
    return ok(made.token, "New api token success")


async def update(request: Request, who: Who, keys: Service, per_dollar: PerDollar) -> Response:
    """Change a key; what is left out stays as it is."""
    given = await fields(request)
    key = await _meant(keys, given, who)
    _check_admin(given, is_admin=key.kind == "management")
    changes = cast(Changes, _terms(given, per_dollar))
    if key.expires_at_ms is not None and changes.get("expires_at_ms") == key.expires_at_ms // 1000 * 1000:
        del changes["expires_at_ms"]  # as it was shown, in seconds; it may have passed
    if "is_disabled" in given:
        changes["disabled"] = _switch(given, "is_disabled")

    async def change(name: str) -> None:
        changes["name"] = name
        await keys.change(key.id, account_id=who.account_id, who=who, **changes)

    await _named(_text(given, "remark") or key.name, change)
    return ok(None, "Update api token success")


async def list_(who: Who, keys: Service, usage: Annotated[Statistics, Depends(_usage)], per_dollar: PerDollar) -> Response:
    """All keys of the account, oldest first."""
    found = await keys.list(who.account_id)
    totals = await usage.of_keys([key.id for key in found])
    rows = [_row(key, totals.get(key.id, KeyTotals()), per_dollar) for key in found]
    return ok(rows, f"Get API keys success, total keys: {len(rows)}")


async def delete(request: Request, who: Who, keys: Service) -> Response:
    """Delete a key."""
    key = await _meant(keys, await fields(request), who)
    await keys.delete(key.id, account_id=who.account_id, who=who)
    return ok(None, "Delete api key success")


async def membership(who: Who, memberships: Annotated[Memberships, Depends(_memberships)]) -> Response:
    """The account's membership at this moment, and when that of each tier ends or ended; null: there was none."""
    held = await memberships.of(who.account_id)
    ends = {f"{part.tier.name}_expire_at": _iso(part.until_ms) for part in held.tiers}
    level = {"level": held.standing.tier.name, "expire_at": _iso(held.standing.until_ms)}
    return ok(level | ends, "Get membership expire date success")


async def balance(who: Who, ledger: Annotated[Ledger, Depends(_ledger)], per_dollar: PerDollar) -> Response:
    """What the account has: what was paid, and what was granted."""
    found = await ledger.balance(who.account_id)
    shown = {"balance": units(found.paid_nano, per_dollar), "free_balance": units(found.free_nano, per_dollar)}
    return ok(shown, "get user balance success")


async def _meant(keys: Keys, given: dict[str, Any], who: Identity) -> Key:
    """The key in the field `key`: whole, as it is shown in lists, or by its id."""
    text = _text(given, "key")
    if not text:
        raise _invalid("key is missing.", "key")
    return await keys.meant(text, who.account_id)


async def _named(remark: str, act: Callable[[str], Awaitable[T]]) -> T:
    """What `act` does with a name: the remark while it is free, else with something after it, for names are unique here."""
    name = remark
    while True:
        try:
            return await act(name or _numbered("key"))
        except PenstockError as error:
            if (error.code, error.param) != ("conflict", "name"):
                raise
        name = _numbered(remark)


def _numbered(remark: str) -> str:
    return f"{remark[: NAME_LIMIT - 9]} #{secrets.token_hex(3)}"


def _terms(given: dict[str, Any], per_dollar: int) -> Terms:
    terms: Terms = {}
    if "expired_at" in given:
        terms["expires_at_ms"] = _moment_ms(_text(given, "expired_at"))
    if "max_fee" in given:
        terms["limits"] = {"total_nano": nano(given["max_fee"], per_dollar, "max_fee") or None}
    if "permissions" in given:
        terms["models"] = _models(given["permissions"])
    return terms


def _moment_ms(text: str) -> int | None:
    if not text:
        return None
    if lost := _LOST_PLUS.fullmatch(text):
        text = f"{lost[1]}+{lost[2]}"
    try:
        return clock.parse_moment_ms(text, clock.now_ms())
    except ValueError:
        raise _invalid("expired_at must be ISO 8601, as in 2027-12-31T23:59:59Z, or 2027-12-31 23:59:59 in UTC.", "expired_at") from None


def _models(given: Any) -> list[str]:
    try:
        models = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        models = None
    if not isinstance(models, list) or not all(isinstance(model, str) for model in models):
        raise _invalid('permissions must be a JSON array of names of models, as in ["gpt-4o"]; ["*"] is all.', "permissions")
    return models


def _check_admin(given: dict[str, Any], *, is_admin: bool) -> None:
    """A field `is_admin` may come back from a list, but changes nothing."""
    if "is_admin" in given and _switch(given, "is_admin") != is_admin:
        raise PenstockError("forbidden", "no permission: the admin privilege of a key is not changed here.", param="is_admin")


def _switch(given: dict[str, Any], name: str) -> bool:
    value = str(given[name]).lower()
    if value not in ("true", "false"):
        raise _invalid(f"{name} must be true or false.", name)
    return value == "true"


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _invalid(f"{name} must be text.", name)
    return value.strip()


def _row(key: Key, used: KeyTotals, per_dollar: int) -> dict[str, Any]:
    cap_nano = read_limits(key.limits).total_nano
    # 0 means without limit here, so a cap too small to be shown is shown as the least there is
    max_fee = units(cap_nano or 0, per_dollar)
    if cap_nano is not None and max_fee == "0.00":
        max_fee = _LEAST
    return {
        "key": masked(key),
        "user_id": key.account_id,
        "remark": key.name,
        "created_at": clock.iso(key.created_at_ms),
        "used_at": _iso(used.used_at_ms),
        "expired_at": _iso(key.expires_at_ms),
        "used_times": str(used.requests),
        "used_fee": units(used.cost_nano, per_dollar),
        "max_fee": max_fee,
        "permissions": ["*"] if key.models is None else key.models,
        "is_admin": key.kind == "management",
        "is_disabled": key.disabled_at_ms is not None,
    }


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else clock.iso(at_ms)


def _invalid(words: str, param: str) -> PenstockError:
    return PenstockError("invalid_request", words, param=param)

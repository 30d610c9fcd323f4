"""OpenAI's old billing URLs, `/dashboard/billing/...`, with and without `/v1`: what programs ask to show what a key has left.

The key itself is what is shown. Amounts are numbers of dollars, total usage of cents, as those programs expect. As other gateways
answer: `hard_limit_usd` is what is left and what was ever used, `total_usage` what was ever used, so that their difference is what
is left. The dates only choose the days of `daily_costs`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from fastapi import APIRouter, Request, Response

from penstock.accounts.api.gate import address_of
from penstock.billing.grants import Grants
from penstock.billing.ledger import Ledger
from penstock.billing.models import Grant
from penstock.billing.selection import Selection, Span
from penstock.billing.usage import KeyTotals, Statistics
from penstock.compat.admission import bearer_of
from penstock.infra.database import DatabaseAway
from penstock.keys.door import Caller, KeyRing
from penstock.kit.errors import PenstockError
from penstock.kit.money import dollars
from penstock.kit.networks import contains
from penstock.upstream.dialects.openai import DIALECT

DAYS_LIMIT = 366
UNLIMITED_NANO = 100_000_000 * 10**9
"""What is shown to be left where there is no limit."""


class Funds(NamedTuple):
    """What a key has used, and what is left for it."""

    caller: Caller
    used_nano: int
    left_nano: int


class Dashboard:
    """The answers, and the services that they come from."""

    def __init__(self, keys: KeyRing, usage: Statistics, ledger: Ledger, grants: Grants) -> None:
        self._keys = keys
        self._usage = usage
        self._ledger = ledger
        self._grants = grants

    def router(self) -> APIRouter:
        """`subscription`, `usage` and `credit_grants` under both spellings."""
        routes = APIRouter(tags=["billing of keys"])
        for answer in (self.subscription, self.usage, self.credit_grants):
            for prefix in ("/v1/dashboard/billing", "/dashboard/billing"):
                listed = prefix.startswith("/v1")
                name = f"billing_{answer.__name__}" if listed else f"billing_{answer.__name__}_without_version"
                routes.add_api_route(f"{prefix}/{answer.__name__}", self._route(answer), name=name, include_in_schema=listed)
        return routes

    async def subscription(self, request: Request, funds: Funds) -> dict[str, Any]:
        """How much may be spent in all, and until when the key opens: in seconds since 1970, 0 for always."""
        limit = _number(funds.left_nano + funds.used_nano)
        return {
            "object": "billing_subscription",
            "has_payment_method": True,
            "soft_limit_usd": limit,
            "hard_limit_usd": limit,
            "system_hard_limit_usd": limit,
            "access_until": (funds.caller.expires_at_ms or 0) // 1000,
        }

    async def usage(self, request: Request, funds: Funds) -> dict[str, Any]:
        """What was ever used, and what on each day from `start_date` up to, not including, `end_date`, in cents."""
        span = _span(request)
        days = [] if span is None else await self._usage.by("day", Selection(span=span, key_id=funds.caller.key_id))
        costs = [
            {"timestamp": int(day.of) // 1000, "line_items": [{"name": "all models", "cost": _number(day.sums.cost_nano * 100)}]}
            for day in days
        ]
        return {"object": "list", "daily_costs": costs, "total_usage": _number(funds.used_nano * 100)}

    async def credit_grants(self, request: Request, funds: Funds) -> dict[str, Any]:
        """What is left and what was used, and the account's grants of which something is left."""
        caller = funds.caller
        grants = await self._grants.list(caller.account_id) if caller.account_id and caller.prepaid else []
        return {
            "object": "credit_summary",
            "total_granted": _number(funds.left_nano + funds.used_nano),
            "total_used": _number(funds.used_nano),
            "total_available": _number(funds.left_nano),
            "grants": {"object": "list", "data": [_grant(grant) for grant in grants]},
        }

    def _route(self, answer: Callable[[Request, Funds], Awaitable[dict[str, Any]]]) -> Callable[[Request], Awaitable[Response]]:
        async def asked(request: Request) -> Response:
            try:
                facts = await answer(request, await self._funds(request))
            except DatabaseAway:
                return _refused(PenstockError("database_away", "The database cannot be reached at the moment. Try again.", retry_after_s=2))
            except PenstockError as error:
                return _refused(error)
            return Response(msgspec.json.encode(facts), media_type="application/json", headers={"cache-control": "no-store"})

        asked.__doc__ = answer.__doc__
        return asked

    async def _funds(self, request: Request) -> Funds:
        """What is left is that of the key's cap, of its account's, or of the balance, whichever is least."""
        token = (bearer_of(request) or request.headers.get("x-api-key", "")).encode("latin-1", "replace")
        if not token:
            raise PenstockError("missing_key", "Send your key, as in Authorization: Bearer sk-...")
        caller = self._keys.find(token) or await self._keys.look_up(token)
        if caller.networks is not None and not contains(caller.networks, address_of(request)):
            raise PenstockError("address_not_allowed", "This key may not be used from this address.")
        key_id, account_id = caller.key_id or "", caller.account_id or ""
        used_nano = (await self._usage.of_keys([key_id])).get(key_id, KeyTotals()).cost_nano
        left = [UNLIMITED_NANO]
        for want in caller.wants:
            if want.kind == "total" and want.limit is not None:
                of_key = want.purse_id.startswith(f"{key_id}/")
                spent = used_nano if of_key else (await self._usage.total(Selection(account_id=account_id))).cost_nano
                left.append(want.limit - spent)
        if caller.prepaid:
            balance = await self._ledger.balance(account_id)
            left.append(balance.paid_nano + balance.free_nano)
        return Funds(caller, used_nano, max(min(left), 0))


def _refused(error: PenstockError) -> Response:
    headers = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    return Response(DIALECT.error(error, ""), error.status, headers, "application/json")


def _grant(grant: Grant) -> dict[str, Any]:
    return {
        "object": "credit_grant",
        "id": grant.id,
        "grant_amount": _number(grant.amount_nano),
        "used_amount": _number(grant.amount_nano - grant.left_nano),
        "effective_at": grant.created_at_ms // 1000,
        "expires_at": None if grant.expires_at_ms is None else grant.expires_at_ms // 1000,
    }


def _number(amount_nano: int) -> msgspec.Raw:
    """An exact JSON number of dollars."""
    return msgspec.Raw(dollars(amount_nano).encode())


def _span(request: Request) -> Span | None:
    """The days from `start_date` up to, not including, `end_date`; None if neither is given."""
    given = request.query_params
    if "start_date" not in given and "end_date" not in given:
        return None
    end = _day(given.get("end_date"), "end_date") or datetime.now(UTC).date() + timedelta(days=1)
    start = _day(given.get("start_date"), "start_date") or end - timedelta(days=30)
    if not 0 < (end - start).days <= DAYS_LIMIT:
        raise PenstockError("invalid_request", f"Ask for 1 to {DAYS_LIMIT} days.", param="start_date")
    return Span(*(int(datetime.combine(day, datetime.min.time(), UTC).timestamp()) * 1000 for day in (start, end)))


def _day(text: str | None, param: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise PenstockError("invalid_request", f"{param} is a date, as in 2026-10-31.", param=param) from None

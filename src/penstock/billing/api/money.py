"""The control API of money: balances, entries, and what administrators do to them. Amounts are whole nano-dollars."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, TypeVar, cast

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field, StrictBool, StrictInt

from penstock.accounts.api.asking import Admin, Id, On, Once, Paging
from penstock.accounts.api.errors import refusals
from penstock.accounts.api.shapes import example, moment
from penstock.accounts.repeats import Repeats
from penstock.billing.grants import Gift, Grants
from penstock.billing.ledger import AMOUNT_LIMIT_NANO, TEXT_LIMIT, Ledger, Movement, signed_nano
from penstock.billing.models import Entry, Grant
from penstock.kit.clock import iso, now_ms, parse_moment_ms
from penstock.kit.errors import PenstockError

routes = APIRouter(prefix="/api", tags=["money"], responses=refusals("not_signed_in", "forbidden"))

Shape = TypeVar("Shape", bound=BaseModel)
ASKED = refusals("invalid_request", "not_found")
MOVED = refusals("invalid_request", "not_found", "conflict", "idempotency_conflict")

Kind = Literal["top_up", "grant", "charge", "overage", "refund", "adjust", "app_charge", "expire"]
Amount = Annotated[StrictInt, Field(ge=1, le=AMOUNT_LIMIT_NANO, description="Nano-dollars.", examples=[20_000_000_000])]
Signed = Annotated[
    StrictInt, Field(ge=-AMOUNT_LIMIT_NANO, le=AMOUNT_LIMIT_NANO, description="Nano-dollars, not 0.", examples=[-5_000_000_000])
]
Note = Annotated[str, Field(max_length=TEXT_LIMIT, description="For people. The account sees it.")]
Ref = Annotated[
    str, Field(min_length=1, max_length=TEXT_LIMIT, description="A number of your own, such as the order's. The same one moves money once.")
]
Force = Annotated[StrictBool, Field(description="Even if the balance falls below zero.")]
Moment = Annotated[str, Field(max_length=64, description="ISO 8601, a date, or a span such as `30d`.", examples=["2027-12-31"])]

GrantId = Annotated[str, Path(pattern=r"^grt_[a-z0-9_]+$", max_length=100, examples=["grt_..."])]


class TopUp(BaseModel):
    """Money that an account has paid."""

    model_config = example({"amount_nano": 20_000_000_000, "ref": "order-1001", "note": "bank transfer"})

    amount_nano: Amount
    ref: Ref | None = None
    note: Note = ""


class Adjustment(BaseModel):
    """A correction, up or down."""

    model_config = example({"amount_nano": -1_500_000_000, "note": "credited twice on 3 May"})

    amount_nano: Signed
    note: Annotated[Note, Field(min_length=1)]
    ref: Ref | None = None
    force: Force = False


class Refund(BaseModel):
    """Money that is paid back."""

    model_config = example({"top_up_id": "top_up/order-1001", "amount_nano": 5_000_000_000})

    top_up_id: Annotated[str, Field(min_length=1, max_length=2 * TEXT_LIMIT, description="The id of the top-up's entry.")]
    amount_nano: Amount
    ref: Ref | None = None
    note: Note = ""
    force: Force = False


class GrantGiven(BaseModel):
    """Free money."""

    model_config = example({"amount_nano": 5_000_000_000, "expires_at": "30d", "note": "welcome"})

    amount_nano: Amount
    expires_at: Moment | None = None
    note: Note = ""


class BalanceShown(BaseModel):
    """What an account has at this moment; below zero where it owes."""

    account_id: str
    total_nano: Annotated[int, Field(description="The sum of the next two.")]
    paid_nano: int
    free_nano: Annotated[int, Field(description="Granted; it is spent first.")]
    on_lease_nano: Annotated[int, Field(description="The part of it that workers hold for requests.")]


class EntryShown(BaseModel):
    """A movement of money. It is never changed: corrections are entries of their own."""

    id: Annotated[str, Field(examples=["top_up/order-1001"])]
    kind: Kind
    purse: Literal["paid", "free"]
    amount_nano: Annotated[int, Field(description="Above zero: the account has so much more.")]
    ref: Annotated[str, Field(description="What it is about: an order, a code, a grant, a top-up, a lease.")]
    note: str
    created_at: str


class EntryPage(BaseModel):
    """Some entries, newest first."""

    data: list[EntryShown]
    next: Annotated[str | None, Field(description="The cursor of the next page; null: there is none.")]


class GrantShown(BaseModel):
    """A grant."""

    id: Annotated[str, Field(examples=["grt_..."])]
    amount_nano: int
    left_nano: Annotated[int, Field(description="What is not spent of it.")]
    created_at: str
    expires_at: Annotated[str | None, Field(description="null: it does not end.")]
    note: str


class GrantList(BaseModel):
    """The grants of an account of which something is left, the one that is spent first first."""

    data: list[GrantShown]


def _ledger(request: Request) -> Ledger:
    return cast(Ledger, request.app.state.ledger)


def _grants(request: Request) -> Grants:
    return cast(Grants, request.app.state.grants)


class Deed:
    """What a request asks to be done, once, however often it is sent with the same `Idempotency-Key`."""

    def __init__(self, request: Request, repeat: Once) -> None:
        self._repeats = cast(Repeats, request.app.state.repeats)
        self._repeat = repeat

    async def once(self, act: Callable[[Any], Awaitable[Shape]], shape: type[Shape]) -> Shape:
        """The answer of the act, which is given its transaction; of the first one, if there was one."""

        async def run(session: Any) -> dict[str, Any]:
            return (await act(session)).model_dump()

        return shape(**await self._repeats.once(self._repeat, run, dict[str, Any]))


TheLedger = Annotated[Ledger, Depends(_ledger)]
TheGrants = Annotated[Grants, Depends(_grants)]
TheDeed = Annotated[Deed, Depends(Deed)]


@routes.get("/balance", responses=ASKED)
async def get_balance(account_id: On, ledger: TheLedger) -> BalanceShown:
    """What an account has."""
    found = await ledger.balance(account_id)
    return BalanceShown(total_nano=found.paid_nano + found.free_nano, **found._asdict())


@routes.get("/entries", responses=ASKED)
async def list_entries(
    account_id: On, paging: Paging, ledger: TheLedger, kind: Annotated[Kind | None, Query(description="Only these. Default: all.")] = None
) -> EntryPage:
    """The entries of an account, newest first. What requests cost comes in sums, one for each lease; the bill has them one by one."""
    page = await ledger.entries(account_id, paging, kind=kind)
    return EntryPage(data=[_entry(one) for one in page.data], next=page.next)


@routes.post("/accounts/{account_id}/top-ups", status_code=201, responses=MOVED)
async def create_top_up(account_id: Id, body: TopUp, admin: Admin, deed: TheDeed, ledger: TheLedger) -> EntryShown:
    """Add what an account has paid. It may earn membership."""

    async def act(session: Any) -> EntryShown:
        return _entry(await ledger.top_up(session, admin, Movement(account_id, **body.model_dump())))

    return await deed.once(act, EntryShown)


@routes.post("/accounts/{account_id}/adjustments", status_code=201, responses=MOVED)
async def create_adjustment(account_id: Id, body: Adjustment, admin: Admin, deed: TheDeed, ledger: TheLedger) -> EntryShown:
    """Correct what an account has paid."""
    await _gather(ledger, account_id, -body.amount_nano, force=body.force)

    async def act(session: Any) -> EntryShown:
        return _entry(await ledger.adjust(session, admin, Movement(account_id, **body.model_dump())))

    return await deed.once(act, EntryShown)


@routes.post("/accounts/{account_id}/refunds", status_code=201, responses=MOVED)
async def create_refund(account_id: Id, body: Refund, admin: Admin, deed: TheDeed, ledger: TheLedger) -> EntryShown:
    """Note that a top-up, or a part of it, was paid back. This moves no money but the balance's."""
    await _gather(ledger, account_id, body.amount_nano, force=body.force)

    async def act(session: Any) -> EntryShown:
        movement = Movement(account_id, **body.model_dump(exclude={"top_up_id"}))
        return _entry(await ledger.refund(session, admin, body.top_up_id, movement))

    return await deed.once(act, EntryShown)


@routes.get("/grants", responses=ASKED)
async def list_grants(account_id: On, grants: TheGrants) -> GrantList:
    """The grants of an account of which something is left, the one that is spent first first."""
    return GrantList(data=[_grant(one) for one in await grants.list(account_id)])


@routes.post("/accounts/{account_id}/grants", status_code=201, responses=MOVED)
async def create_grant(account_id: Id, body: GrantGiven, admin: Admin, deed: TheDeed, grants: TheGrants) -> GrantShown:
    """Give an account free money, which may end."""
    gift = Gift(account_id, body.amount_nano, read_moment(body.expires_at, "expires_at"), body.note)

    async def act(session: Any) -> GrantShown:
        return _grant(await grants.grant(session, admin, gift))

    return await deed.once(act, GrantShown)


@routes.post("/accounts/{account_id}/grants/{grant_id}/end", responses=MOVED)
async def end_grant(account_id: Id, grant_id: GrantId, admin: Admin, deed: TheDeed, grants: TheGrants) -> GrantShown:
    """Take back what is left of a grant. What of it is on lease follows within a minute, unless it is spent."""

    async def act(session: Any) -> GrantShown:
        return _grant(await grants.end(session, admin, account_id, grant_id))

    return await deed.once(act, GrantShown)


def read_moment(text: str | None, param: str) -> int | None:
    """A moment as it is written in a body. Raises PenstockError `invalid_request`."""
    try:
        return None if text is None else parse_moment_ms(text, now_ms())
    except ValueError as wrong:
        raise PenstockError("invalid_request", f"{param}: {wrong}.", param=param) from None


async def _gather(ledger: Ledger, account_id: str, amount_nano: int, *, force: bool) -> None:
    if amount_nano > 0 and not force:
        await ledger.gather(account_id, amount_nano)


def _entry(entry: Entry) -> EntryShown:
    purse = entry.debit if signed_nano(entry) > 0 else entry.credit
    return EntryShown(
        id=entry.id,
        kind=cast(Kind, entry.kind),
        purse="free" if purse.endswith("/free") else "paid",
        amount_nano=signed_nano(entry),
        ref=entry.ref,
        note=entry.note,
        created_at=iso(entry.created_at_ms),
    )


def _grant(grant: Grant) -> GrantShown:
    return GrantShown(
        id=grant.id,
        amount_nano=grant.amount_nano,
        left_nano=grant.left_nano,
        created_at=iso(grant.created_at_ms),
        expires_at=moment(grant.expires_at_ms),
        note=grant.note,
    )

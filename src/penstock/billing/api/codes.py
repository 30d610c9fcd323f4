"""The control API of redemption codes: administrators make them in batches, accounts redeem them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field, StrictInt

from penstock.accounts.api.asking import Admin, Id, Paging, Who, administrator
from penstock.accounts.api.errors import refusals
from penstock.accounts.api.shapes import example, moment
from penstock.billing.api.money import ASKED, MOVED, Amount, Moment, TheDeed, read_moment
from penstock.billing.codes import CODE_LIMIT, COUNT_LIMIT, DAYS_LIMIT, Batch, Codes, Issued, Kind, Plan, State, state_of
from penstock.billing.models import Code
from penstock.kit.clock import iso, now_ms
from penstock.kit.errors import PenstockError
from penstock.kit.pages import Place
from penstock.kit.sheets import Cell, csv_lines

routes = APIRouter(prefix="/api", tags=["codes"], responses=refusals("not_signed_in", "forbidden"))

Form = Annotated[Literal["json", "csv"], Query(alias="format", description="`csv`: a sheet with all of them.")]
_SHEET: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}, "example": "id,state\r\ncod_...,open\r\n"}}}
}
_NEW_SHEET: dict[int | str, dict[str, Any]] = {201: _SHEET[200]}
_UNREPEATABLE = refusals("invalid_request", "conflict", "idempotency_conflict")


class BatchGiven(BaseModel):
    """A batch of codes. A `top_up` code is money that somebody has paid; a `grant` is free."""

    model_config = example({"count": 100, "kind": "grant", "amount_nano": 5_000_000_000, "grant_days": 30, "prefix": "SPRING"})

    count: Annotated[StrictInt, Field(ge=1, le=COUNT_LIMIT)]
    kind: Kind
    amount_nano: Amount
    prefix: Annotated[str, Field(max_length=12, description="Capital letters and digits before the code that say what it is for.")] = ""
    grant_days: (
        Annotated[StrictInt, Field(ge=1, le=DAYS_LIMIT, description="How long a grant lasts once it is redeemed; null: for ever.")] | None
    ) = None
    expires_at: Annotated[Moment, Field(description="When codes end that were not redeemed; null: never.")] | None = None


class BatchShown(BaseModel):
    """A batch."""

    id: Annotated[str, Field(examples=["bat_..."])]
    kind: Kind
    amount_nano: int
    prefix: str
    grant_days: int | None
    count: int
    redeemed: int
    disabled: int
    created_at: str
    created_by: Annotated[str, Field(description="The account of whoever made it.")]
    expires_at: str | None


class CodeMade(BaseModel):
    """A new code."""

    id: Annotated[str, Field(examples=["cod_..."])]
    code: Annotated[str, Field(examples=["SPRING-..."])]


class BatchMade(BatchShown):
    """A new batch with its codes, which are in this answer and nowhere else."""

    codes: list[CodeMade]


class BatchPage(BaseModel):
    """Some batches, newest first."""

    data: list[BatchShown]
    next: Annotated[str | None, Field(description="The cursor of the next page; null: there is none.")]


class CodeShown(BaseModel):
    """What has become of a code. The code itself is kept nowhere."""

    id: Annotated[str, Field(examples=["cod_..."])]
    state: State
    account_id: Annotated[str | None, Field(description="Who has redeemed it.")]
    redeemed_at: str | None
    disabled_at: str | None


class CodePage(BaseModel):
    """Some codes of a batch, in the order they were made in."""

    data: list[CodeShown]
    next: Annotated[str | None, Field(description="The cursor of the next page; null: there is none.")]


class Disabled(BaseModel):
    """How many codes are worth nothing since."""

    disabled: int


class Redemption(BaseModel):
    """A code to be redeemed."""

    model_config = example({"code": "SPRING-..."})

    code: Annotated[str, Field(min_length=1, max_length=CODE_LIMIT, description="In capital or small letters, with or without dashes.")]


class RedemptionShown(BaseModel):
    """What a code was worth."""

    code_id: str
    kind: Kind
    amount_nano: int
    expires_at: Annotated[str | None, Field(description="When the grant ends; null: it does not, or was a top-up.")]


def _codes(request: Request) -> Codes:
    return cast(Codes, request.app.state.codes)


TheCodes = Annotated[Codes, Depends(_codes)]


@routes.post(
    "/code-batches",
    status_code=201,
    response_model=BatchMade,
    responses=_NEW_SHEET | refusals("invalid_request", "conflict", "idempotency_conflict"),
)
async def create_code_batch(body: BatchGiven, admin: Admin, deed: TheDeed, codes: TheCodes, form: Form = "json") -> BatchMade | Response:
    """Make codes. They are in this answer and nowhere else; with the same idempotency key they are not made, nor shown, again."""
    plan = Plan(**body.model_dump(exclude={"expires_at"}), expires_at_ms=read_moment(body.expires_at, "expires_at"))
    made: list[Issued] = []

    async def act(session: Any) -> BatchShown:
        made.append(await codes.create(session, admin, plan))
        return _batch(made[0].batch)

    batch = await deed.once(act, BatchShown)
    if not made:
        raise PenstockError(
            "conflict", f"The codes of {batch.id} were shown when it was made, and are kept nowhere. Disable it, make another."
        )
    if form == "csv":
        head = ("id", "code", "kind", "amount_nano", "expires_at")
        same = (batch.kind, batch.amount_nano, batch.expires_at)
        return _sheet([head, *((code_id, code, *same) for code_id, code in made[0].codes)], batch.id, 201)
    return BatchMade(**batch.model_dump(), codes=[CodeMade(id=code_id, code=code) for code_id, code in made[0].codes])


@routes.get("/code-batches", dependencies=[Depends(administrator)], responses=refusals("invalid_request"))
async def list_code_batches(paging: Paging, codes: TheCodes) -> BatchPage:
    """All batches, newest first."""
    page = await codes.batches(paging)
    return BatchPage(data=[_batch(one) for one in page.data], next=page.next)


@routes.get("/code-batches/{batch_id}", dependencies=[Depends(administrator)], responses=ASKED)
async def get_code_batch(batch_id: Id, codes: TheCodes) -> BatchShown:
    """One batch."""
    return _batch(await codes.batch(batch_id))


@routes.get(
    "/code-batches/{batch_id}/codes",
    dependencies=[Depends(administrator)],
    response_model=CodePage,
    responses=_SHEET | ASKED,
)
async def list_codes(batch_id: Id, paging: Paging, codes: TheCodes, form: Form = "json") -> CodePage | Response:
    """What has become of the codes of a batch."""
    page = await codes.list(batch_id, paging if form == "json" else Place(None, COUNT_LIMIT))
    shown = [_code(one) for one in page.data]
    if form == "csv":
        return _sheet([tuple(CodeShown.model_fields), *(tuple(one.model_dump().values()) for one in shown)], batch_id)
    return CodePage(data=shown, next=page.next)


@routes.post("/code-batches/{batch_id}/disable", responses=MOVED)
async def disable_code_batch(batch_id: Id, admin: Admin, deed: TheDeed, codes: TheCodes) -> Disabled:
    """Let all codes of a batch that were not redeemed be worth nothing."""

    async def act(session: Any) -> Disabled:
        return Disabled(disabled=await codes.disable_batch(session, admin, batch_id))

    return await deed.once(act, Disabled)


@routes.post("/codes/{code_id}/disable", responses=MOVED)
async def disable_code(code_id: Id, admin: Admin, deed: TheDeed, codes: TheCodes) -> Disabled:
    """Let one code be worth nothing, if it was not redeemed."""

    async def act(session: Any) -> Disabled:
        return Disabled(disabled=await codes.disable_code(session, admin, code_id))

    return await deed.once(act, Disabled)


@routes.post("/redemptions", status_code=201, responses=MOVED | refusals("too_many_requests"))
async def redeem_code(body: Redemption, who: Who, deed: TheDeed, codes: TheCodes) -> RedemptionShown:
    """Have one's account credited with what a code is worth. A top-up may earn membership."""
    await codes.admit(who)

    async def act(session: Any) -> RedemptionShown:
        found = await codes.redeem(session, who, body.code)
        return RedemptionShown(
            code_id=found.code_id, kind=cast(Kind, found.kind), amount_nano=found.amount_nano, expires_at=moment(found.expires_at_ms)
        )

    return await deed.once(act, RedemptionShown)


def _batch(batch: Batch) -> BatchShown:
    facts = asdict(batch)
    return BatchShown(created_at=iso(facts.pop("created_at_ms")), expires_at=moment(facts.pop("expires_at_ms")), **facts)


def _code(code: Code) -> CodeShown:
    return CodeShown(
        id=code.id,
        state=state_of(code, now_ms()),
        account_id=code.account_id,
        redeemed_at=moment(code.redeemed_at_ms),
        disabled_at=moment(code.disabled_at_ms),
    )


def _sheet(rows: Iterable[Sequence[Cell]], name: str, status: int = 200) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}.csv"', "x-content-type-options": "nosniff"}
    return Response(csv_lines(rows), status, headers, "text/csv")

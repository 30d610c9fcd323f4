"""The control API of prices: the operator's own, those that wait, multipliers; and the public price list."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal, cast

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from penstock.accounts.api.asking import Admin, Doorway, Paging
from penstock.accounts.api.errors import refusals
from penstock.accounts.api.gate import COOKIE
from penstock.catalog.cards import write_cards
from penstock.catalog.checks import MULTIPLIER_LIMIT_MICRO, NAME_LIMIT, OUTPUT_CAP_LIMIT
from penstock.catalog.door import Catalog
from penstock.catalog.models import Multiplier
from penstock.catalog.prices import Price
from penstock.catalog.service import Listed, Prices, Report, Waiting
from penstock.catalog.sets import FORMAT, SIZE_LIMIT, Wish, read_set, write_set
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.money import PER_MILLION
from penstock.upstream.providers import PROVIDERS

routes = APIRouter(prefix="/api", tags=["prices"])

_ADMIN = refusals("not_signed_in", "forbidden")
_RATES = {
    "standard": {"input_mtok": "2.5", "cache_read_mtok": "1.25", "output_mtok": "10"},
    "batch": {"input_mtok": "1.25", "output_mtok": "5"},
}
_SET_EXAMPLE = {
    "format": FORMAT,
    "prices": [{"provider": "openai", "model": "gpt-4o", "free": False, "rates": _RATES, "effective_at": "2027-01-01T00:00:00Z"}],
    "multipliers": [{"model": "gpt-4o", "multiplier_micro": 1_250_000}],
}
_SET_CONTENT = {"application/json": {"schema": {"type": "object"}, "example": _SET_EXAMPLE}}
_SET: dict[int | str, dict[str, Any]] = {200: {"description": "A set of prices.", "content": _SET_CONTENT}}
_ANYBODY: dict[str, Any] = {"security": [{}, {"session": []}, {"management_key": []}]}
_MAX_AGE_S = 60


def _example(**example: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


class Step(BaseModel):
    """A rate that holds for requests that read more than so many tokens."""

    model_config = _example(above_tokens=200_000, dollars="15")

    above_tokens: StrictInt
    dollars: str


Card = dict[str, str | list[Step]]
"""Dollars by the name of the rate: exact decimal text, or steps by context length that begin at 0 tokens."""
Rates = Annotated[dict[str, Card], Field(description="By service tier, of which `standard` must be there.", examples=[_RATES])]
ModelName = Annotated[
    str, Field(min_length=1, max_length=NAME_LIMIT, description="A name, or a glob with `*` and `?`.", examples=["gpt-4o"])
]


class PriceGiven(BaseModel):
    """A price of the operator's own: rates, or `free`."""

    model_config = _example(provider="openai", model="gpt-4o", rates=_RATES, effective_at="2027-01-01T00:00:00Z")

    provider: Annotated[str, Field(description="Whose model it is; `*`: anybody's.")] = "*"
    model: ModelName
    """As the provider knows it."""
    rates: Rates | None = None
    free: Annotated[StrictBool, Field(description="The model costs nothing, on purpose.")] = False
    effective_at: Annotated[str | None, Field(max_length=64, description="ISO 8601; from now on unless given.")] = None
    output_cap: Annotated[
        Annotated[StrictInt, Field(ge=1, le=OUTPUT_CAP_LIMIT)] | None,
        Field(description="Output tokens to hold funds for when a request sets no bound; null: the setting."),
    ] = None
    confirm: Annotated[StrictBool, Field(description="The price is meant, even if it is far from the one in force.")] = False


class PriceShown(BaseModel):
    """A price of the operator's own. Of those for the same models the latest that has come into effect is in force."""

    id: Annotated[str, Field(examples=["prc_..."])]
    provider: str
    model: str
    state: Literal["waiting", "future", "in_force", "replaced", "retired"]
    free: bool
    rates: Rates | None
    output_cap: int | None
    effective_at: str
    created_at: str
    created_by: Annotated[str, Field(examples=["acc_..."])]
    confirmed_at: str | None
    retired_at: str | None


class WaitingShown(BaseModel):
    """An official price that is far from the one in force and waits to be confirmed; until then that one is charged."""

    id: Annotated[str, Field(examples=["official/openai/gpt-4o"])]
    provider: str
    model: str
    since: str
    rates_in_force: Rates | None
    rates: Rates | None


class PricePage(BaseModel):
    """Some prices of the operator's own, newest first, and all official prices that wait."""

    data: list[PriceShown]
    next: Annotated[str | None, Field(description="The cursor of the next page; null: there is none.")]
    waiting: list[WaitingShown]


class Change(BaseModel):
    """A price that an import sets."""

    provider: str
    model: str
    jump: Annotated[str | None, Field(description="What is far from the price in force; null: nothing is.")]


class ImportShown(BaseModel):
    """What an import has done, or would do."""

    dry_run: bool
    set: list[Change]
    unchanged: Annotated[int, Field(description="Prices that are in force as they are.")]
    multipliers: Annotated[int, Field(description="Multipliers that change.")]
    skipped: Annotated[list[str], Field(description="What cannot be expressed here, and why.", examples=[[]])]


class MultiplierGiven(BaseModel):
    """What prices are multiplied by."""

    model_config = _example(multiplier_micro=1_250_000)

    multiplier_micro: Annotated[StrictInt, Field(ge=0, le=MULTIPLIER_LIMIT_MICRO, description="Millionths: 1000000 is the price as it is.")]


class MultiplierShown(BaseModel):
    """What the prices of a model, or of all that a glob matches, are multiplied by."""

    model: str
    multiplier_micro: int
    changed_at: str


class Multipliers(BaseModel):
    """All multipliers. The exact name counts, then the longest glob."""

    data: list[MultiplierShown]


class Priced(BaseModel):
    """A model that can be asked for, and what it costs: dollars, multiplied already."""

    model: str
    provider: str
    free: bool
    multiplier_micro: int
    rates: Rates
    context_tokens: Annotated[int | None, Field(description="How much it can read, where that is known.")]


class PriceList(BaseModel):
    """All models that can be asked for, by name."""

    data: list[Priced]


def _prices(request: Request) -> Prices:
    return cast(Prices, request.app.state.prices)


def _catalog(request: Request) -> Catalog:
    return cast(Catalog, request.app.state.catalog)


Service = Annotated[Prices, Depends(_prices)]
Priceable = Annotated[Catalog, Depends(_catalog)]
PriceId = Annotated[str, Path(max_length=400, pattern=r"^[!-~]+$", examples=["prc_..."])]
ModelPath = Annotated[str, Path(max_length=NAME_LIMIT, examples=["gpt-4o"], description="A public name, or a glob.")]


@routes.get("/prices", responses=refusals("invalid_request", "not_signed_in", "forbidden"))
async def list_prices(
    _: Admin,
    paging: Paging,
    prices: Service,
    model: Annotated[str | None, Query(max_length=NAME_LIMIT, description="Exactly this name or glob.")] = None,
    retired: Annotated[bool, Query(description="Those that were retired, too.")] = False,
) -> PricePage:
    """The operator's own prices, newest first, and the official ones that wait to be confirmed."""
    page = await prices.list(paging, model=model, retired=retired)
    waiting = await prices.waiting()
    return PricePage(data=[_shown(listed) for listed in page.data], next=page.next, waiting=[_shown_waiting(one) for one in waiting])


@routes.post("/prices", status_code=201, responses=refusals("invalid_request", "not_signed_in", "forbidden", "price_jump"))
async def create_price(body: PriceGiven, who: Admin, prices: Service) -> PriceShown:
    """Set a price of one's own, from now or a later time on. It replaces the official one, whole: rates that are left out are not there.

    One that is far from the price in force is kept, but waits until it is confirmed: 409, whose message names its id.
    """
    given = body.model_dump()
    wish = Wish(body.provider, body.model, body.free, given["rates"], _moment_ms(body.effective_at), body.output_cap)
    return _shown(await prices.put(who, wish, confirm=body.confirm))


@routes.post(
    "/prices/import",
    responses=refusals("invalid_request", "not_signed_in", "forbidden", "price_jump", "body_too_large"),
    openapi_extra={"requestBody": {"required": True, "content": _SET_CONTENT}},
)
async def import_prices(
    request: Request,
    who: Admin,
    prices: Service,
    dry_run: Annotated[bool, Query(description="Only say what would change.")] = False,
    confirm: Annotated[bool, Query(description="Prices that are far from those in force are meant.")] = False,
) -> ImportShown:
    """Set a whole set of prices, all or none: what `export` gives, or LiteLLM's list of model prices.

    Prices that are in force as they are, are left alone.
    """
    found = await asyncio.to_thread(read_set, await _body(request), frozenset(PROVIDERS))
    return _shown_report(await prices.bring_in(who, found, confirm=confirm, dry_run=dry_run), dry_run=dry_run)


@routes.get("/prices/export", responses=_SET | _ADMIN)
async def export_prices(_: Admin, prices: Service) -> Response:
    """The operator's own prices that are in force or will be, and all multipliers, as a set to be imported elsewhere."""
    return JSONResponse(write_set(await prices.export()), headers={"content-disposition": 'attachment; filename="prices.json"'})


@routes.post(
    "/prices/{price_id:path}/confirm",
    status_code=204,
    responses=refusals("invalid_request", "not_signed_in", "forbidden", "not_found", "conflict"),
)
async def confirm_price(price_id: PriceId, who: Admin, prices: Service) -> None:
    """Have a price that waits count from now on, one's own or an official one."""
    await prices.confirm(who, price_id)


@routes.delete("/prices/{price_id}", status_code=204, responses=refusals("invalid_request", "not_signed_in", "forbidden", "not_found"))
async def retire_price(price_id: PriceId, who: Admin, prices: Service) -> None:
    """Have a price of one's own no longer count; the one before it, or the official one, is in force again."""
    await prices.retire(who, price_id)


@routes.get("/multipliers", responses=_ADMIN)
async def list_multipliers(_: Admin, prices: Service) -> Multipliers:
    """All multipliers."""
    return Multipliers(data=[_shown_multiplier(row) for row in await prices.multipliers()])


@routes.put("/multipliers/{model:path}", responses=refusals("invalid_request", "not_signed_in", "forbidden"))
async def put_multiplier(model: ModelPath, body: MultiplierGiven, who: Admin, prices: Service) -> MultiplierShown:
    """Multiply the prices of a model, by the name that clients ask for, or of all models that a glob matches."""
    return _shown_multiplier(await prices.put_multiplier(who, model, body.multiplier_micro))


@routes.delete(
    "/multipliers/{model:path}", status_code=204, responses=refusals("invalid_request", "not_signed_in", "forbidden", "not_found")
)
async def delete_multiplier(model: ModelPath, who: Admin, prices: Service) -> None:
    """No longer multiply them."""
    await prices.delete_multiplier(who, model)


@routes.get("/price-list", responses={200: {"model": PriceList}, **refusals("invalid_key")}, openapi_extra=_ANYBODY)
async def price_list(request: Request, gate: Doorway, prices: Service, catalog: Priceable) -> Response:
    """What models cost here. For everybody; with a session or a management key, what they cost that account."""
    tier_micro = await _tier_micro(request, gate, prices)
    private = tier_micro is not None
    body = msgspec.json.encode({"data": await catalog.listing(PER_MILLION if tier_micro is None else tier_micro)})
    headers = {"cache-control": "no-store" if private else f"public, max-age={_MAX_AGE_S}", "vary": "authorization, cookie"}
    return Response(body, media_type="application/json", headers=headers)


async def _tier_micro(request: Request, gate: Doorway, prices: Prices) -> int | None:
    """The multiplier of whoever asks; None for those who do not say who they are, or whose session has ended."""
    by_key = "authorization" in request.headers
    if not by_key and COOKIE not in request.cookies:
        return None
    try:
        who = await gate.identify(request)
    except PenstockError:
        if by_key:
            raise
        return None
    return await prices.tier_multiplier(who.account_id)


async def _body(request: Request) -> bytes:
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > SIZE_LIMIT:
            raise PenstockError("body_too_large", f"A set of prices has at most {SIZE_LIMIT // 1024 // 1024} MiB.")
    return bytes(found)


def _moment_ms(text: str | None) -> int | None:
    try:
        return None if text is None else clock.parse_moment_ms(text, clock.now_ms())
    except ValueError as wrong:
        raise PenstockError("invalid_request", f"effective_at: {wrong}.", param="effective_at") from None


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else clock.iso(at_ms)


def _shown(listed: Listed) -> PriceShown:
    row = listed.row
    moments = {name: _iso(getattr(row, f"{name}_ms")) for name in ("effective_at", "created_at", "confirmed_at", "retired_at")}
    facts = {name: getattr(row, name) for name in ("id", "provider", "model", "free", "output_cap", "created_by")}
    return PriceShown.model_validate({**facts, **moments, "rates": row.card, "state": listed.state})


def _shown_waiting(one: Waiting) -> WaitingShown:
    return WaitingShown.model_validate(
        {
            "id": one.id,
            "provider": one.provider,
            "model": one.model,
            "since": clock.iso(one.since_ms),
            "rates_in_force": _rates(one.in_force),
            "rates": _rates(one.waiting),
        }
    )


def _rates(price: Price | None) -> dict[str, Any] | None:
    return None if price is None else write_cards(price)


def _shown_report(report: Report, *, dry_run: bool) -> ImportShown:
    changes = [Change(provider=each.wish.provider, model=each.wish.model, jump=each.jump) for each in report.verdicts]
    return ImportShown(
        dry_run=dry_run, set=changes, unchanged=report.unchanged, multipliers=report.multipliers, skipped=list(report.skipped)
    )


def _shown_multiplier(row: Multiplier) -> MultiplierShown:
    return MultiplierShown(model=row.model, multiplier_micro=row.multiplier_micro, changed_at=clock.iso(row.changed_at_ms))

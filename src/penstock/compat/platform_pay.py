"""The platform's call for what models are multiplied by, `/api/v1/pay/model-rates`."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request, Response

from penstock.accounts.api.asking import Who
from penstock.catalog.door import Catalog
from penstock.catalog.service import Prices
from penstock.compat.envelope import PREFIX, REFUSALS, Envelope, ok
from penstock.kit.money import decimal_of_micro

routes = APIRouter(prefix=f"{PREFIX}/pay", tags=["platform"], responses=REFUSALS)


def _catalog(request: Request) -> Catalog:
    return cast(Catalog, request.app.state.catalog)


def _prices(request: Request) -> Prices:
    return cast(Prices, request.app.state.prices)


@routes.get("/model-rates", operation_id="platform_model_rates", response_model=Envelope)
@routes.post("/model-rates", operation_id="platform_model_rates_by_post", response_model=Envelope)
async def model_rates(who: Who, catalog: Annotated[Catalog, Depends(_catalog)], prices: Annotated[Prices, Depends(_prices)]) -> Response:
    """For each model the decimal number that its official price is multiplied by for this account, as text; `"0"` for free ones."""
    listed = await catalog.listing(await prices.tier_multiplier(who.account_id))
    rates = [{"model": entry.model, "rate": "0" if entry.free else decimal_of_micro(entry.multiplier_micro)} for entry in listed]
    return ok(rates, "Get model rates success")

"""The platform's model rates: its envelope, by either method, multiplied for whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from control_plane import ControlPlane
from penstock.accounts.identity import CLI
from penstock.accounts.models import Membership
from penstock.accounts.tiers import Terms, Tiers
from penstock.catalog.door import Catalog
from penstock.catalog.service import Prices
from penstock.catalog.sets import Wish
from penstock.compat.platform_pay import routes
from penstock.infra.database import Database
from penstock.infra.revisions import Feed
from sold import sold_by

PATH = "/api/v1/pay/model-rates"


@pytest.fixture
async def plane(database: Database) -> AsyncIterator[ControlPlane]:
    async with ControlPlane(database, routes, demo=True) as made:
        prices, feed = Prices(database), Feed(database)
        await prices.put_multiplier(CLI, "demo-tool", 1_250_000)
        await prices.put(CLI, Wish("demo", "gift", free=True))
        catalog = Catalog(made.app.state.settings, database, feed)
        catalog.sold = sold_by(made.app.state.settings)
        made.app.state.prices, made.app.state.catalog = prices, catalog
        await catalog.start()
        yield made
        await catalog.stop()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_model_rates(plane, method):
    program = plane.client((await plane.manager(await plane.account())).token)
    answer = await program.request(method, PATH)
    assert (answer.status_code, answer.json()["statusCode"], answer.json()["message"]) == (200, 200, "Get model rates success")
    rates = {entry["model"]: entry["rate"] for entry in answer.json()["data"]}
    assert (rates["demo"], rates["demo-tool"], rates["gift"]) == ("1", "1.25", "0")
    assert {frozenset(entry) for entry in answer.json()["data"]} == {frozenset({"model", "rate"})}


async def test_a_membership_is_part_of_the_rate(plane, database):
    account = await plane.account()
    await Tiers(database).put(CLI, "gold", Terms("Gold", 9, multiplier_micro=800_000))
    async with database.session() as session:
        session.add(Membership(account_id=account, tier="gold", started_at_ms=0, until_ms=2**62))
    program = plane.client((await plane.manager(account)).token)
    rates = {entry["model"]: entry["rate"] for entry in (await program.post(PATH, data={"any": "field"})).json()["data"]}
    assert (rates["demo"], rates["demo-tool"]) == ("0.8", "1")


async def test_without_a_key_it_is_refused_in_the_envelope(plane):
    answer = await plane.client().get(PATH)
    assert (answer.status_code, answer.json()["statusCode"], answer.json()["data"]) == (401, 401, None)
    assert answer.json()["errorType"] == "not_signed_in_error"

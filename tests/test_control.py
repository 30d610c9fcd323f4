"""The control plane of one process: what it puts into an application, what it does now and then, what an account has."""

from __future__ import annotations

import json

import pytest
from fastapi import FastAPI

from penstock.accounts.identity import CLI
from penstock.accounts.service import Draft
from penstock.billing.ledger import Movement
from penstock.catalog.door import Catalog
from penstock.channels.door import ChannelDoor
from penstock.control import Control
from penstock.infra.revisions import Feed
from penstock.infra.secrets import Secrets
from penstock.keys.service import Keys
from penstock.kit.pulse import Pulse
from penstock.rules.service import Wanted
from penstock.settings import load


@pytest.fixture
async def control(database, tmp_path):
    settings = load(data=tmp_path)
    feed = Feed(database)
    door = ChannelDoor(settings, database, Secrets(bytes(32)), Pulse(), feed)
    made = Control(settings, database, Catalog(settings, database, feed), Keys(database), door)
    yield made
    await made.stop()


async def test_routes_find_their_services(control):
    app = FastAPI()
    control.install(app)
    for name in ("accounts", "bill", "catalog", "codes", "gate", "grants", "keys", "ledger", "membership", "prices", "repeats", "usage"):
        assert getattr(app.state, name) is not None
    assert app.state.channels is not None and app.state.discovery is not None
    paths = app.openapi()["paths"]
    assert {"/api/me", "/api/keys", "/api/balance", "/api/charges", "/api/prices"} <= paths.keys()


async def test_a_balance_is_what_was_paid_and_granted(control, database):
    account = await control.accounts.accounts.create(CLI, Draft("someone"))
    assert await control.balance(account.id) == 0
    app = FastAPI()
    control.install(app)
    async with database.session() as session:
        await app.state.ledger.top_up(session, CLI, Movement(account.id, 7))
    assert await control.balance(account.id) == 7


async def test_an_account_takes_its_rules_along(control, database):
    account = await control.accounts.accounts.create(CLI, Draft("someone"))
    app = FastAPI()
    control.install(app)
    rules = app.state.rules
    await rules.create(CLI, {"name": "calm", "then": [{"do": "delete", "path": "user"}]}, account.id)
    with await control.accounts.exports.write(account.id) as file:
        assert [rule["name"] for rule in json.loads(file.read())["rules"]] == ["calm"]
    await control.accounts.accounts.delete(CLI, account.id)
    assert await rules.all(Wanted()) == []


async def test_its_jobs_do_nothing_where_there_is_nothing_to_do(control):
    jobs = control.jobs()
    assert len({job.name for job in jobs}) == len(jobs) > 3
    for job in jobs:
        assert job.every_s > 0
        await job.act()

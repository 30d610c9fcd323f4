"""The tables of channels: what belongs to a channel goes with it."""

from __future__ import annotations

from sqlalchemy import delete, select

from penstock.channels.drafts import Draft
from penstock.channels.models import ChannelRow, CredentialRow
from penstock.channels.service import Given


async def test_credentials_go_with_their_channel(channels, operator, database):
    await channels.create(operator, Draft("main", "openai"), [Given("sk-x")])
    async with database.session() as session:
        await session.execute(delete(ChannelRow))
    async with database.session(read_only=True) as session:
        assert (await session.scalars(select(CredentialRow))).all() == []


async def test_models_are_read_only_when_they_are_asked_for(channels, operator, database):
    await channels.create(operator, Draft("main", "openai"))
    async with database.session(read_only=True) as session:
        row = (await session.scalars(select(ChannelRow))).one()
    assert "models" not in row.__dict__

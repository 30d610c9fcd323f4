"""Channels in the database: each change is whole, traced and told, and no secret lies open."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from penstock.accounts.models import Event
from penstock.channels.drafts import Draft
from penstock.channels.models import BreakerRow, CredentialRow, DiscoveryRow
from penstock.channels.service import CREDENTIALS_LIMIT, Channels, Given, about_credential, about_headers, about_proxy, pairs_of
from penstock.infra.revisions import Revision
from penstock.infra.secrets import Secrets
from penstock.kit.errors import PenstockError
from penstock.kit.pages import Place

SECRET = "sk-placeholder-0123456789-wxyz"
FULL = Draft(
    "main", "openai", models=[("gpt-4o", None), ("fast", "gpt-4o-mini")], headers={"X-A": "hidden-value"}, proxy="http://u:hidden-word@p.example.com",
    timeouts={"idle_s": 5.0}, tags=["eu"], weight=3, priority=-2, wires=["chat"], on_disconnect="drain", cost_micro=500_000,
)  # fmt: skip


async def number(database) -> int:
    async with database.session(read_only=True) as session:
        found = await session.get(Revision, "channels")
    return 0 if found is None else found.number


async def test_what_is_written_is_read(channels, operator, secrets):
    made = await channels.create(operator, FULL, [Given(f" {SECRET}\n", "first"), Given("sk-short", enabled=False)])
    found = await channels.get("main")
    assert found.row.id == made.row.id == (await channels.get(made.row.id)).row.id
    row = found.row
    assert (row.base_url, row.weight, row.priority, row.wires, row.cost_micro) == ("https://api.openai.com/v1", 3, -2, ["chat"], 500_000)
    assert pairs_of(row) == [("gpt-4o", None), ("fast", "gpt-4o-mini")]
    assert (row.discover, row.allow_private, row.revision) == (False, False, 1)
    assert [(each.label, each.hint, each.enabled) for each in found.credentials] == [("first", "wxyz", True), ("", "", False)]
    assert secrets.open(found.credentials[0].secret_sealed, about_credential(found.credentials[0].id)) == SECRET
    assert secrets.open(row.proxy_sealed, about_proxy(row.id)) == FULL.proxy == channels.proxy_of(row)
    assert "hidden-value" in secrets.open(row.headers_sealed, about_headers(row.id))
    assert channels.headers_of(row) == ["X-A"]


async def test_no_secret_lies_in_any_table(channels, operator, database):
    made = await channels.create(operator, FULL, [Given(SECRET)])
    await channels.change(operator, "main", {"proxy": "http://v:other-word@p.example.com", "headers": {"X-B": "other-value"}})
    await channels.change_credential(operator, "main", made.credentials[0].id, {"secret": f"{SECRET}-2"})
    async with database.session(read_only=True) as session:
        for table in ("channel", "channel_credential", "event"):
            rows = str((await session.execute(text(f"SELECT * FROM {table}"))).all())
            assert not any(word in rows for word in ("hidden-", "other-", SECRET[:20])), table


async def test_changes_are_traced_and_told(channels, operator, database):
    made = await channels.create(operator, Draft("main", "openai"), [Given(SECRET)])
    assert await number(database) == 1
    credential = made.credentials[0].id
    await channels.change(operator, "main", {"weight": 5, "name": "other"})
    await channels.disable(operator, "other")
    await channels.enable(operator, "other")
    await channels.add_credential(operator, "other", Given("sk-x"))
    await channels.change_credential(operator, "other", credential, {"label": "one"})
    await channels.remove_credential(operator, "other", credential)
    assert (await channels.get("other")).row.revision == 7
    await channels.delete(operator, made.row.id)
    assert await number(database) == 8
    async with database.session(read_only=True) as session:
        actions = (await session.scalars(select(Event.action).order_by(Event.id))).all()
        assert (await session.scalars(select(CredentialRow))).all() == []
    assert actions == [
        "channel.create", "channel.change", "channel.disable", "channel.enable", "channel.credential.add", "channel.credential.change",
        "channel.credential.remove", "channel.delete",
    ]  # fmt: skip


async def test_a_change_leaves_the_rest(channels, operator):
    await channels.create(operator, FULL, [Given(SECRET)])
    changed = await channels.change(operator, "main", {"models": [("*", None)], "weight": 0})
    assert (changed.row.weight, changed.row.tags, pairs_of(changed.row)) == (0, ["eu"], [("*", None)])
    assert channels.headers_of(changed.row) == ["X-A"]
    changed = await channels.change(operator, "main", {"proxy": None, "headers": {}, "discover": None})
    assert (changed.row.proxy_sealed, changed.row.headers_sealed, changed.row.discover) == (None, None, True)


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"provider": "anthropic"}, "invalid_request"), ({"weight": -1}, "invalid_request"),
     ({"base_url": "http://10.0.0.1/v1"}, "private_address"),
     ({"name": "taken"}, "conflict")],
)  # fmt: skip
async def test_what_cannot_be_changes_nothing(channels, operator, changes, code):
    await channels.create(operator, Draft("main", "openai"))
    await channels.create(operator, Draft("taken", "openai"))
    with pytest.raises(PenstockError) as caught:
        await channels.change(operator, "main", changes)
    assert caught.value.code == code
    assert (await channels.get("main")).row.revision == 1


async def test_with_another_key_a_channel_can_be_mended(channels, operator, database):
    made = await channels.create(operator, FULL, [Given(SECRET)])
    other = Channels(database, Secrets(bytes(32)))
    assert (other.proxy_of(made.row), other.headers_of(made.row)) == (None, [])
    await other.change(operator, "main", {"proxy": None, "headers": {"X-B": "y"}})
    await other.change_credential(operator, "main", made.credentials[0].id, {"secret": "sk-again"})
    assert other.headers_of((await other.get("main")).row) == ["X-B"]


async def test_breakers_and_offers_go_with_what_they_are_about(channels, operator, database):
    made = await channels.create(operator, Draft("main", "openai"), [Given(SECRET), Given("sk-x")])
    ids = [each.id for each in made.credentials]

    async def left() -> list[str]:
        async with database.session(read_only=True) as session:
            return sorted(await session.scalars(select(BreakerRow.credential_id)))

    async with database.session() as session:
        for each in ids:
            session.add(
                BreakerRow(
                    channel_id=made.row.id, credential_id=each, model="", state="open", until_ms=9, failures=1, reason="401", at_ms=1
                )
            )
        session.add(DiscoveryRow(channel_id=made.row.id, offers=[], at_ms=1, failure=None))
    await channels.change_credential(operator, "main", ids[0], {"enabled": True})
    assert await left() == sorted(ids)
    await channels.change_credential(operator, "main", ids[0], {"secret": "sk-new"})
    assert await left() == ids[1:]
    await channels.change(operator, "main", {"base_url": "https://example.com/v1"})
    assert await left() == []
    await channels.delete(operator, "main")
    async with database.session(read_only=True) as session:
        assert (await session.scalars(select(DiscoveryRow))).all() == []


async def test_pages(channels, operator):
    for name in ("b", "c", "a"):
        await channels.create(operator, Draft(name, "ollama"))
    page = await channels.page(Place(None, 2))
    assert [whole.row.name for whole in page.data] == ["a", "b"] and page.next is not None
    assert [whole.row.name for whole in (await channels.page(Place("b", 2))).data] == ["c"]
    assert [whole.row.name for whole in await channels.all()] == ["a", "b", "c"]


async def test_what_is_not_there(channels, operator):
    made = await channels.create(operator, Draft("main", "openai"))
    other = await channels.create(operator, Draft("other", "openai"), [Given("sk-x")])
    for act in (
        channels.get("none"),
        channels.delete(operator, "none"),
        channels.remove_credential(operator, made.row.id, other.credentials[0].id),
        channels.change_credential(operator, "main", "crd_none", {}),
    ):
        with pytest.raises(PenstockError) as caught:
            await act
        assert caught.value.code == "not_found"


async def test_not_more_credentials_than_there_may_be(channels, operator):
    with pytest.raises(PenstockError):
        await channels.create(operator, Draft("main", "openai"), [Given("sk-x")] * (CREDENTIALS_LIMIT + 1))
    await channels.create(operator, Draft("main", "openai"), [Given("sk-x")] * CREDENTIALS_LIMIT)
    with pytest.raises(PenstockError, match="at most"):
        await channels.add_credential(operator, "main", Given("sk-x"))

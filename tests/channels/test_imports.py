"""Imports: all or none, and again without harm."""

from __future__ import annotations

import pytest

from penstock.channels.imports import bring_in
from penstock.channels.service import about_credential, pairs_of
from penstock.channels.sets import read_set
from penstock.kit.errors import PenstockError

ONE = '[[channels]]\nname = "one"\nprovider = "openai"\nheaders = {x-a = "b"}\nproxy = "http://u:w@p.example.com"\n'
KEYS = 'credentials = [{label = "a", secret = "sk-a"}, {label = "b"}]\n'


async def bring(channels, operator, text: str, **more):
    return await bring_in(channels, operator, read_set(text.encode()), **more)


async def test_made_then_changed(channels, operator, secrets):
    assert await bring(channels, operator, ONE + KEYS) == (["one"], [], ["one: b"])
    first = await channels.get("one")
    assert [each.label for each in first.credentials] == ["a"]
    keys = 'credentials = [{label = "a", secret = "sk-new"}, {label = "c", secret = "sk-c"}]'
    text = f'[[channels]]\nname = "one"\nprovider = "openai"\nmodels = ["m"]\n{keys}'
    assert await bring(channels, operator, text) == ([], ["one"], [])
    whole = await channels.get("one")
    assert whole.row.id == first.row.id and pairs_of(whole.row) == [("m", None)]
    opened = {each.label: secrets.open(each.secret_sealed, about_credential(each.id)) for each in whole.credentials}
    assert opened == {"a": "sk-new", "c": "sk-c"}
    assert channels.headers_of(whole.row) == ["x-a"] and channels.proxy_of(whole.row) == "http://u:w@p.example.com", (
        "what exports leave out stays"
    )


async def test_a_dry_run_changes_nothing(channels, operator):
    assert (await bring(channels, operator, ONE, dry_run=True)).created == ["one"]
    assert await channels.all() == []


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ('name = "two"\nprovider = "nobody"', "'two': There is no provider"),
        ('name = "two"\nprovider = "openai"\ncredentials = [{secret = "a b"}]', "secret"),
        ('name = "two"\nprovider = "openai"\ncredentials = [{secret = "a"}, {secret = "b"}]', "labels that differ"),
        ('name = "there"\nprovider = "ollama"', "another provider"),
        ('name = "two"\nprovider = "openai"\ncredentials = [{label = "a\\u0007b", secret = "sk-x"}]', "label"),
    ],
)
async def test_one_that_cannot_be_keeps_all_out(channels, operator, second, said):
    await bring(channels, operator, '[[channels]]\nname = "there"\nprovider = "openai"')
    with pytest.raises(PenstockError, match=said):
        await bring(channels, operator, f"{ONE}[[channels]]\n{second}\n")
    assert [whole.row.name for whole in await channels.all()] == ["there"]

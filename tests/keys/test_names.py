"""Names of keys, for bills."""

from __future__ import annotations

from penstock.keys.names import names_of
from penstock.keys.service import Keys


async def test_names_of_keys_deleted_ones_too(database):
    keys = Keys(database)
    here, gone = (await keys.create("here")).key, (await keys.create("gone")).key
    await keys.delete(gone.id)
    assert await names_of(database, [here.id, gone.id, "key_of_nobody"]) == {here.id: "here", gone.id: "gone"}
    assert await names_of(database, []) == {}


async def test_more_than_fit_into_one_question(database):
    key = (await Keys(database).create("here")).key
    assert await names_of(database, [f"key_{number}" for number in range(1200)] + [key.id]) == {key.id: "here"}

"""Facts: what is shown of a key, and what is not."""

from __future__ import annotations

import json
from typing import Any

from penstock.keys.facts import facts, masked, state
from penstock.keys.service import Keys


async def test_facts(keys: Keys, clock: Any) -> None:
    made = await keys.create("me", models=["a"], limits={"rpm": 1}, expires_at_ms=clock.ms + 60_000)
    shown = facts(made.key, clock.ms)
    assert shown == {
        "id": made.key.id,
        "account_id": "acc_operator",
        "name": "me",
        "kind": "key",
        "key": f"sk-...{made.token[-4:]}",
        "state": "active",
        "models": ["a"],
        "wires": None,
        "networks": None,
        "fallbacks": None,
        "limits": {
            "total_nano": None,
            "day_nano": None,
            "week_nano": None,
            "month_nano": None,
            "window": "calendar",
            "rpm": 1,
            "tpm": None,
            "concurrency": None,
        },
        "record": False,
        "created_at": "2023-11-14T22:13:20Z",
        "expires_at": "2023-11-14T22:14:20Z",
        "disabled_at": None,
        "grace_until": None,
    }
    assert made.token[3:-4] not in json.dumps(shown)


async def test_state(keys: Keys, clock: Any) -> None:
    key = (await keys.create("me", expires_at_ms=clock.ms + 1)).key
    assert (state(key, clock.ms), state(key, clock.ms + 1)) == ("active", "expired")
    key = await keys.disable("me")
    assert (state(key, clock.ms), state(key, clock.ms + 1)) == ("disabled", "disabled")


async def test_the_grace_is_shown_while_it_lasts(keys: Keys, clock: Any) -> None:
    await keys.create("me", kind="team")
    key = (await keys.rotate("me", grace_s=60)).key
    assert facts(key, clock.ms)["grace_until"] == "2023-11-14T22:14:20Z"
    assert facts(key, clock.ms + 60_000)["grace_until"] is None
    assert masked(key).startswith("sk-cfw...")

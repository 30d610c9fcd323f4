"""Foreign: nobody reads or changes anything of another account, whichever route of the control API they try."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from member import Member, join
from penstock.accounts.identity import CLI, Identity
from penstock.records.service import Policy

CENT = 10_000_000
NUMBERS = count()
WATCHED = (
    "account", "key", "session", "membership", "purse", "entry", "free_grant", "charge", "price_override", "multiplier", "tier", "code",
    "record_policy", "record_share", "rule",
)  # fmt: skip
BODIES: tuple[Any, ...] = (
    None,
    {},
    {"name": "stolen"},
    {"name": "stolen", "then": [{"do": "delete", "path": "user"}]},
    {"ruleName": "stolen", "priority": 9, "enabled": False},
    {"amount_nano": 5, "ref": "x", "note": "x"},
    {"name": "stolen", "limits": None, "disabled": True, "role": "admin", "prepaid": False},
    {"until_at": "2099-01-01T00:00:00Z"},
    {"model": "demo"},
    {"shelf": "operator"},
    {"record": True},
)


class World:
    """A gateway with a victim who has something of everything, and a stranger who knows all its ids."""

    def __init__(self, gateway: Any) -> None:
        self.gateway = gateway
        self.victim = join(gateway, paid_nano=CENT, free_nano=CENT, record=True)
        self.stranger = join(gateway, paid_nano=CENT)
        with httpx.Client(base_url=gateway.url) as client:
            body = {"model": "demo", "max_tokens": 5, "messages": [{"role": "user", "content": "my secret"}]}
            client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {self.victim.token}"}).raise_for_status()
        rule = {"name": "my secret", "then": [{"do": "append_system", "text": "my secret"}]}
        gateway.run(gateway.app.state.rules.create(CLI, rule, self.victim.account_id))
        self.managing = gateway.run(gateway.parts.keys.create("managing", account_id=self.stranger.account_id, kind="management")).token
        self.ids = {
            "account_id": [self.victim.account_id],
            "key_id": [row["id"] for row in self._rows("key", self.victim)],
            "charge_id": [row["id"] for row in self._rows("charge", self.victim)],
            "entry_id": [row["id"] for row in self._rows("entry", self.victim)],
            "rule_id": [row["id"] for row in self._rows("rule", self.victim)],
        }
        record_id = self.ids["charge_id"][0]
        gateway.run(gateway.parts.records.flush())
        owner = Identity(self.victim.account_id, "member", "session", "")
        gateway.run(gateway.parts.records.set_policy(owner.account_id, Policy(record=True, redact_paths=("user",))))
        share = gateway.app.state.sharing.share(owner, owner.account_id, record_id, lasts_s=600, headers=True, bodies=True)
        self.ids |= {"record_id": [record_id], "share_id": [gateway.run(share).row.id]}
        self.known = [one for ids in self.ids.values() for one in ids]

    def _rows(self, table: str, member: Member | None) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            async with self.gateway.parts.database.session(read_only=True) as session:
                rows = [dict(row._mapping) for row in await session.execute(text(f'select * from "{table}"'))]
                return [row for row in rows if member is None or row.get("account_id", row.get("id")) == member.account_id]

        return self.gateway.run(read())

    def state(self) -> dict[str, list[str]]:
        """Everything that the stranger must not change: all that is the victim's, and all that is nobody's."""
        self.gateway.run(self.gateway.parts.records.flush())
        kept = {}
        for table in WATCHED:
            rows = [row for row in self._rows(table, None) if row.get("account_id", row.get("id")) != self.stranger.account_id]
            # What gateways do by themselves: they are seen, they give leases back.
            settled = [
                {name: row[name] for name in row if name not in ("balance", "seen_at_ms")} for row in rows if row.get("kind") != "charge"
            ]
            kept[table] = sorted(json.dumps(row, default=str, sort_keys=True) for row in settled)
        pages = [row for row in self._rows("record_page", None) if row["shelf"] != self.stranger.account_id]
        counted: Counter[str] = Counter()
        for page in pages:  # which page a record is on changes by itself
            counted[page["shelf"]] += page["count"]
        kept["records"] = [f"{shelf}: {count}" for shelf, count in sorted(counted.items())]
        return kept


@pytest.fixture(scope="module")
def world(make_gateway) -> Iterator[World]:
    return World(make_gateway(demo=True, lease_s=60))


def routes(world: World) -> list[tuple[str, str]]:
    """Every method and path of the control API, with the victim's ids for its parameters."""
    found = []
    for template, methods in world.gateway.app.openapi()["paths"].items():
        if not template.startswith("/api"):
            continue
        paths = [template]
        for name in re.findall(r"{(\w+)}", template):
            values = world.ids.get(name) or world.known
            paths = [path.replace(f"{{{name}}}", value) for path in paths for value in values]
        found += [(method.upper(), path) for method in methods for path in paths]
    return found


def test_the_walk_finds_the_routes(world):
    paths = {path for _, path in routes(world)}
    known = {"keys", "accounts", "me", "balance", "charges", "events", "records"}
    assert {f"/api/{name}" for name in known} <= paths and len(paths) > 40


def test_without_an_identity_nothing_of_anybody_is_shown(world):
    before = world.state()
    with httpx.Client(base_url=world.gateway.url) as client:
        for method, path in routes(world):
            for body in (None, {}):
                answer = client.request(method, path, json=body, params={"account_id": world.victim.account_id})
                assert answer.status_code < 500, (method, path, answer.text)
                assert not [known for known in world.known if known in answer.text and known not in path], (method, path, answer.text)
    assert world.state() == before


def test_a_stranger_reads_and_changes_nothing(world):
    before = world.state()
    with httpx.Client(base_url=world.gateway.url, headers={"authorization": f"Bearer {world.managing}"}) as client:
        for method, path in routes(world):
            for account in (world.victim.account_id, None):
                for body in BODIES if method in ("POST", "PUT", "PATCH") else (None,):
                    sent = {**body, "account_id": account, "key": world.victim.token} if body and account else body
                    params = {"account_id": account} if account else {}
                    answer = client.request(method, path, json=sent, params=params, headers={"idempotency-key": str(next(NUMBERS))})
                    if answer.status_code == 401:
                        pytest.fail(f"the stranger's own key was refused or lost at {method} {path}: {answer.text}")
                    assert answer.status_code < 500, (method, path, body, answer.text)
                    told = answer.text.replace(path, "")
                    leaked = [known for known in world.known if known in told and answer.is_success]
                    assert not leaked, (method, path, body, answer.text)
            if method == "DELETE" and path == "/api/me":
                pytest.fail("a key deleted its account")
    after = world.state()
    assert [row for table in after for row in after[table] if row not in before[table]] == []
    assert after == before


def test_the_victim_still_has_everything(world):
    with httpx.Client(base_url=world.gateway.url) as client:
        body = {"model": "demo", "max_tokens": 5, "messages": [{"role": "user", "content": "again"}]}
        answer = client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {world.victim.token}"})
    assert answer.status_code == 200

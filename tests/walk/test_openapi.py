"""The control API against its own document: whatever is sent, it answers as the document says, and never breaks.

Every operation is asked, none is left out: as an administrator in a browser and as a member's program, with valid and with invalid data.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import msgspec
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings

from live_gateway import LiveGateway
from made_records import made
from member import Member, join
from penstock.accounts.api.gate import COOKIE, CSRF_HEADER
from penstock.accounts.identity import CLI, Identity
from penstock.accounts.service import Draft
from penstock.accounts.sessions import Browser
from penstock.kit.clock import now_ms
from penstock.records.record import Record

with warnings.catch_warnings(action="ignore"):  # what it imports is not ours to mend
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.config import CacheConfig, GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        negative_data_rejection,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

TAGS = (
    "accounts", "events", "joining", "me", "password resets", "sessions", "setup", "tiers",
    "keys", "rules", "channels", "prices", "money", "codes", "membership", "bill", "platform", "records",
)  # fmt: skip
EXAMPLES = 6
"""Of each operation, each kind of data and each caller."""
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance,
    negative_data_rejection,
]  # fmt: skip
WALK = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
)


class World:
    """A gateway, its document, an administrator, and a member who has something of everything."""

    def __init__(self, gateway: LiveGateway) -> None:
        self.gateway = gateway
        self.accounts = gateway.parts.control.accounts
        self.document = httpx.get(f"{gateway.url}/openapi.json").raise_for_status().json()
        self.admin_id = gateway.run(
            self.accounts.accounts.create(CLI, Draft("root", "root@example.com", "nobody guesses this", role="admin"))
        ).id
        self.member: Member = join(gateway, paid_nano=10**9, free_nano=10**6)
        self.managing = self._key("managing", kind="management")
        body = {"model": "demo", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {self.member.token}"})
        self.charge_id = answer.raise_for_status().headers["x-request-id"]
        self._numbers = count()
        self.connections = requests.Session()
        config = SchemathesisConfig(
            cache=CacheConfig(enabled=False),
            projects=ProjectsConfig(default=ProjectConfig(generation=GenerationConfig(with_security_parameters=False))),
        )
        self.schema = schemathesis.openapi.from_dict(self.document, config=config)

    def operations(self, tag: str) -> Iterator[Any]:
        """Those of the control API that have this tag."""
        for found in self.schema.get_all_operations():
            operation = found.ok()
            if operation.path.startswith("/api") and tag in operation.definition.raw["tags"]:
                yield operation

    def _key(self, name: str, **terms: Any) -> Any:
        return self.gateway.run(self.gateway.parts.keys.create(name, account_id=self.member.account_id, **terms))

    def _rule(self, name: str) -> str:
        rules = self.gateway.app.state.rules
        given = {"name": name, "then": [{"do": "set", "path": "user", "value": "x"}]}
        return self.gateway.run(rules.create(CLI, given, self.member.account_id)).id

    def ids(self, operation: Any) -> dict[str, Any]:
        """Parameters of the path that name something: fresh things, so that what one operation deletes no other misses."""
        number = next(self._numbers)
        known = {
            "account_id": lambda: self.gateway.run(self.accounts.accounts.create(CLI, Draft(f"account {number}"))).id,
            "key_id": lambda: self._key(f"key {number}").key.id,
            "charge_id": lambda: self.charge_id,
            "record_id": self._record,
            "share_id": self._share,
            "rule_id": lambda: self._rule(f"rule {number}"),
            "name": lambda: "free",
            "tier": lambda: "free",
            "model": lambda: "demo",
        }
        return {name: known[name]() for parameter in operation.path_parameters if (name := parameter.name) in known}

    def _record(self) -> str:
        """A fresh record on the member's shelf, and on the administrator's: the shelf of who asks is meant."""
        record = made(account_id=self.member.account_id, created_at_ms=now_ms())
        self.gateway.run(self._put(record, msgspec.structs.replace(record, account_id=self.admin_id)))
        return record.id

    def _share(self) -> str:
        who = Identity(self.member.account_id, "member", "session", "")
        share = self.gateway.app.state.sharing.share(who, who.account_id, self._record(), lasts_s=60, headers=True, bodies=True)
        return self.gateway.run(share).row.id

    async def _put(self, *records: Record) -> None:
        for record in records:
            self.gateway.parts.recorder.put(record)
        await self.gateway.parts.records.flush()

    def session(self) -> dict[str, Any]:
        """Cookie and header of an administrator who has signed in afresh: signing out is an operation too."""

        async def open_() -> Any:
            async with self.gateway.parts.database.session() as session:
                return await self.accounts.sessions.open(session, self.admin_id, Browser("", "127.0.0.1"))

        opened = self.gateway.run(open_())
        return {"cookies": {COOKIE: opened.token}, "headers": {CSRF_HEADER: opened.csrf_token}}

    def program(self) -> dict[str, Any]:
        """The header of the member's program."""
        return {"headers": {"authorization": f"Bearer {self.managing.token}"}}


@pytest.fixture(scope="module")
def world(make_gateway) -> Iterator[World]:
    made = World(make_gateway(demo=True))
    yield made
    made.connections.close()


def test_every_operation_has_one_of_the_tags(world):
    said = [operation for path, methods in world.document["paths"].items() if path.startswith("/api") for operation in methods.values()]
    assert {tag for operation in said for tag in operation["tags"]} == set(TAGS)
    assert len(said) == sum(len(list(world.operations(tag))) for tag in TAGS)


@pytest.mark.parametrize("tag", TAGS)
def test_it_answers_as_the_document_says(world, tag):
    for operation in world.operations(tag):
        answers = walk(world, operation, world.ids(operation))
        if operation.method.upper() == "GET" and len(world.ids(operation)) == len(list(operation.path_parameters)):
            assert answers[200], f"{operation.label} was never let through"
        if is_asked_anything(operation):
            assert walk(world, operation, None), operation.label


def is_asked_anything(operation: Any) -> bool:
    """It has a parameter or a body: else there is nothing to get wrong."""
    return bool(operation.body) or any(list(part) for part in (operation.path_parameters, operation.query, operation.headers))


def walk(world: World, operation: Any, ids: dict[str, str] | None) -> Counter[int]:
    """Ask an operation, as either caller, with valid data about these things, or with invalid data; how often it gave which answer."""
    mode = schemathesis.GenerationMode.NEGATIVE if ids is None else schemathesis.GenerationMode.POSITIVE
    ways = (world.session(), world.program())
    answers: Counter[int] = Counter()

    @WALK
    @given(case=operation.as_strategy(mode, path_parameters=ids))
    def ask(case: Any) -> None:
        for way in ways:
            world.connections.cookies.clear()
            response = case.call(world.gateway.url, world.connections, **way)
            case.validate_response(response, checks=CHECKS)
            answers[response.status_code] += 1

    ask()
    return answers

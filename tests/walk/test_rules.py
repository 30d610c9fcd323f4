"""Rules over real sockets: what providers are sent, what clients are told, what is charged, and whose rules have the last word."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from fake_answers import answer, chat_answer, chat_events, stream
from fake_provider import FakeProvider
from live_gateway import LiveGateway
from penstock.accounts.identity import CLI
from penstock.accounts.models import OPERATOR, Account
from penstock.channels.drafts import Draft
from penstock.channels.service import Given
from penstock.kit.ids import new_id
from penstock.rules.service import Rules
from penstock.rules.statistics import Use, Uses

NUMBERS = count()
SAID = answer(chat_answer())
MESSAGE = answer(
    {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 3},
    }
)  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ruled(request: pytest.FixtureRequest, make_gateway: Callable[..., LiveGateway], module_vendor: FakeProvider) -> LiveGateway:
    """A gateway on either engine, with channels in the east and the west; only the west speaks Anthropic's."""
    more = {} if request.param == "sqlite" else {"database_url": request.getfixturevalue("postgres").create(migrated=True)}
    gateway: LiveGateway = make_gateway(own_keys=True, show_channel=True, retries=2, **more)
    for name, provider, path, wires in (
        ("east", "openai-compatible", "/v1", ("chat", "transcriptions", "images")),
        ("west", "anthropic-compatible", "", ("messages",)),
    ):
        models = ((f"{name}-small", "served-small"), (f"{name}-large", "served-large"), ("both", "served-both"))
        draft = Draft(name, provider, module_vendor.url + path, models, wires=wires, allow_private=True, discover=False, tags=(name, "all"))
        gateway.run(gateway.app.state.channels.create(CLI, draft, [Given("sk-vendor-placeholder")]))
    assert gateway._until(lambda: len(gateway.plane.channels) == 2)
    return gateway


class Ruled:
    """An account of one test with a key, its rules, and the operator's."""

    def __init__(self, gateway: LiveGateway) -> None:
        self.gateway = gateway
        self.account_id = new_id("acc")
        self.rules, self.uses = Rules(gateway.parts.database), Uses(gateway.parts.database)
        gateway.run(self._join())
        made = gateway.run(gateway.parts.keys.create("main", account_id=self.account_id))
        self.token, self.key_id = made.token, made.key.id
        self.made: list[tuple[str, str]] = []

    async def _join(self) -> None:
        async with self.gateway.parts.database.session() as session:
            session.add(
                Account(
                    id=self.account_id, name=self.account_id, email=None, role="member", password=None, prepaid=False, limits={},
                    created_at_ms=1, confirmed_at_ms=1, disabled_at_ms=None, deleted_at_ms=None,
                )
            )  # fmt: skip

    def used(self, rule_id: str) -> Use:
        """The statistics of a rule."""
        self.gateway.run(self.gateway.plane.rules.counts.flush())
        return self.gateway.run(self.uses.of([rule_id])).get(rule_id, Use())

    def rule(self, *then: dict[str, Any], when: dict[str, Any] | None = None, everybody: bool = False, **more: Any) -> str:
        """Make a rule; it is in force when this returns."""
        plane = self.gateway.plane
        given = {"name": f"rule {next(NUMBERS)}", "when": when, "then": list(then), **more} | ({"scope": "all"} if everybody else {})
        account = OPERATOR if everybody else self.account_id
        self.gateway.run(plane.rules.load(self.account_id))
        row = self.gateway.run(self.rules.create(CLI, given, account))
        self.made.append((row.id, account))
        if more.get("enabled", True):
            found = lambda: (plane.rules.operators if everybody else plane.rules.find(self.account_id)).rules  # noqa: E731
            assert self.gateway._until(lambda: any(rule.id == row.id for rule in found()), 5)
        return str(row.id)

    def ask(self, model: str = "east-small", path: str = "/v1/chat/completions", headers: dict[str, str] | None = None, **body: Any):
        said = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50} | body
        lines = {"authorization": f"Bearer {self.token}"} | (headers or {})
        return httpx.post(self.gateway.url + path, json=said, headers=lines, timeout=20)


@pytest.fixture
def member(ruled: LiveGateway, vendor: FakeProvider) -> Iterator[Ruled]:
    vendor.always(SAID)
    member = Ruled(ruled)
    yield member
    ruled.check_quiet()
    for rule_id, account in member.made:
        ruled.run(member.rules.delete(CLI, [rule_id], account))
    assert ruled._until(lambda: ruled.plane.rules.operators.is_empty, 5)


def sent(vendor: FakeProvider) -> dict[str, Any]:
    """The body of the only request."""
    (one,) = vendor.requests
    found: dict[str, Any] = json.loads(one.body)
    return found


def test_without_a_match_every_byte_passes(member, vendor):
    member.rule({"do": "set", "path": "temperature", "value": 1}, when={"on": "model", "value": "other-*"})
    body = b'{ "model" : "served-small","messages":[ ], "x":1.50}'
    vendor.always(SAID)
    member.rule({"do": "set", "path": "temperature", "value": 1}, when={"on": "header", "name": "x-team", "value": "blue"})
    lines = {"authorization": f"Bearer {member.token}", "content-type": "application/json"}
    answered = httpx.post(f"{member.gateway.url}/v1/chat/completions", content=body.replace(b"served", b"east"), headers=lines)
    assert answered.status_code == 200 and "x-penstock-rules" not in answered.headers
    assert vendor.requests[0].body == body


def test_a_model_is_renamed_priced_and_shown(member, vendor):
    rule_id = member.rule({"do": "rewrite_model", "model": "east-large"}, when={"on": "model", "value": "gpt-*"})
    answered = member.ask("gpt-whatever")
    assert answered.status_code == 200, answered.text
    assert answered.headers["x-penstock-rules"] == rule_id
    assert sent(vendor)["model"] == "served-large"
    (charge,) = [row for row in member.gateway.charges() if row["account_id"] == member.account_id]
    assert charge["model"] == "east-large"


def test_a_model_is_renamed_over_a_bridge(member, vendor):
    vendor.always(MESSAGE)
    member.rule({"do": "rewrite_model", "model": "west-small"}, {"do": "prepend_system", "text": "Be brief."})
    answered = member.ask("gpt-whatever")
    assert answered.status_code == 200, answered.text
    assert answered.json()["choices"][0]["message"]["content"] == "Hi"
    assert (sent(vendor)["model"], "Be brief." in json.dumps(sent(vendor)["system"])) == ("served-small", True)


def test_fields_and_headers_are_changed_and_nothing_else(member, vendor):
    member.rule(
        {"do": "set", "path": "temperature", "value": 0.5}, {"do": "clamp", "path": "max_tokens", "max": 20},
        {"do": "delete", "path": "user"}, {"do": "set_header", "name": "x-team", "value": "blue"}, {"do": "delete_header", "name": "x-old"},
    )  # fmt: skip
    answered = member.ask(user="me", max_tokens=500, seed=7, headers={"x-old": "1", "x-kept": "2"})
    assert answered.status_code == 200
    wanted = {"model": "served-small", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20, "seed": 7, "temperature": 0.5}
    assert sent(vendor) == wanted
    headers = {name: value for name, value in vendor.requests[0].headers if name.startswith(b"x-")}
    assert headers[b"x-team"] == b"blue" and headers[b"x-kept"] == b"2" and b"x-old" not in headers
    again = member.ask(headers={"x-kept": "3"})
    assert again.status_code == 200 and dict(vendor.requests[1].headers)[b"x-team"] == b"blue"


def test_a_stream_is_ruled_too(member, vendor):
    vendor.always(stream(*chat_events()))
    member.rule({"do": "clamp", "path": "max_tokens", "max": 20}, when={"on": "stream", "value": True})
    answered = member.ask(stream=True, max_tokens=500)
    assert answered.text.rstrip().endswith("data: [DONE]")
    assert sent(vendor)["max_tokens"] == 20 and sent(vendor)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("status", [403, 451])
def test_a_refusal_is_in_the_callers_dialect_and_costs_nothing(member, vendor, status):
    member.rule({"do": "refuse", "message": "Not on Sundays.", "status": status}, when={"on": "wire", "value": "chat"})
    answered = member.ask()
    assert (answered.status_code, answered.json()["error"]["code"]) == (status, "refused_by_rule")
    assert answered.json()["error"]["message"] == "Not on Sundays."
    assert vendor.requests == [] and all(row["account_id"] != member.account_id for row in member.gateway.charges())


def test_the_operator_has_the_last_word_and_nobody_gets_around_it_by_renaming(member, vendor):
    member.rule({"do": "set", "path": "temperature", "value": 2}, {"do": "rewrite_model", "model": "east-large"}, priority=900)
    member.rule({"do": "set", "path": "temperature", "value": 0}, everybody=True, priority=-900)
    assert member.ask().status_code == 200
    assert (sent(vendor)["temperature"], sent(vendor)["model"]) == (0, "served-large")
    member.rule({"do": "refuse", "message": "Too large."}, when={"on": "model", "value": "*-large"}, everybody=True)
    assert member.ask().json()["error"]["message"] == "Too large."


def test_a_circle_of_names_is_none(member, vendor):
    member.rule({"do": "rewrite_model", "model": "east-large"}, when={"on": "model", "value": "east-small"})
    member.rule({"do": "rewrite_model", "model": "east-small"}, when={"on": "model", "value": "east-large"})
    assert [member.ask(model).status_code for model in ("east-small", "east-large")] == [200, 200]
    assert [json.loads(one.body)["model"] for one in vendor.requests] == ["served-large", "served-small"]


def test_shadow_mode_changes_nothing(member, vendor):
    member.rule({"do": "refuse", "message": "No."}, shadow=True)
    answered = member.ask()
    assert answered.status_code == 200 and "x-penstock-rules" not in answered.headers


def test_a_tag_chooses_the_channel(member, vendor):
    member.rule({"do": "route", "tags": ["west", "nowhere"]}, when={"on": "header", "name": "x-side", "value": "west"})
    member.rule({"do": "route", "tags": ["nowhere"]}, when={"on": "header", "name": "x-side", "value": "nowhere"})
    vendor.always(MESSAGE)
    west = member.ask("both", headers={"x-side": "west"})
    assert (west.status_code, west.headers["x-penstock-channel"]) == (200, "west")
    vendor.always(SAID)
    assert member.ask("both").headers["x-penstock-channel"] == "east"
    nowhere = member.ask("both", headers={"x-side": "nowhere"})
    assert nowhere.status_code == 404 and "'nowhere'" in nowhere.json()["error"]["message"]


def test_rules_for_a_channel_are_applied_to_each_attempt_anew(member, vendor):
    member.rule(
        {"do": "set", "path": "temperature", "value": 0.25}, {"do": "set_header", "name": "x-side", "value": "east"},
        when={"on": "channel", "value": "east"},
    )  # fmt: skip
    member.rule({"do": "set", "path": "top_p", "value": 0.5}, when={"on": "channel", "name": "tag", "value": "west"})
    member.rule({"do": "route", "tags": ["all"]})
    vendor.script(answer({"error": {"message": "no"}}, 500))
    vendor.always(MESSAGE)
    answered = member.ask("both")
    assert (answered.status_code, answered.headers["x-penstock-channel"]) == (200, "west"), answered.text
    assert len(vendor.requests) == 2
    bodies = [json.loads(one.body) for one in vendor.requests]
    assert bodies[0]["temperature"] == 0.25 and "top_p" not in bodies[0]
    assert bodies[-1]["top_p"] == 0.5 and "temperature" not in bodies[-1]
    sides = [dict(one.headers).get(b"x-side") for one in vendor.requests]
    assert sides[0] == b"east" and sides[-1] is None


def test_what_a_rule_has_made_unreadable_is_refused_and_names_the_rule(member, vendor):
    rule_id = member.rule({"do": "set", "path": "max_tokens", "value": ["many"]})
    answered = member.ask()
    assert answered.status_code == 400 and rule_id in answered.json()["error"]["message"]
    assert vendor.requests == []


def test_what_the_provider_refuses_of_it_is_shown_with_the_rule(member, vendor):
    rule_id = member.rule({"do": "set", "path": "tools", "value": 7})
    vendor.always(answer({"error": {"message": "tools must be an array", "type": "invalid_request_error"}}, 400))
    answered = member.ask()
    assert (answered.status_code, answered.json()["error"]["message"]) == (400, "tools must be an array")
    assert answered.headers["x-penstock-rules"] == rule_id


def test_a_key_may_use_what_the_rules_have_made_of_it(member, vendor):
    token = member.gateway.run(member.gateway.parts.keys.create("narrow", account_id=member.account_id, models=["east-small"])).token
    member.rule({"do": "rewrite_model", "model": "east-large"}, when={"on": "key", "value": "narrow"})
    lines = {"authorization": f"Bearer {token}"}
    answered = member.ask(headers=lines)
    assert (answered.status_code, answered.json()["error"]["code"]) == (403, "model_not_allowed")


@pytest.mark.parametrize("held", [True, False])
def test_a_form_names_another_model(member, vendor, held):
    vendor.always(answer({"text": "x", "usage": {"type": "duration", "seconds": 3}}))
    member.rule({"do": "rewrite_model", "model": "east-large"}, when={"on": "model", "value": "whisper"})
    size = 100 if held else 2_000_000
    lines = {"authorization": f"Bearer {member.token}"}
    form: dict[str, Any] = {"data": {"model": "whisper", "prompt": "x"}, "files": {"file": ("a.wav", b"\0" * size)}}
    answered = httpx.post(f"{member.gateway.url}/v1/audio/transcriptions", headers=lines, timeout=20, **form)
    assert answered.status_code == 200, answered.text
    body = vendor.requests[0].body
    assert b"served-large" in body and b"whisper" not in body and body.count(b"\0") == size


def test_a_form_is_ruled_by_the_model_that_comes_last(member, vendor):
    """A second `model` behind a large file gets nobody around a rule."""
    member.rule({"do": "refuse", "message": "Not that one."}, when={"on": "model", "value": "east-large"})
    parts = [b'content-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + b"\0" * 300_000]
    for model in (b"east-small", b"east-large"):
        parts.insert(0 if model == b"east-small" else 2, b'content-disposition: form-data; name="model"\r\n\r\n' + model)
    body = b"".join(b"--XyZ\r\n" + part + b"\r\n" for part in parts) + b"--XyZ--\r\n"
    lines = {"authorization": f"Bearer {member.token}", "content-type": "multipart/form-data; boundary=XyZ"}
    answered = httpx.post(f"{member.gateway.url}/v1/audio/transcriptions", content=body, headers=lines, timeout=20)
    assert answered.status_code in (400, 403) and vendor.requests == []


def test_an_estimate_is_of_what_the_rules_make_of_it_and_counts_as_no_hit(member, vendor):
    rule_id = member.rule({"do": "rewrite_model", "model": "east-large"})
    lines = {"authorization": f"Bearer {member.token}"}
    body = {"model": "gpt-x", "messages": [{"role": "user", "content": "Hello"}]}
    found = httpx.post(f"{member.gateway.url}/v1/estimate", json=body, headers=lines).json()
    assert (found["model"], found["served_model"], found["allowed"]) == ("east-large", "served-large", True)
    assert member.used(rule_id).hits == 0


def test_an_estimate_counts_what_rules_for_a_channel_add(member, vendor):
    member.rule({"do": "set", "path": "max_tokens", "value": 7000}, when={"on": "channel", "value": "east"})
    lines = {"authorization": f"Bearer {member.token}"}
    body = {"model": "east-small", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    assert httpx.post(f"{member.gateway.url}/v1/estimate", json=body, headers=lines).json()["output_cap"] == 7000


def test_hits_are_counted(member, vendor):
    rule_id = member.rule({"do": "set", "path": "messages.99.content", "value": 1})
    shadow = member.rule({"do": "refuse", "message": "No."}, shadow=True)
    assert [member.ask().status_code for _ in range(3)] == [200] * 3
    first, second = member.used(rule_id), member.used(shadow)
    assert (first.hits, first.errors, second.hits, second.shadow_hits) == (3, 3, 0, 3)


def test_a_rule_names_the_models_to_fall_back_to_and_the_operator_may_refuse_them(member, vendor):
    member.rule({"do": "fallback", "models": ["west-large", "west-small"]}, when={"on": "model", "value": "east-*"})
    member.rule({"do": "refuse", "message": "Too large."}, when={"on": "model", "value": "*-large"}, everybody=True)
    vendor.script(answer({"error": {"message": "no"}}, 500))
    vendor.always(MESSAGE)
    answered = member.ask("east-small")
    assert (answered.status_code, answered.headers["x-penstock-channel"]) == (200, "west"), answered.text
    assert [json.loads(one.body)["model"] for one in vendor.requests] == ["served-small", "served-small"]

"""Trials: what each rule would do and why not, stage by stage, and what members learn of the operator's rules."""

from __future__ import annotations

import json

import pytest

from penstock.keys.service import Keys
from penstock.kit.errors import PenstockError
from penstock.rules.changes import EVERYBODY
from penstock.rules.loading import Loader
from penstock.rules.trial import HIDDEN, OPERATORS, Asked, Trials

SECRET = "condition that nobody sees"
BODY = {"model": "gpt-4o", "temperature": 2, "messages": []}


@pytest.fixture
def keys(elsewhere, clock) -> Keys:
    return Keys(elsewhere, clock)


@pytest.fixture
async def try_(rules, keys, clock, database):
    """Tries rules as someone, with the operator's as the process knows them."""

    async def run(who, **asked):
        async with database.session(read_only=True) as session:
            operators = (await Loader().load(session, (EVERYBODY,)))[EVERYBODY]
        return await Trials(rules, keys, lambda: operators, clock).run(who, who.account_id, Asked(**asked))

    return run


def rule(found, name):
    (one,) = [each for each in found["rules"] if each["name"] == name]
    return one


async def refusal(awaitable) -> tuple[str, str | None]:
    with pytest.raises(PenstockError) as refused:
        await awaitable
    return refused.value.code, refused.value.param


async def test_what_matches_what_does_not_and_why(rules, member, given, try_):
    hot = {"all": [{"on": "model", "value": "gpt-4*"}, {"on": "body", "name": "temperature", "op": "above", "value": 1}]}
    await rules.create(member, given("hot", when=hot), member.account_id)
    await rules.create(member, given("claude", when={"on": "model", "value": "claude-*"}), member.account_id)
    await rules.create(member, given("shadow", shadow=True), member.account_id)
    await rules.create(member, given("off", enabled=False), member.account_id)
    found = await try_(member, body=BODY)
    assert (rule(found, "hot")["matched"], rule(found, "hot")["applied"], rule(found, "hot")["why"]) == (True, True, None)
    claude = rule(found, "claude")
    assert (claude["matched"], claude["why"]) == (False, "when is not met")
    assert (claude["blamed"][0]["condition"]["value"], claude["blamed"][0]["seen"]) == ("claude-*", "gpt-4o")
    assert (rule(found, "shadow")["applied"], rule(found, "shadow")["why"]) == (False, "It is in shadow mode.")
    assert rule(found, "off")["why"] == "It is switched off."
    assert (found["before"], found["after"]) == (BODY, {**BODY, "temperature": 1})
    assert found["stages"] == [
        {"stage": "own", "matched": 1, "body": [{"kind": "changed", "path": "temperature", "old": 2, "new": 1}], "beside": []}
    ]
    assert found["refusal"] is None and found["tags"] is None and found["record"] is None and found["model"] == "gpt-4o"


async def test_rules_that_are_not_saved(rules, member, given, try_):
    row = await rules.create(member, given("saved"), member.account_id)
    draft = {**given("draft"), "then": [{"do": "rewrite_model", "model": "o1"}, {"do": "set_header", "name": "x-a", "value": "b"}]}
    found = await try_(member, body=BODY, rules=[draft])
    assert [each["id"] for each in found["rules"]] == ["new-1", row.id]
    assert (found["model"], found["after"]) == ("o1", {**BODY, "model": "o1", "temperature": 1})
    beside = found["stages"][0]["beside"]
    assert [(each["path"], each["new"]) for each in beside] == [("model", "o1"), ("headers.x-a", "b")]
    found = await try_(member, body=BODY, rules=[{"id": row.id, **given("other", then=[{"do": "delete", "path": "temperature"}])}])
    assert [each["name"] for each in found["rules"]] == ["other"] and "temperature" not in found["after"]
    found = await try_(member, body=BODY, rules=[draft], saved=False)
    assert [each["name"] for each in found["rules"]] == ["draft"]
    assert await refusal(try_(member, rules=[given("a"), {"name": "b", "then": 5}])) == ("invalid_request", "rules.1.then")
    assert await refusal(try_(member, rules=[given(scope="all")])) == ("forbidden", "rules.0.scope")
    assert await refusal(try_(member, rules=[{**given("a"), "id": 5}])) == ("invalid_request", "rules.0.id")
    assert await refusal(try_(member, rules=[{**given("a"), "id": "x"}] * 2)) == ("invalid_request", "rules")
    assert (await rules.get(row.id)).name == "saved"


async def test_members_see_what_the_operators_rules_do_but_not_what_they_are(rules, operator, member, given, try_):
    when = {"on": "body", "name": "temperature", "op": "at_least", "value": 0.123}
    actions = [{"do": "set", "path": "user", "value": "x"}, {"do": "set_header", "name": "x-org", "value": "hidden value"}]
    theirs = await rules.create(operator, given(SECRET, description=SECRET, scope="all", when=when, then=actions))
    found = await try_(member, body=BODY)
    assert found["rules"] == [] and found["after"]["user"] == "x"
    (stage,) = found["stages"]
    assert (stage["stage"], stage["matched"]) == ("operator", 1)
    assert stage["beside"] == [{"kind": "added", "path": "headers.x-org", "old": None, "new": HIDDEN}]
    told = json.dumps(found)
    assert not [hidden for hidden in (SECRET, theirs.id, "hidden value", "0.123") if hidden in told]
    found = await try_(operator, body=BODY)
    assert rule(found, SECRET)["id"] == theirs.id and found["stages"][0]["beside"][0]["new"] == "hidden value"


async def test_a_refusal_ends_it(rules, operator, member, given, try_):
    await rules.create(operator, given("no", scope="all", then=[{"do": "refuse", "message": "Not this one.", "status": 404}]))
    found = await try_(member, body=BODY)
    assert found["refusal"] == {"by": OPERATORS, "status": 404, "message": "Not this one."} and found["after"] == BODY
    mine = await rules.create(member, given("mine", then=[{"do": "refuse", "message": "Mine first."}]), member.account_id)
    found = await try_(member, body=BODY)
    assert found["refusal"] == {"by": mine.id, "status": 403, "message": "Mine first."}
    assert [stage["stage"] for stage in found["stages"]] == ["own"]


async def test_the_operators_rules_see_what_the_accounts_have_made(rules, operator, member, given, try_):
    await rules.create(member, given("rename", then=[{"do": "rewrite_model", "model": "o1"}]), member.account_id)
    await rules.create(operator, given("o1", scope="all", when={"on": "model", "value": "o1"}, then=[{"do": "record", "value": True}]))
    found = await try_(member, body=BODY)
    assert (found["model"], found["record"], len(found["stages"])) == ("o1", True, 2)


async def test_rules_that_wait_for_a_channel(rules, operator, member, given, try_):
    late = await rules.create(
        member, given("late", when={"all": [{"on": "channel", "value": "eu-*"}, {"on": "stream", "value": False}]}), member.account_id
    )
    everybody = given("tagged", scope="all", when={"on": "channel", "name": "tag", "op": "is", "value": "slow"})
    theirs = await rules.create(operator, {**everybody, "then": [{"do": "set_header", "name": "x-a", "value": "b"}]})
    found = await try_(member, body=BODY)
    assert found["waiting"] == [late.id] and found["after"] == BODY
    assert not rule(found, "late")["matched"]
    assert (await try_(operator, body=BODY))["waiting"] == [theirs.id]
    found = await try_(member, body=BODY, channel="eu-1", channel_tags=["slow"])
    assert found["waiting"] == [] and found["after"]["temperature"] == 1 and rule(found, "late")["applied"]
    assert [(stage["stage"], stage["matched"]) for stage in found["stages"]] == [("channel", 2)]
    assert found["stages"][0]["beside"][0]["new"] == HIDDEN
    found = await try_(member, body=BODY, channel="us-1")
    assert found["after"] == BODY and rule(found, "late")["why"] == "when.all.0 is not met"


async def test_what_is_seen_of_a_request(rules, keys, member, new_member, given, try_, clock):
    key = (await keys.create("mine", account_id=member.account_id)).key
    tests = {
        "wire": {"on": "wire", "value": "messages"},
        "key": {"on": "key", "value": key.id},
        "key name": {"on": "key", "value": "mine"},
        "header": {"on": "header", "name": "x-team", "value": "blue"},
        "tokens": {"on": "input_tokens", "op": "above", "value": 99},
    }
    for name, when in tests.items():
        await rules.create(member, given(name, when=when), member.account_id)
    asked = {
        "wire": "messages",
        "key": "mine",
        "headers": {"X-Team": "blue", "Cookie": "never looked at"},
        "input_tokens": 100,
        "body": BODY,
    }
    assert all(each["matched"] for each in (await try_(member, **asked))["rules"])
    assert not any(each["matched"] for each in (await try_(member, body=BODY))["rules"])
    other = await new_member()
    assert await refusal(try_(other, key=key.id)) == ("not_found", None)


async def test_time_and_stream(rules, member, given, try_):
    await rules.create(member, given("new year", when={"on": "time", "value": {"after": "2027-01-01T00:00:00Z"}}), member.account_id)
    await rules.create(member, given("stream", when={"on": "stream", "value": True}), member.account_id)
    found = await try_(member, body={**BODY, "stream": True}, at="2027-06-01T00:00:00Z")
    assert [each["matched"] for each in found["rules"]] == [True, True]
    found = await try_(member, body=BODY, at="2026-06-01T00:00:00Z")
    assert [each["matched"] for each in found["rules"]] == [False, False]


async def test_a_request_without_a_body(rules, member, given, try_):
    await rules.create(member, given("a"), member.account_id)
    found = await try_(member, model="m", wire="transcriptions")
    assert (found["before"], found["after"], found["model"]) == (None, None, "m")
    assert rule(found, "a")["skipped"] == ["the body is no JSON object"]


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({"wire": "smoke"}, "wire"),
        ({"wire": "workers_chat"}, "wire"),
        ({"at": "soon"}, "at"),
        ({"headers": {"bad name": "x"}}, "headers"),
        ({"headers": {"x-a": "b\r\nx-b: c"}}, "headers.x-a"),
        ({"body": {"a": "\ud800"}}, "body"),
        ({"body": {"a": float("nan")}}, "body"),
    ],
)
async def test_a_request_that_cannot_be(member, try_, asked, place):
    assert await refusal(try_(member, **asked)) == ("invalid_request", place)

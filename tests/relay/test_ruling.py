"""Ruling: where a model is named it is named anew, headers of others stay theirs, and what was for one channel is undone for the next."""

from __future__ import annotations

from typing import Any

import pytest

from fake_ends import Rig
from penstock.kit.errors import PenstockError
from penstock.relay.bodies import read_held
from penstock.relay.exchange import Exchange
from penstock.relay.ruling import known_rules, under_rules
from penstock.rules.compile import compile_rules
from penstock.rules.door import NO_RULES
from penstock.rules.grammar import read_rule
from penstock.upstream.wires.wire import Ask

JSON = (b"content-type", b"application/json")


def ruled(rig: Rig, exchange: Exchange, *then: dict[str, Any], when: dict[str, Any] | None = None) -> Ask:
    """What is asked for under one rule of the operator's."""
    terms = read_rule({"name": "one", "scope": "all", "when": when, "then": list(then)}, is_operator=True)
    rig.plane.rules.operators = compile_rules([("rul_1", terms)])
    return under_rules(NO_RULES, rig.caller, read_held(exchange, rig.plane), exchange, rig.plane)


def test_who_has_no_account_has_no_rules_of_their_own(rig):
    assert known_rules(rig.caller, rig.plane) is NO_RULES


def test_a_model_in_the_path_is_renamed_there(rig):
    exchange = rig.exchange(b"POST /v1beta/models/gemini-a:generateContent", JSON, body=b'{"contents":[]}')
    ask = ruled(rig, exchange, {"do": "rewrite_model", "model": "gemini-b"})
    assert (ask.model, exchange.target.path, exchange.body) == (
        "gemini-b", "/v1beta/models/gemini-b:generateContent", b'{"contents":[]}',
    )  # fmt: skip


def test_a_model_in_the_query_of_a_session_is_renamed_there(rig):
    exchange = rig.exchange(b"GET /v1/realtime?model=a&x=1")
    ask = ruled(rig, exchange, {"do": "rewrite_model", "model": "b c"})
    assert (ask.model, exchange.target.query) == ("b c", b"model=b%20c&x=1")


def test_where_no_model_is_named_none_is_given(rig):
    rename = {"do": "rewrite_model", "model": "b"}
    assert ruled(rig, rig.exchange(b"GET /v1/files"), rename).model is None


def test_headers_of_a_known_head_stay_as_they_were_for_the_next_request(rig):
    exchange = rig.exchange(b"POST /v1/chat/completions", JSON, (b"x-team", b"red"), body=b'{"model":"a"}')
    sifted = exchange.sifted
    ruled(rig, exchange, {"do": "set_header", "name": "x-team", "value": "blue"})
    assert b"x-team: blue\r\n" in exchange.sifted.forward and b"red" not in exchange.sifted.forward
    assert b"x-team: red\r\n" in sifted.forward


def test_what_was_done_for_one_channel_is_undone_for_the_next(rig):
    body = b'{"model":"a","x":1}'
    exchange = rig.exchange(b"POST /v1/chat/completions", JSON, body=body)
    first, second = rig.plane.channels[:2]
    actions = ({"do": "set", "path": "x", "value": 2}, {"do": "set_header", "name": "x-a", "value": "b"})
    ruled(rig, exchange, *actions, when={"on": "channel", "value": first.name})
    ruling = exchange.ruling
    assert ruling is not None and exchange.body == body
    for _ in range(2):
        ruling.on(first, exchange, rig.plane)
        assert (exchange.body, b"x-a: b\r\n" in exchange.sifted.forward, ruling.fired) == (b'{"model":"a","x":2}', True, ("rul_1",))
        ruling.on(second, exchange, rig.plane)
        assert (exchange.body, b"x-a" in exchange.sifted.forward, ruling.fired) == (body, False, ())


def test_who_may_record_is_told_by_a_rule_but_the_operator_is_not(rig):
    exchange = rig.exchange(b"POST /v1/chat/completions", JSON, body=b'{"model":"a"}')
    exchange.for_operator = True
    ruled(rig, exchange, {"do": "record", "value": True})
    assert (exchange.for_owner, exchange.for_operator) == (True, True)
    ruled(rig, exchange, {"do": "record", "value": False})
    assert (exchange.for_owner, exchange.for_operator) == (False, True)


def test_a_refusal_has_the_status_of_the_rule(rig):
    exchange = rig.exchange(b"POST /v1/chat/completions", JSON, body=b'{"model":"a"}')
    with pytest.raises(PenstockError) as caught:
        ruled(rig, exchange, {"do": "refuse", "message": "No.", "status": 418})
    assert (caught.value.code, caught.value.status, caught.value.message) == ("refused_by_rule", 418, "No.")


@pytest.mark.parametrize("when", [None, {"on": "channel", "value": "*"}])
def test_what_rules_have_made_may_be_no_larger_than_what_may_be_sent(make_rig, when):
    rig = make_rig(body_limit=5000)
    exchange = rig.exchange(b"POST /v1/chat/completions", JSON, body=b'{"model":"a"}')

    def through() -> None:
        ruled(rig, exchange, {"do": "set", "path": "x", "value": "y" * 5000}, when=when)
        exchange.ruling.on(rig.plane.channels[0], exchange, rig.plane)

    with pytest.raises(PenstockError) as caught:
        through()
    assert (caught.value.code, "rul_1" in caught.value.message) == ("body_too_large", True)


@pytest.mark.parametrize(
    ("path", "body", "action", "before", "after"),
    [
        (b"/v1/chat/completions", b'{"model":"a","max_tokens":1}', {"do": "set", "path": "max_tokens", "value": 900}, 1, 900),
        (b"/v1/chat/completions", b'{"model":"a","max_tokens":1}', {"do": "set", "path": "n", "value": 7}, 1, 7),
        (b"/v1/audio/speech", b'{"model":"a","input":"x"}', {"do": "set", "path": "input", "value": "y" * 90}, 1, 90),
        (b"/v1/images/generations", b'{"model":"a","prompt":"x"}', {"do": "set", "path": "n", "value": 9}, 1, 9),
    ],
)
def test_what_rules_for_a_channel_add_is_held_for_and_metered(rig, path, body, action, before, after):
    def amount(ask):
        known = ask.quantity
        return ask.output_cap if known is None else known.images or known.characters

    exchange = rig.exchange(b"POST " + path, JSON, body=body)
    first, second = rig.plane.channels[:2]
    ask = ruled(rig, exchange, action, when={"on": "channel", "value": first.name})
    expected = [amount(exchange.ruling.expected(channel, exchange, rig.plane)) for channel in (first, second)]
    seen = [amount(ask)]
    for channel in (first, second, first):
        exchange.ruling.on(channel, exchange, rig.plane)
        seen.append(amount(ask))
    assert (expected, seen) == ([after, before], [before, after, before, after])


def test_what_rules_for_a_channel_have_made_unreadable_is_refused_before_anything_is_held(rig):
    exchange = rig.exchange(b"POST /v1/chat/completions", JSON, body=b'{"model":"a"}')
    ruled(rig, exchange, {"do": "set", "path": "max_tokens", "value": ["many"]}, when={"on": "channel", "value": "*"})
    with pytest.raises(PenstockError, match="rul_1"):
        exchange.ruling.expected(rig.plane.channels[0], exchange, rig.plane)


def test_nobody_gets_around_rules_for_a_channel_by_sending_too_much(rig):
    body = b'{"model":"a","x":"' + b"a" * 4_000_000 + b'"}'
    exchange = rig.exchange(b"POST /v1/chat/completions", JSON, body=body)
    search = {"on": "body", "name": "x", "op": "matches", "value": "(ab|cd|ef){150}$"}
    clamp = {"do": "clamp", "path": "max_tokens", "max": 5}
    ruled(rig, exchange, clamp, when={"all": [{"on": "channel", "value": "*"}, {"none": [search]}]})
    with pytest.raises(PenstockError) as caught:
        exchange.ruling.on(rig.plane.channels[0], exchange, rig.plane)
    assert (caught.value.code, caught.value.status) == ("refused_by_rule", 413)


REFUSE = {"do": "refuse", "message": "No."}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (b"/v1beta/models/models/gemini-b:generateContent", b'{"contents":[]}'),
        (b"/v1beta/models/models%2Fgemini-b:generateContent", b'{"contents":[]}'),
        (b"/v1/chat/completions", b'{"model":"models/gemini-b"}'),
    ],
)
def test_a_folder_before_a_name_is_no_way_around_a_rule(rig, path, body):
    with pytest.raises(PenstockError, match="No"):
        ruled(rig, rig.exchange(b"POST " + path, JSON, body=body), REFUSE, when={"on": "model", "value": "gemini-*"})


def test_nor_is_one_that_ones_own_rule_has_put_there(rig):
    exchange = rig.exchange(b"POST /v1/chat/completions", JSON, body=b'{"model":"a"}')
    own = read_rule({"name": "own", "then": [{"do": "rewrite_model", "model": "models/gemini-b"}]}, is_operator=False)
    refuse = read_rule({"name": "no", "scope": "all", "when": {"on": "model", "value": "gemini-*"}, "then": [REFUSE]}, is_operator=True)
    rig.plane.rules.operators = compile_rules([("rul_1", refuse)])
    with pytest.raises(PenstockError, match="No"):
        under_rules(compile_rules([("rul_2", own)]), rig.caller, read_held(exchange, rig.plane), exchange, rig.plane)


def test_an_image_without_a_model_is_ruled_by_the_one_that_is_meant(make_rig):
    rig = make_rig(default_image_model="gpt-image-1")
    when = {"on": "model", "value": "gpt-image-*"}
    exchange = rig.exchange(b"POST /v1/images/generations", JSON, body=b'{"prompt":"x"}')
    with pytest.raises(PenstockError, match="No"):
        ruled(rig, exchange, REFUSE, when=when)
    ask = ruled(rig, exchange, {"do": "rewrite_model", "model": "gpt-image-2"}, when=when)
    assert (ask.model, exchange.body) == ("gpt-image-2", b'{"model":"gpt-image-2","prompt":"x"}')


def test_very_many_rules_do_not_make_a_head_that_clients_refuse(rig):
    exchange = rig.exchange(b"POST /v1/chat/completions", JSON, body=b'{"model":"a"}')
    terms = read_rule({"name": "one", "then": [{"do": "record", "value": False}]}, is_operator=False)
    own = compile_rules([(f"rul_{'0' * 20}{number}", terms) for number in range(500)])
    under_rules(own, rig.caller, read_held(exchange, rig.plane), exchange, rig.plane)
    assert len(exchange.notes) < 4000 and exchange.notes.endswith(b",...\r\n")

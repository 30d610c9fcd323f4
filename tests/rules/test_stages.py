from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.rules.stages import apply_late, two_stages
from rule_words import BODY_ACTIONS, CHANNEL_LEAVES, LEAVES, conditions, make_facts, make_rules, make_terms, requests, rules, shown

LATE = rules(conditions(LEAVES | CHANNEL_LEAVES).map(lambda given_: {"all": [{"on": "channel", "value": "*"}, given_]}), BODY_ACTIONS)
CHANNEL = {"on": "channel", "value": "main*"}


def rewrite(old, new, **more):
    return make_terms([{"do": "rewrite_model", "model": new}], {"on": "model", "value": old}, **more)


def sets(path, value, when=None, **more):
    return make_terms([{"do": "set", "path": path, "value": value}], when, **more)


@given(st.lists(rules() | LATE, max_size=4), st.lists(rules() | LATE, max_size=4), requests())
def test_the_second_stage_is_applied_to_what_the_first_has_made(own, operators, facts):
    first_set, second_set = make_rules(*own), make_rules(*operators)
    whole = two_stages(first_set, second_set, facts)
    first = first_set.apply_early(facts)
    if first is not None and first.refusal is not None:
        assert shown(whole) == shown(first)
        return
    second = second_set.apply_early(facts.after(first))
    expected = facts.after(first).after(second)
    if whole is not None and whole.refusal is not None:
        assert whole.refusal == second.refusal
        return
    after = facts.after(whole)
    assert (after.model, after.headers, after.body) == (expected.model, expected.headers, expected.body)
    assert (whole.fired if whole else ()) == (first.fired if first else ()) + (second.fired if second else ())
    assert shown(two_stages(first_set, second_set, facts)) == shown(whole)


@given(st.lists(LATE, max_size=4), st.lists(rules() | LATE, max_size=3), requests(), st.sampled_from(["main", "other"]))
def test_attempts_are_judged_anew_and_always_the_same(own, operators, facts, channel):
    verdict = two_stages(make_rules(*own), make_rules(*operators), facts)
    late = verdict.late if verdict is not None else ()
    last = facts.after(verdict)
    first = apply_late(late, last, channel, frozenset({"a"}))
    apply_late(late, last, "another", frozenset())
    assert shown(apply_late(late, last, channel, frozenset({"a"}))) == shown(first)
    assert last.channel is None


def test_either_may_be_missing():
    rules_, facts = make_rules(rewrite("a", "b")), make_facts({}, model="a")
    assert two_stages(None, None, facts) is None
    assert two_stages(rules_, None, facts).model == two_stages(None, rules_, facts).model == "b"
    assert two_stages(rules_, rules_, make_facts({}, model="x")) is None


def test_nobody_gets_around_the_operator_by_renaming():
    own = make_rules(rewrite("cheap", "dear"))
    operators = make_rules(make_terms([{"do": "refuse", "message": "Too dear."}], {"on": "model", "value": "dear"}))
    verdict = two_stages(own, operators, make_facts({}, model="cheap"))
    assert verdict.refusal == ("rul_0", "Too dear.", 403) and verdict.fired == ("rul_0", "rul_0") and verdict.model is None


def test_the_operator_has_the_last_word():
    own = make_rules(
        make_terms(
            [
                {"do": "route", "tags": ["us"]},
                {"do": "record", "value": False},
                {"do": "set_header", "name": "x-a", "value": "1"},
                {"do": "set_header", "name": "x-b", "value": "1"},
                {"do": "set", "path": "a", "value": 1},
            ]
        )
    )
    operators = make_rules(
        make_terms(
            [
                {"do": "route", "tags": ["eu"]},
                {"do": "record", "value": True},
                {"do": "delete_header", "name": "x-a"},
                {"do": "append", "path": "a", "value": 2},
                {"do": "clamp", "path": "a", "max": 0},
            ]
        )
    )
    verdict = two_stages(own, operators, make_facts({}))
    assert (verdict.tags, verdict.record, verdict.body) == (("eu",), True, b'{"a":0}')
    assert verdict.headers == ((b"x-a", None), (b"x-b", b"1")) and len(verdict.skipped) == 1


def test_what_the_operator_does_not_touch_stays_as_the_account_has_made_it():
    own = make_rules(
        make_terms(
            [
                {"do": "rewrite_model", "model": "m"},
                {"do": "route", "tags": ["us"]},
                {"do": "record", "value": False},
                {"do": "set_header", "name": "x-a", "value": "1"},
                {"do": "set", "path": "a", "value": 1},
            ]
        )
    )
    for then in ([{"do": "delete_header", "name": "x-b"}], [{"do": "delete", "path": "b"}]):
        verdict = two_stages(own, make_rules(make_terms(then)), make_facts({}))
        assert (verdict.model, verdict.tags, verdict.record, verdict.body) == ("m", ("us",), False, b'{"a":1}')
        assert verdict.headers[0] == (b"x-a", b"1") and verdict.fired == ("rul_0", "rul_0")


def test_the_operators_conditions_see_headers_and_body_as_the_account_has_made_them():
    own = make_rules(make_terms([{"do": "set_header", "name": "x-a", "value": "1"}, {"do": "set", "path": "a", "value": 1}]))
    seen = {"all": [{"on": "header", "name": "x-a", "value": "1"}, {"on": "body", "name": "a", "value": 1}]}
    assert two_stages(own, make_rules(sets("b", 2, seen)), make_facts({})).body == b'{"a":1,"b":2}'


def test_the_accounts_stop_does_not_stop_the_operator():
    verdict = two_stages(make_rules(sets("a", 1, stop=True), sets("b", 1)), make_rules(sets("c", 1)), make_facts({}))
    assert verdict.body == b'{"a":1,"c":1}'


def test_rules_for_a_channel_look_at_the_request_as_all_others_have_left_it():
    own = make_rules(sets("seen", "own", {"all": [CHANNEL, {"on": "model", "value": "c"}]}), rewrite("a", "b"))
    verdict = two_stages(own, make_rules(rewrite("b", "c")), make_facts({}, model="a"))
    assert verdict.model == "c" and [rule.id for rule in verdict.late] == ["rul_0"]
    last = make_facts({}, model="a").after(verdict)
    assert apply_late(verdict.late, last, "main-1", frozenset()).body == b'{"seen":"own"}'
    assert apply_late(verdict.late, last, "other", frozenset()) is None


def test_at_an_attempt_the_accounts_stop_does_not_stop_the_operator_either():
    own = make_rules(sets("a", 1, CHANNEL, stop=True), sets("b", 1, CHANNEL))
    operators = make_rules(sets("c", 1, CHANNEL, scope="all"), sets("d", 1, CHANNEL, scope="all", shadow=True))
    verdict = two_stages(own, operators, make_facts({}))
    assert verdict.fired == () and len(verdict.late) == 4
    attempt = apply_late(verdict.late, make_facts({}), "main", frozenset())
    assert attempt.body == b'{"a":1,"c":1}' and attempt.shadowed == ("rul_1",)


def test_tags_of_the_channel():
    verdict = two_stages(make_rules(sets("a", 1, {"on": "channel", "name": "tag", "value": "eu"})), None, make_facts({}))
    assert apply_late(verdict.late, make_facts({}), "x", frozenset({"us", "eu"})).body == b'{"a":1}'
    assert apply_late(verdict.late, make_facts({}), "x", frozenset({"us"})) is None


def test_what_the_accounts_rules_go_through_is_not_taken_from_the_operators():
    body = b'{"model":"m","text":"%b"}' % (b"a" * 300_000)
    busy = [sets("x", 1, {"on": "body", "name": "text", "op": "matches", "value": f"(x+x+)+y{n}$"}) for n in range(400)]
    refuses = make_terms([{"do": "refuse", "message": "No."}], {"on": "body", "name": "text", "op": "contains", "value": "aaa"})
    verdict = two_stages(make_rules(*busy), make_rules(refuses), make_facts(body=body))
    assert verdict.refusal is not None and verdict.refusal.message == "No."
    assert verdict.skipped, "the account's own have gone too far"

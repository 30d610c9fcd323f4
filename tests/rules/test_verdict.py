from __future__ import annotations

import pytest

from penstock.rules.tree import Skip, closed
from penstock.rules.verdict import Draft, Refusal, Verdict
from rule_words import make_facts


def settled(draft: Draft, refusal: Refusal | None = None) -> Verdict:
    verdict = Verdict()
    verdict.refusal = refusal
    draft.settle(verdict)
    return verdict


def test_a_verdict_says_nothing_until_it_is_told():
    assert repr(Verdict()) == "Verdict()"
    verdict = Verdict()
    verdict.model, verdict.fired = "a", ("rul_1",)
    assert repr(verdict) == "Verdict(fired=('rul_1',), model='a')"


def test_what_is_not_touched_stays_as_it_was():
    draft = Draft(make_facts({"a": 1}))
    assert draft.fields is draft.facts.fields
    draft.fields = draft.fields
    assert settled(draft).body is None


def test_what_was_drafted_is_written_down():
    draft = Draft(make_facts({"a": 1}))
    draft.fields = draft.fields | {"b": closed(2)}
    draft.fields = draft.fields | {"c": closed(3)}
    draft.model, draft.tags, draft.record, draft.headers = "m", ("eu",), True, {b"x-a": b"1", b"x-b": None}
    verdict = settled(draft)
    assert (verdict.body, verdict.model, verdict.tags, verdict.record) == (b'{"a":1,"b":2,"c":3}', "m", ("eu",), True)
    assert verdict.headers == ((b"x-a", b"1"), (b"x-b", None))
    assert draft.facts.body == b'{"a": 1}'


def test_a_refused_request_is_not_changed_but_may_be_recorded():
    draft = Draft(make_facts({"a": 1}))
    draft.model, draft.record, draft.fields = "m", True, {}
    verdict = settled(draft, Refusal("rul_1", "No.", 403))
    assert (verdict.model, verdict.body, verdict.record) == (None, None, True)


@pytest.mark.parametrize("body", [None, b"[]", b"x"])
def test_a_body_that_is_no_object_has_no_fields(body):
    with pytest.raises(Skip, match="no JSON object"):
        assert Draft(make_facts(body)).fields

"""Shapes: the examples that the document shows are rules that could be made."""

from __future__ import annotations

import json

from penstock.rules.grammar import read_rule
from penstock.rules.sets import read_set
from penstock.rules.shapes import SET_CONTENT, RuleGiven, TrialGiven, TrialShown


def test_the_examples_are_rules():
    (example,) = RuleGiven.model_config["json_schema_extra"]["examples"]
    assert read_rule(example, is_operator=False).to_dict()["then"] == example["then"]
    (trial,) = TrialGiven.model_config["json_schema_extra"]["examples"]
    assert [read_rule(rule, is_operator=False).name for rule in TrialGiven(**trial).rules] == [example["name"]]
    for content in SET_CONTENT.values():
        given = content["example"]
        assert read_set((given if isinstance(given, str) else json.dumps(given)).encode())


def test_what_is_left_out_is_not_given():
    assert RuleGiven(name="a", then=[{"do": "record"}]).model_dump(exclude_unset=True) == {"name": "a", "then": [{"do": "record"}]}
    assert "when" in RuleGiven(name="a", then=[{}], when=None).model_dump(exclude_unset=True)
    assert set(TrialShown.model_fields) >= {"before", "after", "rules", "stages"}

"""Sets: our own and others' are read, or refused with the place of what is wrong."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.rules.compile import compile_rules
from penstock.rules.facts import Facts
from penstock.rules.grammar import read_rule
from penstock.rules.sets import FORMAT, SIZE_LIMIT, Entry, Reading, read_set, write_set

RULE = {"name": "a", "then": [{"do": "set", "path": "temperature", "value": 1}]}


def refusal(raw, *arguments) -> tuple[str, str | None]:
    with pytest.raises(PenstockError) as refused:
        read_set(raw if isinstance(raw, bytes) else raw.encode(), *arguments)
    return refused.value.code, refused.value.param


def test_our_own():
    for found in ({"format": FORMAT, "rules": [RULE]}, {"rules": [RULE]}, [RULE], [{**RULE, "id": "rul_x", "hits": 5, "created_at": ""}]):
        assert read_set(json.dumps(found).encode()) == [Entry("rules.0", RULE)]
    assert read_set(b"\xef\xbb\xbf" + json.dumps([RULE]).encode()) == [Entry("rules.0", RULE)]
    assert read_set(json.dumps([{**RULE, "surprise": 1}]).encode())[0].given["surprise"] == 1, "refused when it is brought in"


async def test_what_is_written_is_read_again(rules, operator, given):
    rows = [await rules.create(operator, given(name, when={"on": "stream", "value": True})) for name in ("a", "é<b>")]
    read = read_set(write_set(rows))
    assert [read_rule(entry.given, is_operator=True).name for entry in read] == ["a", "é<b>"]


@pytest.mark.parametrize(
    ("raw", "refused"),
    [
        ("", ("invalid_request", "rules")),
        (b"\xff", ("invalid_json", None)),
        ("{", ("invalid_json", None)),
        ("[" * 100_000, ("invalid_json", None)),
        ("[]", ("invalid_request", "rules")),
        ("{}", ("invalid_request", "rules")),
        ('{"temperature": 1}', ("invalid_request", "rules")),
        ('{"rules": {}}', ("invalid_request", "rules")),
        ('{"rules": [], "format": "other"}', ("invalid_request", "format")),
        ('{"rules": [], "more": 1}', ("invalid_request", "more")),
        ('{"rules": [1]}', ("invalid_request", "rules.0")),
        ('"a=>b"', ("invalid_request", "rules")),
        ('{"operations": [], "more": 1}', ("invalid_request", "more")),
        ("x" * (SIZE_LIMIT + 1), ("body_too_large", None)),
        (json.dumps([RULE, RULE]), ("invalid_request", "rules.1.name")),
        (json.dumps([RULE] * 5001), ("invalid_request", "rules.1.name")),
        (json.dumps([{**RULE, "name": str(number)} for number in range(5001)]), ("invalid_request", "rules")),
        ("a", ("invalid_request", "rewrites.0")),
        ("a=>b,c=>", ("invalid_request", "rewrites.1")),
        ("a=>b=>c", ("invalid_request", "rewrites.0")),
        ("a=>b,=>c", ("invalid_request", "rewrites.1")),
        ("a=>b, a => c", ("invalid_request", "rewrites.1")),
        (",,", ("invalid_request", "rules")),
    ],
)
def test_what_is_no_set(raw, refused):
    assert refusal(raw) == refused


def test_how_others_are_read():
    assert refusal("a=>b", "auto", Reading(scope="some")) == ("invalid_request", "scope")
    assert refusal("a=>b", "auto", Reading(priority=1_000_001)) == ("invalid_request", "priority")
    assert refusal("[]", "new-api") == ("invalid_request", "operations")
    two = [{"mode": "set", "path": "a", "value": 1}, {"mode": "set", "path": "b", "value": 1, "keep_origin": True}]
    assert refusal(json.dumps({"operations": two}), "auto", Reading(priority=1_000_000)) == ("invalid_request", "priority")
    read = read_set(json.dumps({"operations": two}).encode(), "auto", Reading("channel 7", 5, "all"))
    assert [(entry.given["name"], entry.given["priority"], entry.given["scope"]) for entry in read] == [
        ("channel 7 1", 5, "all"),
        ("channel 7 2", 6, "all"),
    ]
    (fields,) = read_set(b'{"temperature": 1}', "new-api")
    assert (fields.place, fields.given["name"], fields.given["when"]) == ("fields", "imported 1", None)


def rewritten(rewrites: str, model: str) -> str:
    rows = [(f"rul_{n:03}", read_rule(entry.given, is_operator=False)) for n, entry in enumerate(read_set(rewrites.encode(), "rewrites"))]
    verdict = compile_rules(rows).apply(Facts("chat", model, None, "", b"", b"{}", 1, False, 0))
    return model if verdict is None else verdict.model


def test_the_workers_rewrites():
    rewrites = "claude-3-haiku=>claude-3-5-haiku, gpt-4 => gpt-4o ,,"
    assert rewritten(rewrites, "claude-3-haiku") == "claude-3-5-haiku"
    assert rewritten(rewrites, "gpt-4") == "gpt-4o" and rewritten(rewrites, "gpt-4o") == "gpt-4o"
    assert rewritten(rewrites, "gpt-4-turbo") == "gpt-4-turbo"
    assert rewritten("a*=>b", "a*") == "b" and rewritten("a*=>b", "ab") == "ab", "names, not globs"


def test_a_circle_swaps():
    assert [rewritten("a=>b,b=>a", model) for model in "abc"] == ["b", "a", "c"]
    assert [rewritten("a=>b,b=>c,c=>a", model) for model in "abc"] == ["b", "c", "a"]


def test_long_names_are_told_apart():
    long = "m" * 150
    names = [entry.given["name"] for entry in read_set(f"{long}1=>x,{long}2=>x".encode())]
    assert len(set(names)) == 2 and all(len(name) <= 100 for name in names)


@examples(st.dictionaries(st.text(st.characters(exclude_characters=",=>", categories=["L", "N"]), min_size=1), st.sampled_from("xyz")))
def test_rewrites_say_what_they_say(pairs):
    if pairs:
        text = ",".join(f"{source}=>{target}" for source, target in pairs.items())
        assert {source: rewritten(text, source) for source in pairs} == pairs


@examples(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_whatever_is_sent_is_read_or_refused(text):
    for kind in ("auto", "penstock", "rewrites", "new-api"):
        with contextlib.suppress(PenstockError):
            read_set(text.encode(errors="surrogatepass"), kind)


def test_very_many_long_names_that_begin_alike_are_told_apart_at_once():
    rewrites = ",".join(f"{'a' * 100}{number}=>b" for number in range(5000))
    names = [str(entry.given["name"]) for entry in read_set(rewrites.encode())]
    assert len(set(names)) == 5000 and max(map(len, names)) <= 100
    with pytest.raises(PenstockError):
        read_set(f"{rewrites},c=>d".encode())

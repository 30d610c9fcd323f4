"""Rules, requests and bodies, made up: what the tests of the rules draw from."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from penstock.rules.compile import compile_rules
from penstock.rules.facts import Facts
from penstock.rules.grammar import RuleTerms, read_rule
from penstock.rules.ruleset import RuleSet

NOW_MS = 1_800_000_000_000  # a Friday, 08:00 in UTC
NAMES = st.sampled_from(["a", "b", "temperature", "messages", "content", "0", "-1", "x.y", "back\\slash", "ключ", ""])
MODELS = st.sampled_from(["gpt-4o", "gpt-4o-mini", "gpt", "claude", "g", "vendor/gpt-4o", "gpt*", "", "[x]"])
GLOBS = st.sampled_from(["gpt-4o", "gpt-*", "gpt-4o*", "g*", "*", "*mini", "*o", "?pt", "cl?ude", "*-4o-*", "[x]"])
KEYS = st.sampled_from(["key_1", "key_2", "mine"])
WIRES = st.sampled_from(["chat", "messages", "responses", "gemini", "embeddings", "passthrough"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "b", "x", "hello you", "A\nB", "é"]),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "user"]), "content": VALUES}) | VALUES, max_size=3
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4) | st.fixed_dictionaries(
    {"messages": MESSAGES, "system": VALUES, "instructions": VALUES}
)
ODD_BODIES = st.sampled_from(
    [
        b"",
        b"[1]",
        b"null",
        b"no json",
        b"{",
        b'{"a":NaN}',
        b'{"a":1e400}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":1,"a":[2]}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"\xff":1}',
        b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}",
        b' {"a" : {"b" :1.10 } }\n',
        b'{"\\u0061":1}',
    ]
)
BODIES = OBJECTS.map(lambda value: json.dumps(value).encode()) | ODD_BODIES | st.none() | st.binary(max_size=20)
HEADER_LINES = st.sampled_from([b"", b"x-team: a\r\n", b"x-team: b\r\nx-team: a\r\nx-other: \xe9\r\n", b"accept: */*\r\n", b"odd\r\n"])
PATHS = st.sampled_from(
    [
        "a",
        "b",
        "a.b",
        "a.0",
        "a.-1",
        "a.0.b",
        "messages.-1.content",
        "messages.0",
        "messages.0.content",
        "0",
        "-1",
        "x\\.y",
        "back\\\\slash",
        "temperature",
        "a.b.a.b",
        "ключ.a",
        "a.1.a",
    ]
)


def make_terms(then: Any = None, when: Any = None, **more: Any) -> RuleTerms:
    """A rule of the operator; it sets `done` unless told otherwise."""
    given = {"name": "a rule", "when": when, "then": then or [{"do": "set", "path": "done", "value": True}], **more}
    return read_rule(given, is_operator=True)


def make_rules(*rules: RuleTerms) -> RuleSet:
    """A set of rules whose ids are `rul_0`, `rul_1` and so on."""
    return compile_rules([(f"rul_{number}", terms) for number, terms in enumerate(rules)])


def make_facts(body: Any = None, **changed: Any) -> Facts:
    """A request; `body` is bytes, or a value that becomes JSON."""
    text = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    usual: dict[str, Any] = {
        "wire": "chat",
        "model": "gpt-4o",
        "key_id": "key_1",
        "key_name": "mine",
        "headers": b"x-team: a\r\n",
        "input_tokens": 100,
        "stream": False,
        "now_ms": NOW_MS,
    }
    return Facts(**{**usual, "body": text, **changed})


def _leaf(on: str, op: st.SearchStrategy[str], value: st.SearchStrategy[Any], **named: Any) -> st.SearchStrategy[Any]:
    fields = {"on": st.just(on), "op": op, "value": value, "missing": st.booleans()}
    return st.fixed_dictionaries(fields | {name: st.just(text) if isinstance(text, str) else text for name, text in named.items()})


_ANY_OF = st.lists(SCALARS, min_size=1, max_size=3)
_IS = st.just("is")
_TEXT = st.sampled_from(["a", "b", "x", "hello"])
_COMPARED = st.sampled_from(["above", "at_least", "below", "at_most"])
_SEARCHED = st.sampled_from(["contains", "starts", "ends"])
LEAVES = st.one_of(
    _leaf("model", st.just("like"), GLOBS | st.lists(GLOBS, min_size=1, max_size=3)),
    _leaf("model", st.sampled_from(["is", "in"]), st.lists(MODELS, min_size=1, max_size=3)),
    _leaf("model", _SEARCHED, st.sampled_from(["gpt", "g", "mini", "o"])),
    _leaf("model", st.just("exists"), st.booleans()),
    _leaf("key", _IS, KEYS),
    _leaf("key", st.just("like"), st.sampled_from(["key_*", "m*"])),
    _leaf("wire", _IS, WIRES | st.lists(WIRES, min_size=1, max_size=2)),
    _leaf("header", _IS, _TEXT, name=st.sampled_from(["x-team", "X-Other"])),
    _leaf("header", st.just("exists"), st.booleans(), name="x-other"),
    _leaf("body", _IS, VALUES.filter(lambda value: value != []), name=PATHS),
    _leaf("body", st.just("in"), _ANY_OF, name=PATHS),
    _leaf("body", _COMPARED, st.integers(-3, 3) | st.floats(-3, 3), name=PATHS),
    _leaf("body", _SEARCHED, _TEXT, name=PATHS),
    _leaf("body", st.just("like"), st.sampled_from(["h*o*", "a", "?"]), name=PATHS),
    _leaf("body", st.just("matches"), st.sampled_from(["^a", "(a+)+$", "l{2}", "(?i)B"]), name=PATHS),
    _leaf("body", st.just("exists"), st.booleans(), name=PATHS),
    _leaf("input_tokens", _COMPARED, st.integers(0, 200)),
    _leaf("stream", _IS, st.booleans()),
    _leaf("time", _IS, st.fixed_dictionaries({"from": st.just("07:00"), "until": st.sampled_from(["09:00", "06:00", "08:00"])})),
)
CHANNEL_LEAVES = st.one_of(_leaf("channel", st.just("like"), st.sampled_from(["main*", "*"])), _leaf("channel", _IS, _TEXT, name="tag"))


def conditions(leaves: st.SearchStrategy[Any] = LEAVES) -> st.SearchStrategy[Any]:
    """Conditions as they are given, up to a few deep."""
    groups = st.sampled_from(["all", "any", "none"])
    first = st.builds(lambda kind, members: {kind: members}, groups, st.lists(leaves, min_size=1, max_size=3))
    second = st.builds(lambda kind, members: {kind: members}, groups, st.lists(leaves | first, min_size=1, max_size=3))
    return leaves | first | second


_PLACED = {"path": PATHS}
BODY_ACTIONS = st.one_of(
    st.fixed_dictionaries({"do": st.sampled_from(["set", "default", "append", "prepend"]), "value": VALUES, **_PLACED}),
    st.fixed_dictionaries({"do": st.just("delete"), **_PLACED}),
    st.fixed_dictionaries({"do": st.just("clamp"), "min": st.integers(-2, 0), "max": st.floats(0, 2), **_PLACED}),
    st.sampled_from([{"do": "move", "from": "a", "to": "b.a"}, {"do": "move", "from": "messages.0", "to": "a.b"}]),
    st.fixed_dictionaries({"do": st.sampled_from(["prepend_system", "append_system"]), "text": _TEXT}),
)
ACTIONS = st.one_of(
    BODY_ACTIONS,
    st.fixed_dictionaries({"do": st.just("rewrite_model"), "model": st.sampled_from(["gpt-4o", "claude", "new"])}),
    st.fixed_dictionaries({"do": st.just("set_header"), "name": st.sampled_from(["x-team", "X-Other"]), "value": _TEXT}),
    st.fixed_dictionaries({"do": st.just("delete_header"), "name": st.sampled_from(["x-team", "x-none"])}),
    st.fixed_dictionaries({"do": st.just("route"), "tags": st.lists(_TEXT, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"do": st.just("refuse"), "message": _TEXT}),
    st.fixed_dictionaries({"do": st.just("record"), "value": st.booleans()}),
)


def rules(when: st.SearchStrategy[Any] | None = None, then: st.SearchStrategy[Any] = ACTIONS) -> st.SearchStrategy[RuleTerms]:
    """Rules of any kind."""
    return st.builds(
        make_terms,
        st.lists(then, min_size=1, max_size=3),
        when if when is not None else st.none() | conditions(),
        priority=st.integers(-1, 1),
        shadow=st.sampled_from([False, False, False, True]),
        stop=st.sampled_from([False, False, False, True]),
        enabled=st.sampled_from([True, True, True, False]),
    )


def requests() -> st.SearchStrategy[Facts]:
    """Requests of any kind."""
    return st.builds(
        Facts,
        wire=WIRES,
        model=st.none() | MODELS,
        key_id=st.none() | KEYS,
        key_name=KEYS,
        headers=HEADER_LINES,
        body=BODIES,
        input_tokens=st.integers(0, 200),
        stream=st.booleans(),
        now_ms=st.integers(NOW_MS, NOW_MS + 10**9),
    )


def shown(verdict: Any) -> Any:
    """All that a verdict says, to be compared."""
    if verdict is None:
        return None
    said = {name: getattr(verdict, name) for name in verdict.__slots__ if name not in {"late", "stopped"}}
    return said | {"late": [rule.id for rule in verdict.late], "stopped": verdict.stopped and verdict.stopped.id}

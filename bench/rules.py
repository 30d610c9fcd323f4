"""Very many rules, and requests that none of them is about: what they cost, and what a rule costs that has something to do.

    .venv/bin/python bench/rules.py

For 100 and 5,000 rules of one kind and of all kinds mixed: making the facts of a request and applying rules of which none matches, for
names of models that were never seen before. Then rules that match: another model, a field at the top of a body of 100 KB, one deep
inside it, and the like. Prints the least and the median time of many turns, of the processor, in microseconds; ends with 1 if a least
time is beyond its limit.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from penstock.rules.compile import compile_rules
from penstock.rules.facts import Facts
from penstock.rules.grammar import RuleTerms, read_rule
from penstock.rules.ruleset import RuleSet
from penstock.rules.stages import two_stages

TURNS = 60
REPEATS = 500
LIMITS_US = {100: 2.0, 5000: 10.0}
NOW_MS = 1_800_000_000_000
HEADERS = b"".join(b"%b: some-value-%d\r\n" % (name, len(name)) for name in (b"accept", b"user-agent", b"x-team", b"anthropic-version"))
SMALL = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "temperature": 1}).encode()
TURN = {"role": "user", "content": "What is the weather like in a town by the sea? " * 20}
LARGE = json.dumps({"model": "m", "temperature": 1, "messages": [TURN] * 102, "metadata": {"user": "me"}, "max_tokens": 500}).encode()

Kind = Callable[[int], dict[str, Any]]
DO_NOT = [{"do": "set", "path": "temperature", "value": 0}]


def also(condition: dict[str, Any]) -> dict[str, Any]:
    """With something beside it that is looked at last."""
    return {"all": [{"on": "body", "name": "messages.-1.content", "op": "contains", "value": "secret"}, condition]}


KINDS: dict[str, Kind] = {
    "exact models": lambda number: {"on": "model", "value": f"model-{number}-of-many"},
    "globs that begin alike": lambda number: {"on": "model", "value": f"vendor-{number % 7}/family-{number}-*"},
    "globs that end alike": lambda number: {"on": "model", "value": f"*-{number}-mini"},
    "globs of many lengths": lambda number: {"on": "model", "value": "abcdefghijklmnopqrstuvwxyz"[: 1 + number % 26] + f"{number}*"},
    "keys": lambda number: also({"on": "key", "value": f"key_{number}"}),
    "wires": lambda number: also({"on": "wire", "value": ["images", "speech"][: 1 + number % 2]}),
    "any of three": lambda number: {
        "any": [{"on": "model", "value": [f"a-{number}", f"b-{number}-*"]}, {"on": "key", "value": f"k{number}"}]
    },
}
LOOKING: dict[str, Kind] = {
    "values of a header": lambda number: {"on": "header", "name": "x-team", "value": f"team-{number}"},
    "values in the body": lambda number: {"on": "body", "name": "metadata.user", "value": f"user-{number}"},
    "patterns, which cannot be filed (100 of each 5,000)": lambda number: (
        {"on": "model", "op": "matches", "value": f"^x{number}.*"} if number % 50 == 0 else {"on": "key", "value": f"key_{number}"}
    ),
}


def mixed(number: int) -> dict[str, Any]:
    """One of all kinds."""
    return list(KINDS.values())[number % len(KINDS)](number)


def terms_of(when: dict[str, Any] | None, then: list[dict[str, Any]], name: str = "rule") -> RuleTerms:
    """A rule of the operator."""
    return read_rule({"name": name, "scope": "all", "when": when, "then": then}, is_operator=True)


def rules_of(kind: Kind, count: int) -> RuleSet:
    """So many rules of a kind."""
    return compile_rules([(f"rul_{number:06}", terms_of(kind(number), DO_NOT)) for number in range(count)])


class Table:
    """What was measured, printed as it comes."""

    def __init__(self) -> None:
        self.well = True

    def row(self, name: str, calls: Callable[[int], list[Callable[[], object]]], limit: float | None = None) -> None:
        """The time of one call of the many that `calls` gives for each turn."""
        times = []
        for turn in range(TURNS):
            prepared = calls(turn)
            began_ns = time.thread_time_ns()
            for call in prepared:
                call()
            times.append((time.thread_time_ns() - began_ns) / len(prepared) / 1000)
        least = min(times)
        beyond = limit is not None and least > limit
        self.well = self.well and not beyond
        print(f"  {name:<62} {least:9.2f} {statistics.median(times):9.2f} us{'   beyond the limit' if beyond else ''}")


def unmatched(rules: RuleSet, body: bytes = SMALL) -> Callable[[int], list[Callable[[], object]]]:
    """Requests whose models were never seen, each its own text; that none of the rules matches is made sure of before."""

    def calls(turn: int) -> list[Callable[[], object]]:
        names = [f"vendor-{number % 9}/novel-{turn}-{number}" for number in range(REPEATS)]
        first = two_stages(rules, None, facts_of(names[0] + "x", body))
        assert first is None, first
        return [lambda name=name: two_stages(rules, None, facts_of(name, body)) for name in names]

    return calls


def facts_of(model: str, body: bytes) -> Facts:
    """A request as the relay would tell of it."""
    return Facts("chat", model, "key_of_the_request", "its name", HEADERS, body, 1000, False, NOW_MS)


def matched(then: list[dict[str, Any]], body: bytes, repeats: int) -> Callable[[int], list[Callable[[], object]]]:
    """Requests that one of 100 rules is about."""
    others = [(f"rul_{number:06}", terms_of(mixed(number), DO_NOT)) for number in range(99)]
    rules = compile_rules([*others, ("rul_999999", terms_of({"on": "model", "value": "gpt-4o*"}, then))])

    def calls(turn: int) -> list[Callable[[], object]]:
        first = two_stages(rules, None, facts_of(f"gpt-4o-{turn}", body))
        assert first is not None
        assert (first.fired, first.skipped) == (("rul_999999",), ()), first
        return [lambda number=number: two_stages(rules, None, facts_of(f"gpt-4o-{turn}-{number}", body)) for number in range(repeats)]

    return calls


def main() -> None:
    """All of it."""
    table = Table()
    print(f"  {'':<62} {'least':>9} {'median':>9}")
    table.row("the facts of a request alone", lambda _: [lambda: facts_of("a", SMALL)] * REPEATS)
    for count, limit in LIMITS_US.items():
        for name, kind in (*KINDS.items(), ("all of these mixed", mixed)):
            table.row(f"{count:,} rules: {name}", unmatched(rules_of(kind, count)), limit)
        for name, kind in LOOKING.items():
            table.row(f"{count:,} rules: {name}", unmatched(rules_of(kind, count)))
    print(f"  rules that match; the large body has {len(LARGE):,} bytes, the small one {len(SMALL)}")
    table.row("another model", matched([{"do": "rewrite_model", "model": "gpt-4o-mini"}], SMALL, REPEATS))
    for name, then in {
        "a field at the top": [{"do": "set", "path": "temperature", "value": 0}],
        "a nested field": [{"do": "set", "path": "metadata.user", "value": "you"}],
        "the last message": [{"do": "set", "path": "messages.-1.content", "value": "Hello"}],
        "text for the system": [{"do": "prepend_system", "text": "Be short."}],
        "a header": [{"do": "set_header", "name": "x-team", "value": "us"}],
    }.items():
        table.row(f"{name}, small body", matched(then, SMALL, REPEATS))
        table.row(f"{name}, large body", matched(then, LARGE, 20))
    began_s = time.perf_counter()
    rows = [(f"rul_{number:06}", terms_of(mixed(number), DO_NOT)) for number in range(5000)]
    read_s = time.perf_counter()
    compile_rules(rows)
    print(f"  5,000 rules: read in {(read_s - began_s) * 1000:.0f} ms, compiled in {(time.perf_counter() - read_s) * 1000:.0f} ms")
    sys.exit(not table.well)


if __name__ == "__main__":
    main()

"""Checks: what cannot be a price, and what a wish is compared with."""

from __future__ import annotations

import pytest

from penstock.catalog.checks import check_multiplier, check_wish, judge
from penstock.catalog.prices import STANDARD, build_price, flat, free_price
from penstock.catalog.sets import Wish
from penstock.catalog.snapshot import EMPTY, Own, Snapshot, sorted_by_weight
from penstock.kit.errors import PenstockError

NOW_MS = 1_795_305_600_000  # 2026-11-22
RATES = {"standard": {"input_mtok": "2.5", "cache_read_mtok": "1.25", "output_mtok": "10", "web_searches_kcount": "10"}}
FAR = {"standard": {"input_mtok": "250", "output_mtok": "10", "web_searches_kcount": "10"}}


def snapshot(*rows: tuple[str, str, str | None]) -> Snapshot:
    """Overrides of these providers and models, at dollars for any token; None: free."""
    owns = []
    for number, (provider, model, dollars) in enumerate(rows):
        price = free_price("free") if dollars is None else build_price("own", {STANDARD: flat(input_mtok=dollars, output_mtok=dollars)})
        owns.append(Own(f"prc_{number}", provider, model, 0, price, None))
    named, globs = sorted_by_weight(owns)
    return Snapshot(named=named, globs=globs)


def wish(provider: str, model: str, dollars: str | None, **more) -> Wish:
    if dollars is None:
        return Wish(provider, model, free=True, **more)
    return Wish(provider, model, rates={"standard": {"input_mtok": dollars, "output_mtok": dollars}}, **more)


def jump(found: Snapshot, wanted: Wish) -> str | None:
    return judge(found, wanted, NOW_MS, 4).jump


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        (Wish("nonesuch", "x", free=True), "provider"),
        (Wish("", "x", free=True), "provider"),
        (Wish("openai", "", free=True), "model"),
        (Wish("openai", "a b", free=True), "model"),
        (Wish("openai", "a\n", free=True), "model"),
        (Wish("openai", "a" * 201, free=True), "model"),
        (Wish("openai", "x"), "rates"),
        (Wish("openai", "x", free=True, rates=RATES), "rates"),
        (Wish("openai", "x", rates={"standard": {"input_mtok": "0", "output_mtok": "0.0"}}), "rates"),
        (Wish("openai", "x", rates={}), "rates"),
        (Wish("openai", "x", free=True, output_cap=0), "output_cap"),
        (Wish("openai", "x", free=True, output_cap=10**9 + 1), "output_cap"),
        (Wish("openai", "x", free=True, effective_at_ms=NOW_MS - 60_001), "effective_at"),
        (Wish("openai", "x", free=True, effective_at_ms=2**62), "effective_at"),
    ],
)
def test_what_cannot_be_a_price(wanted, param):
    with pytest.raises(PenstockError) as caught:
        check_wish(wanted, NOW_MS)
    assert (caught.value.code, caught.value.param) == ("invalid_request", param)


def test_what_can():
    check_wish(Wish("*", "x-*", rates=RATES, effective_at_ms=NOW_MS - 1000, output_cap=5), NOW_MS)
    check_wish(Wish("demo", "名前", free=True), NOW_MS)


@pytest.mark.parametrize("micro", [-1, 10**9 + 1])
def test_multipliers_are_bounded(micro):
    check_multiplier("x", 0)
    check_multiplier("x", 10**9)
    with pytest.raises(PenstockError):
        check_multiplier("x", micro)


def test_a_new_model_is_compared_with_nothing():
    assert judge(EMPTY, wish("*", "nonesuch", "1000"), NOW_MS, 4) == (wish("*", "nonesuch", "1000"), False, None)


def test_it_is_compared_with_the_official_price():
    assert jump(EMPTY, Wish("openai", "gpt-4o", rates=RATES)) is None
    assert (
        jump(EMPTY, Wish("openai", "gpt-4o", rates=FAR))
        == "The price of openai/gpt-4o jumps: input_mtok (standard) from 2.5 to 250 dollars"
    )
    assert jump(EMPTY, Wish("*", "gpt-4o", rates=FAR)) == jump(EMPTY, Wish("openai", "gpt-4o", rates=FAR))
    assert jump(EMPTY, Wish("anthropic", "gpt-4o", rates=FAR)) is None


def test_it_is_compared_with_the_override_that_it_replaces():
    found = snapshot(("openai", "gpt-4o", "100"), ("*", "x", "1"), ("openai", "x", "50"))
    assert jump(found, wish("openai", "gpt-4o", "50")) is None
    assert jump(found, wish("openai", "gpt-4o", "10"))
    assert jump(found, wish("*", "gpt-4o", "10")) is None, "openai's own counts before it"
    assert jump(found, wish("openai", "x", "100")) is None
    assert jump(found, wish("*", "x", "100")).startswith("The price of anthropic/x jumps")


def test_a_glob_is_compared_with_all_that_it_replaces():
    assert jump(EMPTY, wish("openai", "gpt-4o*", "1000"))
    assert jump(EMPTY, wish("openai", "nonesuch-*", "1000")) is None
    assert jump(snapshot(("*", "own-*", "1")), wish("openai", "own-*", "9")), "the one it takes the place of"
    assert jump(snapshot(("*", "gpt-4o-mini*", "9")), wish("openai", "gpt-*-mini-2024-07-18.ft-", "90"))
    assert jump(snapshot(("openai", "tts-*", "15")), wish("openai", "tt*", "1000")) is None, "the longer glob stays in force"
    assert jump(snapshot(("openai", "tts-1", "900"), ("openai", "tts-1-hd", "900")), wish("openai", "tts-*", "1000")) is None


def test_what_is_given_away_never_jumps():
    assert jump(EMPTY, wish("openai", "gpt-4o", None)) is None


def test_what_was_given_away_is_compared_with_the_official_price():
    found = snapshot(("openai", "gpt-4o", None), ("openai", "mine", None))
    assert jump(found, Wish("openai", "gpt-4o", rates=RATES)) is None
    assert jump(found, Wish("openai", "gpt-4o", rates=FAR)) is not None
    assert jump(found, wish("openai", "mine", "1000")) is None


def test_it_is_compared_with_what_will_be_in_force_then():
    owns = [Own("a", "openai", "x", 0, build_price("a", {STANDARD: flat(input_mtok="1", output_mtok="1")}), None)]
    owns.append(Own("b", "openai", "x", NOW_MS + 1000, build_price("b", {STANDARD: flat(input_mtok="9", output_mtok="9")}), None))
    found = Snapshot(named=sorted_by_weight(owns)[0])
    assert jump(found, wish("openai", "x", "9"))
    assert jump(found, wish("openai", "x", "9", effective_at_ms=NOW_MS + 1000)) is None


@pytest.mark.parametrize(
    ("wanted", "same"),
    [
        (wish("openai", "x", "1"), True),
        (wish("openai", "X", "1.0"), True),
        (wish("openai", "x", "1.1"), False),
        (wish("openai", "x", "1", output_cap=5), False),
        (wish("openai", "x", None), False),
        (wish("openai", "gift", None), True),
        (wish("*", "gift", None), False),
        (wish("openai", "x*", "1"), False),
        (Wish("openai", "gpt-4o", rates=RATES), False),
    ],
)
def test_what_is_in_force_already(wanted, same):
    assert judge(snapshot(("openai", "x", "1"), ("openai", "gift", None)), wanted, NOW_MS, 4).same is same

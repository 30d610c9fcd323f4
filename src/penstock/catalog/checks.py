"""Checks on what the operator wants of prices: that it makes sense, and how far it is from what is in force."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from penstock.catalog.cards import read_cards
from penstock.catalog.jumps import find_jump
from penstock.catalog.prices import Price, build_price, free_price
from penstock.catalog.sets import Wish
from penstock.catalog.snapshot import ANY, DEMO_PROVIDER, Own, Snapshot, is_glob, weight
from penstock.kit.errors import PenstockError
from penstock.kit.globs import matches
from penstock.upstream.providers import PROVIDERS

NAME_LIMIT = 200
MULTIPLIER_LIMIT_MICRO = 1_000_000_000
OUTPUT_CAP_LIMIT = 1_000_000_000
_LATE_MS = 60_000
_LAST_MS = 253_370_764_800_000  # the year 9999


class Verdict(NamedTuple):
    """What was found out about a wish: nothing would change; or which rate of which model jumps, in words."""

    wish: Wish
    same: bool
    jump: str | None


def check_wish(wish: Wish, now_ms: int) -> None:
    """Refuse what cannot be a price. Raises PenstockError `invalid_request`."""
    if wish.provider not in (*PROVIDERS, ANY):
        raise _wrong("provider", f"The provider is one of {', '.join(sorted(PROVIDERS))}, or {ANY} for all of them.")
    check_model(wish.model)
    if wish.free == (wish.rates is not None):
        raise _wrong("rates", "Give rates, or say that the model is free.")
    if wish.output_cap is not None and not 1 <= wish.output_cap <= OUTPUT_CAP_LIMIT:
        raise _wrong("output_cap", f"An output cap is 1 to {OUTPUT_CAP_LIMIT} tokens.")
    if wish.effective_at_ms is not None and not now_ms - _LATE_MS <= wish.effective_at_ms < _LAST_MS:
        raise _wrong("effective_at", "A price comes into effect now, or later.")
    if wish.rates is not None and not any(rate for bands in _price_of(wish).tiers().values() for band in bands for rate in band.rates):
        raise _wrong("rates", "All rates are zero. Say that the model is free if that is meant.")


def check_model(model: str) -> None:
    """Refuse what cannot be the name of a model, or a glob."""
    if not model or len(model) > NAME_LIMIT or not model.isprintable() or " " in model:
        raise _wrong("model", f"A model's name is 1 to {NAME_LIMIT} printable characters without blanks; * and ? stand for others.")


def check_multiplier(model: str, multiplier_micro: int) -> None:
    """Refuse a multiplier that is not one."""
    check_model(model)
    if not 0 <= multiplier_micro <= MULTIPLIER_LIMIT_MICRO:
        raise _wrong("multiplier_micro", f"A multiplier is 0 to {MULTIPLIER_LIMIT_MICRO} millionths.")


def judge(snapshot: Snapshot, wish: Wish, now_ms: int, jump_factor: int) -> Verdict:
    """Compare a wish with every price that it would replace. A model that was free is compared with its official price."""
    at_ms = wish.effective_at_ms or now_ms
    price = _price_of(wish)
    same, jump = not is_glob(wish.model), None
    compared = False
    for provider, model in _replaced(snapshot, wish, at_ms):
        own = snapshot.override(provider, model, at_ms)
        before = own.price if own is not None else snapshot.find_official(provider, model, at_ms).price
        if before is None:
            same = False
            continue
        compared = True
        same = same and before.free == price.free and find_jump(before, price, 1) is None and _cap(own) == wish.output_cap
        if price.free:
            continue
        if before.free:
            before = snapshot.find_official(provider, model, at_ms).price
        found = find_jump(before, price, jump_factor) if before is not None else None
        jump = jump or (found and f"The price of {provider}/{model} jumps: {found}")
    return Verdict(wish, same and compared, jump)


def _replaced(snapshot: Snapshot, wish: Wish, at_ms: int) -> Iterator[tuple[str, str]]:
    """Providers and models that the wish would change the price of, as far as they are known by name."""
    providers = sorted(PROVIDERS.keys() - {DEMO_PROVIDER}) if wish.provider == ANY else [wish.provider]
    mine = Own("~", wish.provider, wish.model.lower(), at_ms, _price_of(wish), None)
    for provider in providers:
        if not is_glob(wish.model):
            own = snapshot.override(provider, wish.model, at_ms)
            if own is None or is_glob(own.model) or weight(mine) >= weight(own):
                yield provider, wish.model
            continue
        for model in _known(provider, mine):
            own = snapshot.override(provider, model, at_ms)
            if own is None or (is_glob(own.model) and weight(mine) >= weight(own)):
                yield provider, model


def _known(provider: str, mine: Own) -> list[str]:
    from penstock.catalog import official  # noqa: PLC0415  slow, and only needed here

    names = dict.fromkeys((mine.model, *official.listed(provider)))
    return [name for name in names if matches((mine.model,), name.lower())]


def _price_of(wish: Wish) -> Price:
    return free_price("wanted") if wish.rates is None else build_price("wanted", read_cards(wish.rates))


def _cap(own: Own | None) -> int | None:
    return None if own is None else own.output_cap


def _wrong(param: str, message: str) -> PenstockError:
    return PenstockError("invalid_request", message, param=param)

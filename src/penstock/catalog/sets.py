"""Whole sets of prices as JSON: our own, as `penstock price export` writes them, and LiteLLM's list of model prices."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from penstock.catalog.prices import STANDARD
from penstock.kit.clock import iso, parse_moment_ms
from penstock.kit.errors import PenstockError

FORMAT = "penstock-prices/1"
SIZE_LIMIT = 16 * 1024 * 1024
"""Bytes of the largest set that is read."""
ENTRIES_LIMIT = 20_000

_PER_TOKEN = {
    "input_cost_per_token": "input_mtok",
    "output_cost_per_token": "output_mtok",
    "output_cost_per_reasoning_token": "output_reasoning_mtok",
    "cache_read_input_token_cost": "cache_read_mtok",
    "cache_creation_input_token_cost": "cache_write_mtok",
    "input_cost_per_audio_token": "input_audio_mtok",
    "output_cost_per_audio_token": "output_audio_mtok",
    "cache_read_input_audio_token_cost": "cache_audio_read_mtok",
    "input_cost_per_image_token": "input_image_mtok",
    "output_cost_per_image_token": "output_image_mtok",
    "input_cost_per_character": "input_mchars",
}
_PER_THING = {
    ("image_generation", "input_cost_per_image"): ("images_count", 1),
    ("image_generation", "output_cost_per_image"): ("images_count", 1),
    ("audio_transcription", "input_cost_per_second"): ("audio_hours", 3600),
}
_FIELD = re.compile(rf"({'|'.join(_PER_TOKEN)})(_above_1hr)?(?:_above_(\d{{1,6}})k_tokens)?(?:_([a-z]{{1,20}}))?", re.ASCII)
_TIERS = {None: STANDARD, "batches": "batch"}
_SEARCHES, _USUAL_SEARCH = "search_context_cost_per_query", "search_context_size_medium"


class Wish(NamedTuple):
    """A price that the operator wants. `effective_at_ms` None: from now on. `rates` are as in `cards`, None with `free`."""

    provider: str
    model: str
    free: bool = False
    rates: Mapping[str, Any] | None = None
    effective_at_ms: int | None = None
    output_cap: int | None = None


class PriceSet(NamedTuple):
    """What a set holds: prices, multipliers in millionths by model, and what of it cannot be expressed here, in words."""

    wishes: tuple[Wish, ...]
    multipliers: Mapping[str, int]
    skipped: tuple[str, ...] = ()


def read_set(raw: bytes, providers: frozenset[str]) -> PriceSet:
    """The set in a JSON text, of either kind. Of LiteLLM's list only what `providers` sell is read.

    Raises PenstockError `invalid_request`, `invalid_json`, `body_too_large`. Rates are looked at when they are used.
    """
    if len(raw) > SIZE_LIMIT:
        raise PenstockError("body_too_large", f"A set of prices has at most {SIZE_LIMIT // 1024 // 1024} MiB.")
    try:
        found = json.loads(raw, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise PenstockError("invalid_json", "The set of prices is not JSON that can be read.") from None
    if not isinstance(found, dict):
        raise _wrong(None, "A set of prices is a JSON object.")
    if "format" in found:
        return _read_ours(found)
    if len(found) > ENTRIES_LIMIT or not all(isinstance(entry, dict) for entry in found.values()):
        raise _wrong(None, f"This is neither a set of '{FORMAT}' nor LiteLLM's list: an object with an object for each model.")
    return _read_theirs(found, providers)


def write_set(prices: PriceSet) -> dict[str, Any]:
    """The set in our own format."""
    return {
        "format": FORMAT,
        "prices": [
            {
                "provider": wish.provider,
                "model": wish.model,
                "free": wish.free,
                "rates": wish.rates,
                "effective_at": None if wish.effective_at_ms is None else iso(wish.effective_at_ms),
                "output_cap": wish.output_cap,
            }
            for wish in prices.wishes
        ],
        "multipliers": [{"model": model, "multiplier_micro": micro} for model, micro in prices.multipliers.items()],
    }


def _read_ours(found: dict[str, Any]) -> PriceSet:
    if found["format"] != FORMAT:
        raise _wrong("format", f"Only sets of the format '{FORMAT}' can be read.")
    prices, multipliers = found.get("prices", []), found.get("multipliers", [])
    if not isinstance(prices, list) or not isinstance(multipliers, list) or len(prices) + len(multipliers) > ENTRIES_LIMIT:
        raise _wrong("prices", f"`prices` and `multipliers` are lists, with up to {ENTRIES_LIMIT} entries together.")
    wishes = tuple(_read_wish(f"prices.{place}", entry) for place, entry in enumerate(prices))
    by_model: dict[str, int] = {}
    for place, entry in enumerate(multipliers):
        where = f"multipliers.{place}"
        _check(where, entry, {"model": str, "multiplier_micro": int})
        by_model[entry["model"]] = entry["multiplier_micro"]
    return PriceSet(wishes, by_model)


_WISH = {"provider": str, "model": str, "free": bool, "rates": dict, "effective_at": str, "output_cap": int}


def _read_wish(where: str, entry: Any) -> Wish:
    _check(where, entry, _WISH, ("free", "rates", "effective_at", "output_cap"))
    text = entry.get("effective_at")
    try:
        at_ms = None if text is None else parse_moment_ms(text if "T" in text else "", 0)
    except ValueError:
        raise _wrong(f"{where}.effective_at", "Write a moment in ISO 8601, such as 2026-12-31T18:00:00Z.") from None
    return Wish(entry["provider"], entry["model"], entry.get("free") or False, entry.get("rates"), at_ms, entry.get("output_cap"))


def _check(where: str, entry: Any, kinds: Mapping[str, type], optional: tuple[str, ...] = ()) -> None:
    if not isinstance(entry, dict) or not kinds.keys() >= entry.keys() >= kinds.keys() - set(optional):
        raise _wrong(where, f"An entry is an object with {', '.join(kinds)}.")
    for name, value in entry.items():
        if type(value) is not kinds[name] and not (value is None and name in optional):
            raise _wrong(f"{where}.{name}", "It has not the type that it should have.")


def _read_theirs(found: dict[str, Any], providers: frozenset[str]) -> PriceSet:
    wishes, skipped = [], []
    for name, entry in found.items():
        provider = entry.get("litellm_provider")
        if not isinstance(provider, str) or provider not in providers:
            continue
        model = name.removeprefix(f"{provider}/")
        if "/" in model:
            skipped.append(f"{name}: a price by size or quality cannot be expressed")
            continue
        rates = _rates_of(name, entry)
        if any(dollars != "0" for steps in rates.get(STANDARD, {}).values() for dollars in _texts(steps)):
            wishes.append(Wish(provider, model, rates=rates))
        else:
            skipped.append(f"{name}: it has no rate that is known here and is more than zero")
    return PriceSet(tuple(wishes), {}, tuple(skipped))


def _texts(steps: Any) -> list[str]:
    return [steps] if isinstance(steps, str) else [step["dollars"] for step in steps]


def _rates_of(name: str, entry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The rates by service tier: what a tier does not have is that of the standard one. A step that begins nowhere is none."""
    steps: dict[str, dict[str, dict[int, str]]] = {STANDARD: {}}

    def add(tier: str, rate: str, above: int, value: Any, times: int) -> None:
        steps.setdefault(tier, {}).setdefault(rate, {})[above] = _dollars(name, value, times)

    for field, value in entry.items():
        known = _FIELD.fullmatch(field)
        if known is not None and value is not None:
            base, hour, thousands, tier = known.groups()
            rate = "cache_write_1h_mtok" if hour else _PER_TOKEN[base]
            add(_TIERS.get(tier, tier), rate, int(thousands or 0) * 1000, value, 1_000_000)
        thing = _PER_THING.get((entry.get("mode"), field))  # type: ignore[arg-type]
        if thing is not None and value is not None:
            add(STANDARD, thing[0], 0, value, thing[1])
    searches = entry.get(_SEARCHES)
    if isinstance(searches, dict) and _USUAL_SEARCH in searches:
        add(STANDARD, "web_searches_kcount", 0, searches[_USUAL_SEARCH], 1000)
    complete = {tier: {rate: above for rate, above in rates.items() if 0 in above} for tier, rates in steps.items()}
    return {tier: {rate: _written(above) for rate, above in (complete[STANDARD] | rates).items()} for tier, rates in complete.items()}


def _written(above: Mapping[int, str]) -> Any:
    if len(above) == 1:
        return above[0]
    return [{"above_tokens": tokens, "dollars": above[tokens]} for tokens in sorted(above)]


def _dollars(name: str, value: Any, times: int) -> str:
    """Dollars per unit as text for `times` units, exact. The bounds keep a malicious exponent from becoming digits."""
    dollars = Decimal(value) if type(value) is int else value
    if not isinstance(dollars, Decimal) or not dollars.is_finite() or dollars < 0 or not (dollars == 0 or -24 <= dollars.adjusted() <= 6):
        raise _wrong(name[:200], "A cost is a number of dollars that is not negative.")
    text = f"{dollars * times:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _no_number(text: str) -> None:
    raise ValueError(text)


def _wrong(param: str | None, message: str) -> PenstockError:
    return PenstockError("invalid_request", f"{param}: {message}" if param else message, param=param)

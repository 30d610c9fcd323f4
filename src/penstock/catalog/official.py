"""Official prices: genai-prices' bundled data, read into our own. Offline; importing this takes a fraction of a second."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import genai_prices
from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, PriceContext, StartDateConstraint, TieredPrices, TimeOfDateConstraint

from penstock.catalog.prices import RATES, STANDARD, Card, Price, Steps, build_price, flat

SOURCE = "genai-prices"
RELEASE = genai_prices.__version__
_FIRST = "first"

_PROVIDERS = {provider.id: provider for provider in providers}
_KNOWN = frozenset(name for names in RATES.values() for name in names)
"""Rates that something we measure is charged at. A model that has no other is one without a price."""
_TIER_KEYS = ("service_tier", "processing", "speed")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

# genai-prices holds moderation models without any rate. OpenAI does not charge for these; a missing rate alone is no proof of that.
_FREE = {"openai": ("omni-moderation-", "text-moderation-")}
_FREE_CARD = flat(input_mtok="0", output_mtok="0")


def find_price(provider: str, model: str, at_ms: int) -> Price | None:
    """The official price of a model as requests name it, at a time. None if the data has no price for it.

    Which names mean the same model is what genai-prices says, within the provider. The provider's own name may stand
    before the model's (`openai/gpt-4o`).
    """
    listed = _PROVIDERS.get(provider)
    if listed is None:
        return None
    name = model.lower()
    bare = name.removeprefix(f"{provider}/")
    info = listed.find_model(name) or (listed.find_model(bare) if bare != name else None)
    if info is None:
        return None
    priced = bool(_rates(info.get_prices(_EPOCH + at_ms * _MILLISECOND)))
    return read_price(provider, info, at_ms) if priced or bare.startswith(_FREE.get(provider, ())) else None


def recall_price(version: str) -> Price | None:
    """The price that a version names, if it is among the installed data."""
    words = version.split(" ")
    if words[0] != SOURCE or len(words) not in (3, 4):
        return None
    if len(words) == 4:  # as 0.1 has written them: source, release, model, moment
        _, release, name, moment = words
        info = _find(name) if release == RELEASE else None
        at_ms = 0 if moment == _FIRST else _to_ms(datetime.fromisoformat(moment))
        return None if info is None else read_price(name.partition("/")[0], info, at_ms)
    info = _find(words[1])
    known = () if info is None else (read_price(words[1].partition("/")[0], info, _to_ms(at)) for at in _moments(info))
    return next((price for price in known if price.version == version), None)


def subject(version: str) -> tuple[str, str]:
    """The provider and the model, as the data names it, of a version of ours."""
    provider, _, model_id = version.split(" ")[1].partition("/")
    return provider, model_id


def listed(provider: str) -> list[str]:
    """The models of a provider as the data names them; not all of these names are ones that requests may use."""
    found = _PROVIDERS.get(provider)
    return [] if found is None else [info.id for info in found.models]


def context_tokens(provider: str, model: str) -> int | None:
    """How many tokens a model can read at most, where the data knows."""
    found = _PROVIDERS.get(provider)
    info = found and found.find_model(model.lower())
    return info.context_window if info else None


def read_price(provider: str, info: ModelInfo, at_ms: int) -> Price:
    """One model's price at a time: its standard rates, and those of every service tier that has its own by then."""
    at = _EPOCH + at_ms * _MILLISECOND
    cards = {STANDARD: _card(info, at, None)}
    for tier in _tiers(info, at):
        cards[tier] = _card(info, at, dict.fromkeys(_TIER_KEYS, tier))
    changes = sorted(_changes(info, at))
    since = max((_to_ms(change) for change in changes if change <= at), default=None)
    until = min((_to_ms(change) for change in changes if change > at), default=None)
    return build_price(f"{SOURCE} {provider}/{info.id}", cards, since, until)


def _find(name: str) -> ModelInfo | None:
    provider, _, model_id = name.partition("/")
    found = _PROVIDERS.get(provider)
    return next((info for info in found.models if info.id == model_id), None) if found is not None else None


def _moments(info: ModelInfo) -> set[datetime]:
    """Moments between which no rate changes, but for those that change by the hour: there, enough to see every price."""
    return {_EPOCH, *(moment for dated in (_EPOCH, *_changes(info, _EPOCH)) for moment in _changes(info, dated))}


def _rates(prices: ModelPrice) -> dict[str, Decimal | TieredPrices]:
    return {name: value for name, value in vars(prices).items() if value is not None and name in _KNOWN}


def _card(info: ModelInfo, at: datetime, context: PriceContext | None) -> Card:
    rates = _rates(info.get_prices(at, context))
    return {name: _steps(value) for name, value in rates.items()} or _FREE_CARD


def _steps(value: Decimal | TieredPrices) -> Steps:
    if isinstance(value, Decimal):
        return ((-1, value),)
    return ((-1, value.base), *((tier.start, tier.price) for tier in value.tiers))


def _tiers(info: ModelInfo, at: datetime) -> list[str]:
    """Service tiers that have rates of their own at the time, under whichever key the data files them."""
    found: dict[str, None] = {}
    for variant in info.price_variants or ():
        (key, tier), *more = variant.when.items()
        if key in _TIER_KEYS and not more and (variant.constraint is None or variant.constraint.active(at)):
            found[tier] = None
    return list(found)


def _changes(info: ModelInfo, at: datetime) -> Iterator[datetime]:
    """Moments at which some rate may change: all dated ones, and the daily ones around a time."""
    dated = [each.constraint for each in info.prices] if isinstance(info.prices, list) else []
    for constraint in (*dated, *(variant.constraint for variant in info.price_variants or ())):
        if isinstance(constraint, StartDateConstraint):
            yield datetime.combine(constraint.start_date, time(), UTC)
        elif isinstance(constraint, TimeOfDateConstraint):
            # Two days each way: a time of day may be given in any zone.
            for days in range(-2, 3):
                for clock in (constraint.start_time, constraint.end_time):
                    yield _utc(datetime.combine(at.date() + timedelta(days=days), clock))


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _to_ms(moment: datetime) -> int:
    return (_utc(moment) - _EPOCH) // _MILLISECOND

"""Terms: what a key may do and until when, checked and in the form in which they are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from penstock.kit import globs
from penstock.kit.errors import PenstockError
from penstock.kit.limits import change_limits, read_limits, write_limits
from penstock.kit.networks import parse_network
from penstock.upstream.wires import ASKED

Kind = Literal["key", "team", "management"]
NAME_LIMIT = 200
MODELS_LIMIT = 1000
NETWORKS_LIMIT = 100
FALLBACKS_LIMIT, FALLBACK_MODELS_LIMIT = 100, 5
ID_PREFIX = "key_"
_LAST_MS = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp()) * 1000


class Terms(TypedDict, total=False):
    """What a key may do; what is left out is as it is for new keys, or as it was. None takes a restriction away."""

    models: Sequence[str] | None
    """Globs."""
    wires: Sequence[str] | None
    """Names of wires."""
    networks: Sequence[str] | None
    """Addresses, or networks as CIDR."""
    fallbacks: Mapping[str, Sequence[str]] | None
    """By a glob of models, those that answer when none of a model's channels can."""
    limits: Mapping[str, Any] | None
    """By the names of `kit.limits.Limits`. Those that are left out stay as they are; None takes all of them away."""
    record: bool
    expires_at_ms: int | None


class Changes(Terms, total=False):
    """What can be changed of a key."""

    name: str
    kind: Kind
    disabled: bool


def checked(given: Mapping[str, Any], kept: Mapping[str, Any] | None, now_ms: int) -> dict[str, Any]:
    """The columns that hold what is given. `kept` are the limits there are now.

    Raises PenstockError `invalid_request`, which names the part that is wrong.
    """
    columns: dict[str, Any] = dict(given)
    for name, check in _CHECKS.items():
        if columns.get(name) is not None:
            columns[name] = check(columns[name])
    if given.get("limits") is not None:
        columns["limits"] = write_limits(change_limits(read_limits(dict(kept or {})), given["limits"] or {}))
    expires_at_ms = given.get("expires_at_ms")
    if expires_at_ms is not None and not now_ms < expires_at_ms <= _LAST_MS:
        passed = expires_at_ms <= now_ms
        raise refusal("The expiry has already passed." if passed else "The expiry is too far away.", "expires_at")
    return columns


def refusal(words: str, param: str) -> PenstockError:
    """That a part of a request cannot be used."""
    return PenstockError("invalid_request", words, param=param)


def _name(name: str) -> str:
    if not name or len(name) > NAME_LIMIT or not name.isprintable() or name != name.strip() or name.startswith(ID_PREFIX):
        words = f"A key's name is 1 to {NAME_LIMIT} printable characters, without blanks around it, and does not begin with '{ID_PREFIX}'."
        raise refusal(words, "name")
    return name


def _models(models: Sequence[str]) -> list[str]:
    if not models or not all(model.strip() and model.isprintable() and len(model) <= globs.NAME_LIMIT for model in models):
        raise refusal("Name at least one model, none of them empty, or leave them out for all.", "models")
    if len(models) > MODELS_LIMIT:
        raise refusal(f"A key names at most {MODELS_LIMIT} models; use * for any run of characters.", "models")
    return list(dict.fromkeys(models))


def _wires(wires: Sequence[str]) -> list[str]:
    if not wires or not set(wires) <= set(ASKED):
        raise refusal(f"Name at least one wire of {', '.join(ASKED)}, or leave them out for all.", "wires")
    return list(dict.fromkeys(wires))


def _networks(networks: Sequence[str]) -> list[str]:
    if not 1 <= len(networks) <= NETWORKS_LIMIT:
        raise refusal(f"Name 1 to {NETWORKS_LIMIT} networks, or leave them out for any address.", "networks")
    try:
        return list(dict.fromkeys(map(parse_network, networks)))
    except ValueError:
        words = "Write networks as addresses or CIDR: 203.0.113.7, 10.0.0.0/8, 2001:db8::/32."
        raise refusal(words, "networks") from None


def _fallbacks(fallbacks: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    if not 1 <= len(fallbacks) <= FALLBACKS_LIMIT:
        raise refusal(f"Name 1 to {FALLBACKS_LIMIT} models or globs that have fallbacks, or leave them out.", "fallbacks")
    named = [*fallbacks, *(model for others in fallbacks.values() for model in others)]
    if not all(model.strip() and model.isprintable() and len(model) <= globs.NAME_LIMIT for model in named):
        raise refusal("Names of models in fallbacks are printable, and not empty.", "fallbacks")
    if not all(1 <= len(others) <= FALLBACK_MODELS_LIMIT for others in fallbacks.values()):
        raise refusal(f"A model falls back to 1 to {FALLBACK_MODELS_LIMIT} others.", "fallbacks")
    return {glob: list(dict.fromkeys(others)) for glob, others in fallbacks.items()}


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": _name,
    "models": _models,
    "wires": _wires,
    "networks": _networks,
    "fallbacks": _fallbacks,
}

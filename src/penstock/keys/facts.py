"""Facts: a key as people and programs are shown it, without its secret."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.keys.models import Key
from penstock.kit.clock import iso
from penstock.kit.limits import read_limits


def facts(key: Key, now_ms: int) -> dict[str, Any]:
    """What may be shown of a key, as JSON: times in ISO 8601, null where there is no restriction."""
    return {
        "id": key.id,
        "account_id": key.account_id,
        "name": key.name,
        "kind": key.kind,
        "key": masked(key),
        "state": state(key, now_ms),
        "models": key.models,
        "wires": key.wires,
        "networks": key.networks,
        "fallbacks": key.fallbacks,
        "limits": msgspec.structs.asdict(read_limits(key.limits)),
        "record": key.record,
        "created_at": iso(key.created_at_ms),
        "expires_at": _iso(key.expires_at_ms),
        "disabled_at": _iso(key.disabled_at_ms),
        "grace_until": _iso(key.old_until_ms if key.old_until_ms is not None and key.old_until_ms > now_ms else None),
    }


def masked(key: Key) -> str:
    """What is shown of its token: `sk-...` and the last four characters."""
    return f"{key.prefix}...{key.last_four}"


def state(key: Key, now_ms: int) -> str:
    """`active`, `disabled` or `expired`."""
    if key.disabled_at_ms is not None:
        return "disabled"
    return "expired" if key.expires_at_ms is not None and key.expires_at_ms <= now_ms else "active"


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso(at_ms)

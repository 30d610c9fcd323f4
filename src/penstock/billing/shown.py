"""How a charge is shown: the platform's columns and ours, for programs, spreadsheets and people."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.accounts.models import OPERATOR
from penstock.billing.charge import Charge
from penstock.billing.selection import came_ms
from penstock.kit.clock import iso
from penstock.upstream.usage import Usage

COLUMNS = (
    "id", "came_at", "created_at", "account_id", "key_id", "key_name", "model", "served_model", "wire", "provider", "channel", "status",
    "outcome", "streamed", "estimated", "prompt_tokens", "completion_tokens", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens",
    "cache_write_1h_tokens", "reasoning_tokens", "extra_usage", "rurt_ms", "tps_s", "first_byte_ms", "duration_ms", "free", "cost_nano",
    "free_nano", "multiplier_micro", "price_version", "attempts",
)  # fmt: skip
"""What is shown, in this order. `rurt_ms` and `tps_s` are the platform's words: how long the upload and the whole request took."""
_RARE = frozenset(Usage.__struct_fields__) - {
    "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens",
}  # fmt: skip


def usage_of(charge: Charge) -> Usage:
    """What a charge was computed from."""
    return Usage(
        charge.input_tokens,
        charge.cache_read_tokens,
        charge.cache_write_5m_tokens,
        charge.cache_write_1h_tokens,
        charge.output_tokens,
        charge.reasoning_tokens,
        **extra_usage(charge),
    )


def extra_usage(charge: Charge) -> dict[str, Any]:
    """The rarer usage that is not zero, and `calls` where they are not one, by the fields of `Usage`."""
    if charge.extra_usage is None:
        return {}
    try:
        stored = msgspec.json.decode(charge.extra_usage)
    except msgspec.DecodeError:
        return {}
    return {name: value for name, value in stored.items() if name in _RARE} if isinstance(stored, dict) else {}


def shown(charge: Charge, key_name: str | None) -> dict[str, Any]:
    """`COLUMNS` by name, as JSON has them. Prompt tokens are all that was read, completion tokens all that was written."""
    usage = usage_of(charge)
    values = (
        charge.id,
        iso(came_ms(charge.id)),
        iso(charge.created_at_ms),
        charge.account_id or OPERATOR,
        charge.key_id,
        key_name,
        charge.model,
        charge.served_model,
        charge.wire,
        charge.provider,
        charge.channel,
        charge.status,
        charge.outcome,
        charge.streamed,
        charge.estimated,
        usage.context_tokens(),
        usage.output_tokens + usage.output_audio_tokens + usage.output_image_tokens,
        charge.input_tokens,
        charge.cache_read_tokens,
        charge.cache_write_5m_tokens,
        charge.cache_write_1h_tokens,
        charge.reasoning_tokens,
        {name: value for name, value in extra_usage(charge).items() if name != "calls"} or None,
        charge.upload_ms,
        charge.duration_ms / 1000,
        charge.first_byte_ms,
        charge.duration_ms,
        charge.free_nano > 0,
        charge.cost_nano,
        charge.free_nano,
        charge.multiplier_micro,
        charge.price_version,
        charge.attempts,
    )
    return dict(zip(COLUMNS, values, strict=True))

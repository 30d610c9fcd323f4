"""Finishes: why a candidate has ended, in Google's words and in ours."""

from __future__ import annotations

from penstock.upstream.bridges.conversation import Stop

REFUSALS = frozenset(
    (
        "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION", "MODEL_ARMOR",
    )
)  # fmt: skip
"""Reasons that are in the content."""
_FINE = frozenset(("STOP", "MAX_TOKENS", "CONTINUATION"))
_WRITTEN: dict[Stop, str] = {"length": "MAX_TOKENS", "refusal": "SAFETY"}


def ended(finish: str) -> bool:
    """Whether this is a reason at all."""
    return finish not in ("", "FINISH_REASON_UNSPECIFIED")


def stop_of(finish: str, *, calls: bool) -> Stop:
    """Why it stopped; `calls`: tools are called. Google has no reason of its own for that, nor for a stop sequence."""
    if finish == "MAX_TOKENS":
        return "length"
    if finish in REFUSALS:
        return "refusal"
    return "tools" if calls else "end"


def failed(finish: str) -> bool:
    """With nothing said before, this is no answer but a mishap, such as MALFORMED_FUNCTION_CALL."""
    return finish not in _FINE and finish not in REFUSALS


def finish_of(stop: Stop) -> str:
    """Google's word."""
    return _WRITTEN.get(stop, "STOP")

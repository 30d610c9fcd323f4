"""Words: names and ids as Anthropic allows them, and why a message has stopped."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Stop
from penstock.upstream.bridges.names import digest, fitted

_ID = re.compile(r"[a-zA-Z0-9_-]{1,256}")
_MESSAGE_ID = re.compile(r"msg_[a-zA-Z0-9_-]{1,250}")
_NAME_LIMIT = 128

STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tools",
    "refusal": "refusal",
    "pause_turn": "pause",
}
"""Why a message has stopped, by Anthropic's word."""

REASONS: dict[Stop, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tools": "tool_use",
    "refusal": "refusal",
    "pause": "pause_turn",
}
"""Anthropic's word for why a message has stopped."""


def call_id(given: str) -> str:
    """The id of a tool call: the one given, or where Anthropic does not allow that, always the same other one."""
    return given if _ID.fullmatch(given) else f"toolu_{digest(given)[:24]}"


def message_id(given: str, request_id: str) -> str:
    """The id of a message: the one given if it is Anthropic's, else one made of it or of the request's."""
    return given if _MESSAGE_ID.fullmatch(given) else f"msg_{digest(given or request_id)[:24]}"


def sent_name(name: str) -> str:
    """A tool's name as Anthropic allows it: the one given, or always the same other one."""
    return fitted(name, _NAME_LIMIT)


def arguments_of(given: Any) -> str:
    """A call's input as JSON text; an empty object for what is none."""
    if not isinstance(given, dict):
        return "{}"
    try:
        return msgspec.json.encode(given).decode()
    except RecursionError:
        return "{}"

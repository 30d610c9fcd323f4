"""Replies: whole answers, read and written."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.bridges.between import retell
from penstock.upstream.bridges.conversation import Part, Refusal, Reply, Stop, ToolCall
from penstock.upstream.bridges.responses.failures import failure_of
from penstock.upstream.bridges.responses.output import parts_of_item
from penstock.upstream.bridges.responses.telling import ResponsesTeller
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.responses import Response

_USAGE = Reader(Response)


def read_reply(body: bytes) -> Reply:
    """A provider's whole answer. Raises ValueError for one that cannot be read, has failed, or has nothing in it."""
    try:
        found = msgspec.json.decode(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  what the side promises
    if found.get("status") == "failed" or found.get("error"):
        failure = failure_of(found.get("error"), 0)
        raise ValueError(f"the response has failed: {failure.message}" if failure is not None else "the response has failed")
    output = found.get("output")
    if not isinstance(output, list) or (not output and not found.get("usage")):
        raise ValueError("it has no output")
    parts = [part for item in output for part in parts_of_item(item)]
    return Reply(
        found["id"] if isinstance(found.get("id"), str) else "",
        found["model"] if isinstance(found.get("model"), str) else "",
        parts,
        stop_of(found, parts),
        usage_in(body),
        int(created) if isinstance(created := found.get("created_at"), int | float) and 0 <= created < 1e12 else 0,
    )


def usage_in(body: bytes | msgspec.Raw) -> Usage:
    """The usage of a response; nothing where it says none."""
    response = _USAGE.read(bytes(body))
    usage = response.usage_of_all() if response is not None else None
    return usage if usage is not None else Usage()


def stop_of(response: dict[str, Any], parts: list[Part]) -> Stop:
    """Why a response ended."""
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    if response.get("status") == "incomplete" or reason:
        return "refusal" if reason == "content_filter" else "length"
    if any(isinstance(part, ToolCall) for part in parts):
        return "tools"
    return "refusal" if any(isinstance(part, Refusal) for part in parts) else "end"


def write_reply(reply: Reply, about: About) -> bytes:
    """The client's whole answer: what the last event of the same reply, streamed, has in it."""
    teller = ResponsesTeller(about)
    retell(reply, teller)
    return teller.whole()

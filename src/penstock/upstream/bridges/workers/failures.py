"""Errors of Cloudflare's, in any of the shapes it has for them.

Source: https://developers.cloudflare.com/workers-ai/platform/errors/ for the codes up to 5019; the others are what it sends besides.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.dialects.text import clean
from penstock.upstream.faults import Fault

MESSAGE_LIMIT = 2000


class Meaning(NamedTuple):
    """The status that goes with a code of Cloudflare's, and what it is called in ours."""

    status: int
    kind: str


CODES: dict[int, Meaning] = {
    3003: Meaning(400, "invalid_request"),
    3006: Meaning(413, "request_too_large"),
    3007: Meaning(408, "upstream_timeout"),
    3008: Meaning(408, "upstream_timeout"),
    3023: Meaning(403, "forbidden"),
    3030: Meaning(400, "content_policy_violation"),
    3036: Meaning(429, "daily_quota"),
    3039: Meaning(400, "invalid_request"),
    3040: Meaning(429, "out_of_capacity"),
    3041: Meaning(403, "forbidden"),
    3042: Meaning(404, "model_not_found"),
    5004: Meaning(400, "invalid_request"),
    5005: Meaning(405, "method_not_allowed"),
    5006: Meaning(400, "invalid_request"),
    5007: Meaning(400, "model_not_found"),
    5016: Meaning(403, "terms_not_accepted"),
    5018: Meaning(403, "forbidden"),
    5019: Meaning(405, "method_not_allowed"),
    7000: Meaning(404, "no_route"),
    7003: Meaning(404, "no_route"),
    7009: Meaning(503, "upstream_unavailable"),
    8001: Meaning(400, "invalid_request"),
    8006: Meaning(400, "invalid_request"),
    10000: Meaning(401, "upstream_unauthorized"),
}
"""`daily_quota` is over until the next day and `out_of_capacity` soon: the one is not to be tried again on the same account."""

_HINTS = {
    "daily_quota": "The account's free allowance of the day is used up. {}",
    "terms_not_accepted": "The owner of the account has to accept the terms of this model first. {}",
    "no_route": "Cloudflare knows no such address: is the account id right? {}",
    "upstream_unauthorized": "Cloudflare refuses the API token of this channel. {}",
}
_TITLE = re.compile(rb"<title[^>]*>([^<]{1,200})", re.IGNORECASE)
_CODE_IN_TEXT = re.compile(r"^(?:AiError: )?(\d{4,5}): ")
_FLAGGED = re.compile(r"\bflagged\b|NSFW", re.IGNORECASE)
_BY_STATUS = {
    400: "invalid_request", 401: "upstream_unauthorized", 403: "forbidden", 404: "not_found", 408: "upstream_timeout",
    413: "request_too_large", 429: "rate_limit_exceeded",
}  # fmt: skip
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def read_failure(status: int, body: bytes) -> Failure:
    """A Cloudflare error: JSON of any of its shapes, a page of HTML, or nothing. Never raises."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _unread(status, body)
    failure = failure_in(found, status)
    return failure if failure is not None else _unread(status, body)


def failure_in(answer: Any, status: int = 502) -> Failure | None:
    """The error that an answer or an event states; None if it states none. `status` is taken where the error names none."""
    if not isinstance(answer, dict):
        return None
    for about in _candidates(answer):
        code = _number(about.get("code")) or _number(about.get("internalCode")) or _number(about.get("error_code"))
        message = about.get("message") or about.get("error") or about.get("detail")
        if message is None and code is None:
            continue
        http = _number(about.get("httpCode")) or _number(about.get("status"))
        return _failure(code, _text(message), http if http and 400 <= http < 600 else status)
    if answer.get("success") is False:
        return _failure(None, "", status)
    return None


def fault_in(failure: Failure) -> Fault | None:
    """What an error says about the channel; None: nothing, it is about the request."""
    status = failure.status
    if failure.kind == "daily_quota":
        return Fault("quota", status, "429: what the account gets for nothing is used up for today")
    if failure.kind in ("terms_not_accepted", "model_not_found"):
        return Fault("model", status, f"{status}: {failure.kind.replace('_', ' ')}")
    if status in (401, 403, 408, 429) or (status >= 500 and failure.kind != "upstream_invalid"):
        return Fault("status", status, f"{status}: {failure.kind.replace('_', ' ')}")
    return None


def error_body(failure: Failure) -> bytes:
    """The error as OpenAI writes it."""
    return msgspec.json.encode({"error": error_object(failure)})


def error_object(failure: Failure) -> dict[str, str | None]:
    """The inner object."""
    status = failure.status
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    if failure.kind == "daily_quota":
        kind = "insufficient_quota"
    return {"message": clean(failure.message), "type": kind, "param": failure.param, "code": failure.kind or None}


def unreadable(what: str) -> Failure:
    """The error for an answer of status 200 in which there is none."""
    return Failure(502, f"Workers AI has sent no usable answer: {what}.", "upstream_invalid")


def _candidates(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects that may be the error, the likeliest first."""
    found: list[dict[str, Any]] = []
    for name in ("errors", "error"):
        stated = answer.get(name)
        if isinstance(stated, list):
            found += [one if isinstance(one, dict) else {"message": one} for one in stated if one]
        elif isinstance(stated, dict):
            # {"error": {"error": {...}}} and {"errors": {"errors": [...]}} have both been seen in wrappers around it.
            found += _candidates(stated) or ([stated] if stated else [])
        elif isinstance(stated, str) and stated:
            found.append({"message": stated, "code": answer.get("code")})
    if answer.get("name") == "AiError" or "internalCode" in answer:
        found.append(answer)
    return found


def _failure(code: int | None, message: str, status: int) -> Failure:
    if code is None and (match := _CODE_IN_TEXT.match(message)) is not None:
        code = int(match[1])
    meaning = CODES.get(code or 0)
    if meaning is None:
        shown = status if status >= 400 else 502
        meaning = Meaning(shown, _BY_STATUS.get(shown, "upstream_error" if shown >= 500 else "invalid_request"))
        if shown < 500 and _FLAGGED.search(message):
            meaning = Meaning(400, "content_policy_violation")
    text = message[:MESSAGE_LIMIT] or "Workers AI has refused the request without saying why."
    if code is not None and str(code) not in text:
        text = f"{text} (code {code})"
    return Failure(meaning.status, _HINTS.get(meaning.kind, "{}").format(text), meaning.kind)


def _unread(status: int, body: bytes) -> Failure:
    shown = status if status >= 400 else 502
    title = _TITLE.search(body[:4096])
    if title is not None:
        said = f"a page: {title[1].decode('utf-8', 'replace').strip()}"
    elif body.strip():
        said = body[:200].decode("utf-8", "replace").strip()
    else:
        said = "nothing"
    return Failure(shown, f"Workers AI has answered with status {status} and {said}", _BY_STATUS.get(shown, "upstream_error"))


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 else None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()

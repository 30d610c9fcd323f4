"""Faults: what an answer, or none, says about the channel that was asked, besides what it says to the client."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from penstock.upstream.client.connection import UpstreamError

READ_BYTES = 16 * 1024
"""So much of an error's body is looked at."""
_EXHAUSTED = frozenset(("insufficient_quota", "billing_hard_limit_reached", "billing_not_active"))
_EXHAUSTED_BEGINS = ("your credit balance is too low", "you exceeded your current quota, please check your plan and billing")
_NO_MODEL = frozenset(("model_not_found", "deploymentnotfound", "model_not_available"))
_NO_MODEL_SAYS = ("not found", "not_found", "does not exist", "not exist", "no endpoints found")
_CLOUDFLARE = {3036: "insufficient_quota", 3042: "model_not_found", 5016: "model_not_available"}
"""Its codes: the day's free allowance is used up, no such model, the model's terms have not been accepted."""
_MODERATED = ("moderation", "flagged")
_FORBIDDEN = (
    "api key", "api_key", "apikey", "credential", "authentication", "unauthorized", "not authorized", "billing", "suspended", "deactivated",
    "disabled", "country", "firewall", "network",
)  # fmt: skip
"""What is said of a credential. Without any of it a 403 is about what the client has written, or named: a file, a cache, a project."""
_OVERSIZE = "request too large"
"""OpenAI's word for a request that is by itself more than a minute's limit."""
_PHRASES = {529: "Overloaded"}


class Fault(msgspec.Struct, frozen=True):
    """Something that speaks against a channel.

    `kind`: "connect", no connection to the provider (refused, DNS, TLS, too slow); "answer", a connection and no answer that can be
    read in time; "status", an answer whose `status` says it; "quota", the credential's money or quota is used up; "model", the
    provider does not have the model. `reason` is for people, and has nothing in it that the client or the provider wrote.
    """

    kind: Literal["connect", "answer", "status", "quota", "model"]
    status: int = 0
    reason: str = ""
    retry_after_s: float | None = None


def fault_of(error: UpstreamError, *, connecting: bool) -> Fault | None:
    """What a failed call says; `connecting`: it failed before the request could be written. None: that the fault was ours."""
    if error.kind == "full":
        return None
    return Fault("connect" if connecting else "answer", 0, str(error))


def read_fault(status: int, body: bytes = b"", retry_after: bytes | None = None, now_s: float = 0) -> Fault | None:
    """What an answer says; None: nothing against the channel, so it counts as a success.

    `body` may be empty or only a beginning of it. `retry_after` is the header's value: seconds, or a date, for which `now_s` is needed.
    """
    if status < 400:
        return None
    code, message = _said(body)
    if status in (400, 402, 403, 429) and (code in _EXHAUSTED or message.startswith(_EXHAUSTED_BEGINS)):
        return Fault("quota", status, f"{_named(status)}: the quota is used up")
    if status in (403, 404) and (code in _NO_MODEL or (status == 404 and "model" in f"{code} {message}" and _denies(message, code))):
        return Fault("model", status, f"{_named(status)}: the provider does not have the model")
    if status == 400 and message.startswith("api key not valid"):
        return Fault("status", 401, f"{_named(status)}: the key is not valid")
    if status == 403 and (any(word in message for word in _MODERATED) or not any(word in f"{code} {message}" for word in _FORBIDDEN)):
        return None
    if status == 429 and message.startswith(_OVERSIZE):
        return None
    if status in (401, 402, 403, 408, 429) or status >= 500:
        return Fault("status", status, _named(status), seconds_of(retry_after, now_s))
    return None


def _denies(message: str, code: str) -> bool:
    return any(words in message or words in code for words in _NO_MODEL_SAYS)


def _named(status: int) -> str:
    try:
        return f"{status} {_PHRASES.get(status) or HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _said(body: bytes) -> tuple[str, str]:
    """The code (or type, or status) and the message of an error, in small letters; whatever is missing is empty."""
    if not body or len(body) > READ_BYTES:
        return "", ""
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return "", ""
    if isinstance(found, list) and found:
        found = found[0]  # Gemini's OpenAI door
    if not isinstance(found, dict):
        return "", ""
    error = found.get("error", found)
    if error is found and (listed := found.get("errors")):
        error = listed[0] if isinstance(listed, list) else listed  # Cloudflare
    if isinstance(error, str):
        return "", error.lower()
    if not isinstance(error, dict):
        return "", ""
    codes = [error.get(name) for name in ("code", "type", "status")]
    texts = [code.lower() for code in codes if isinstance(code, str)]
    texts += [_CLOUDFLARE[code] for code in codes if type(code) is int and code in _CLOUDFLARE]
    code = next((text for text in texts if text in _EXHAUSTED or text in _NO_MODEL), texts[0] if texts else "")
    message = error.get("message")
    return code, message.lower() if isinstance(message, str) else ""


def seconds_of(retry_after: bytes | None, now_s: float = 0) -> float | None:
    """The seconds that a `retry-after` asks for; None if it has none that can be read, or not one second's worth."""
    if not retry_after:
        return None
    text = retry_after.decode("latin-1").strip()
    try:
        seconds = float(text) if len(text) <= 16 else parsedate_to_datetime(text).timestamp() - now_s
    except (ValueError, OverflowError):
        return None
    return seconds if 1 <= seconds < 1e9 else None

"""Verdicts: what the answer to a channel's trial, or that there was none, means to the operator, in words that say what to do."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.errands.errand import Fetched
from penstock.upstream.faults import read_fault

SAID_LIMIT = 300
"""Characters of the provider's own words that are shown."""
_TOKEN = re.compile(r"[A-Za-z0-9_*-]{16,}")
_DNS = ("name or service not known", "nodename nor servname", "no address associated", "temporary failure in name resolution", "resolve")
_PROXY = ("the proxy ", "no connection to the proxy ")
_FILLED = {
    "chat": "choices", "completions": "choices", "messages": "content", "responses": "output", "embeddings": "data", "gemini": "candidates",
}  # fmt: skip
"""Where each wire has what was asked for."""


class Verdict(NamedTuple):
    """What is the matter. `code`: `works`, `wrong_key`, `not_found`, `model_gone`, `web_page`, `redirect`, `private_address`, `tls`,
    `dns`, `proxy`, `timeout`, `refused`, `broken`, `quota`, `rate_limited`, `rejected`, `provider_error`, `error_object`, `empty`,
    `not_json`, `costs`, `no_model`, `unusable`.
    """

    code: str
    text: str

    @property
    def works(self) -> bool:
        """Requests over this channel can be answered."""
        return self.code == "works"


def of_failure(failure: UpstreamError | PenstockError) -> Verdict:
    """What it means that no answer came."""
    refused = failure if isinstance(failure, PenstockError) else failure.refusal
    if isinstance(refused, PenstockError) and refused.code == "private_address":
        return Verdict("private_address", refused.message)
    text = str(failure)
    kind = getattr(failure, "kind", "")
    if text.startswith(_PROXY):
        return Verdict("proxy", f"{text}. Check the channel's `proxy`, and the user and password in it.")
    if text.startswith("TLS with "):
        return Verdict("tls", f"{text}. Check that the base URL's host and port speak TLS, and `ca_file` where its authority is your own.")
    if any(words in text.lower().rpartition(": ")[2] for words in _DNS):
        return Verdict("dns", f"{text}. The host's name is not known: check the base URL.")
    if kind == "timeout":
        return Verdict("timeout", f"{text}. Check the base URL, firewalls and the proxy, or give it more time.")
    if kind == "refused":
        return Verdict("refused", f"{text}. Check the base URL's host and port, and that the server runs.")
    return Verdict("broken", f"{text}. What answers there does not speak HTTP/1.1 as it should.")


def of_answer(wire: str, answer: Fetched) -> Verdict:
    """What an answer to a small call over a wire means."""
    status = answer.status
    if 300 <= status < 400:
        where = next((value.decode("latin-1") for name, value in answer.headers if name == b"location"), "")
        return Verdict("redirect", f"It redirects (status {status}) to {_shown_url(where)}. If that is right, make it the base URL.")
    page = "html" in answer.content_type
    said = _said(answer.body)
    if status >= 400:
        return _of_refusal(status, answer, "" if page else said, page=page)
    if page:
        return Verdict("web_page", "It answers with a web page: the base URL is that of a site, or a sign-in stands before the API.")
    if not answer.body.strip():
        return Verdict("empty", f"It answers with status {status} and nothing else.")
    try:
        found: Any = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        kind = _printable(answer.content_type) or "no content type"
        return Verdict("not_json", f"It answers with status {status}, but not with JSON ({kind}).")
    if isinstance(found, dict) and (found.get("error") or found.get("errors") or found.get("success") is False):
        return Verdict("error_object", f"It answers with status {status} and an error: {said or 'without words'}")
    place = _FILLED.get(wire)
    if place is not None and not (isinstance(found, dict) and found.get(place)):
        return Verdict("empty", f"It answers with status {status}, but there is nothing in the answer (no `{place}`).")
    return Verdict("works", "It works.")


def _of_refusal(status: int, answer: Fetched, said: str, *, page: bool) -> Verdict:
    fault = read_fault(status, answer.body)
    words = f" It says: {said}" if said else ""
    if (fault is not None and fault.kind == "quota") or status == 402:
        return Verdict("quota", f"The credential's money or quota is used up (status {status}).{words}")
    if fault is not None and fault.kind == "model":
        return Verdict("model_gone", f"The provider does not have this model, or not for this credential (status {status}).{words}")
    if status == 401 or (fault is not None and fault.status == 401):
        return Verdict("wrong_key", f"The credential is refused (status {status}).{words}")
    if status == 403:
        return Verdict("wrong_key", f"The credential may not do this (status 403), or this network may not.{words}")
    if status in (404, 405):
        hint = "a web page says so: check the host" if page else "check the base URL, whether it ends in /v1 above all, and the model"
        return Verdict("not_found", f"There is nothing at this path (status {status}): {hint}.{words}")
    if status == 429:
        return Verdict("rate_limited", f"The credential is good, but has reached a limit (status 429).{words}")
    if status >= 500:
        return Verdict("provider_error", f"The provider is in trouble (status {status}).{words}")
    return Verdict("rejected", f"The call was rejected (status {status}).{words}")


def _said(body: bytes) -> str:
    """The provider's own words, short and without what may be a credential."""
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = None
    for _ in range(4):
        if isinstance(found, list) and found:
            found = found[0]
        elif isinstance(found, dict):
            found = next((found[name] for name in ("error", "errors", "message", "detail", "msg") if found.get(name)), None)
    text = found if isinstance(found, str) else ""
    return _TOKEN.sub(_hidden, _printable(text))[:SAID_LIMIT]


def _hidden(match: re.Match[str]) -> str:
    """Words stay; what has digits and letters mixed, as keys have, does not."""
    text = match[0]
    return "..." if any(sign.isdigit() or sign == "*" for sign in text) and any(sign.isalpha() for sign in text) else text


def _shown_url(url: str) -> str:
    """A URL without what may be secret in it."""
    url = _printable(url)
    try:
        parts = urlsplit(url)
        bare = f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else url.partition("?")[0]
    except ValueError:
        bare = ""
    return bare[:SAID_LIMIT] or "nowhere"


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)

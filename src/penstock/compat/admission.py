"""Admission: how the routes here let people in who show a secret of the settings."""

from __future__ import annotations

import hmac

from fastapi import Request

PREFETCH_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")


def same_secret(given: str, secret: str) -> bool:
    """Whether they are the same; takes as long for a near miss as for any other."""
    return hmac.compare_digest(given.encode(errors="surrogatepass"), secret.encode())


def bearer_of(request: Request) -> str:
    """What `Authorization` shows, with or without the word Bearer; empty when there is no such header."""
    bearer = request.headers.get("authorization", "").strip()
    return bearer[7:].lstrip() if bearer[:7].lower() == "bearer " else bearer


def shows_secret(request: Request, secret: str, header: str, parameter: str = "") -> bool:
    """Whether the secret is in `Authorization`, in the named header, or in the value of a query parameter, if there is one."""
    shown = (bearer_of(request), request.headers.get(header, ""), parameter)
    # All are compared, so that the time does not tell which of them was right.
    return sum(same_secret(given, secret) for given in shown) > 0


def is_prefetch(request: Request) -> bool:
    """Whether a browser asks before its user has: nothing may be changed then."""
    purposes = " ".join(request.headers.get(name, "") for name in PREFETCH_HEADERS).lower()
    return any(word in purposes for word in ("prefetch", "prerender", "preview"))

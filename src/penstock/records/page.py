"""The page of a shared record: what a browser is shown. It has no scripts, loads nothing, and everything in it is escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Any

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}"
    "h1{font-size:1.3rem;overflow-wrap:anywhere}h2{font-size:1rem;margin:1.5rem 0 .3rem}table{border-collapse:collapse}"
    "th{text-align:left;font-weight:500;color:#666;padding:.1rem 1rem .1rem 0;vertical-align:top}td{overflow-wrap:anywhere}"
    "pre{background:#f5f5f5;padding:.7rem;white-space:pre-wrap;overflow-wrap:anywhere;border-radius:4px}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}pre{background:#262626}th{color:#999}}"
)
_HASH = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex, nofollow",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "vary": "accept",
}
"""Of every answer behind a shared link, of JSON too."""
TEXT_LIMIT = 500_000
"""Characters of one body that the page shows."""
_SIGNS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
_SIDES = {
    "request": "Request of the client", "ruled": "After the rules", "sent": "Request to the provider", "answer": "Answer of the provider",
    "response": "Answer to the client",
}  # fmt: skip


def page_of(facts: Mapping[str, Any], expires_at: str) -> str:
    """The page of what `sharing.shared_shown` says."""
    record = facts["record"]
    about = {name: value for name, value in facts.items() if name not in ("record", "missing") and value is not None}
    parts = [f"<h1>{_text(facts['method'])} {_text(facts['path'])}</h1>", _table(about)]
    if record is None:
        parts.append(f"<p>{_text(facts['missing'])}</p>")
    else:
        for name, title in _SIDES.items():
            if (side := record.get(name)) is not None:
                parts += [f"<h2>{title}</h2>", *_side(side)]
        if record["phases_us"]:
            parts += ["<h2>Microseconds of each phase</h2>", _table(record["phases_us"])]
    parts.append(f"<p>This link works until {_text(expires_at)}.</p>")
    return _framed(f"Record {_text(facts['id'])}", "".join(parts))


def nothing() -> str:
    """The page of a link that leads nowhere."""
    return _framed("Nothing here", "<h1>Nothing here</h1><p>The link is wrong, has expired or was revoked.</p>")


def _framed(title: str, inside: str) -> str:
    """`title` and `inside` are HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="robots" content="noindex">'
        '<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>{inside}</body></html>"
    )


def _side(side: Mapping[str, Any]) -> list[str]:
    parts = []
    if (first := side.get("status", side.get("line"))) is not None:
        parts.append(f"<p>{_text(first)}</p>")
    if side.get("headers"):
        parts.append(_table(side["headers"]))
    if side.get("body") is not None:
        parts.append(f"<pre>{_text(side['body'])}</pre>")
    return parts


def _table(facts: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in facts.items())
    return f"<table>{rows}</table>"


def _text(value: Any) -> str:
    """Any value as text that HTML takes for nothing else. Characters that no document may have become signs of themselves."""
    text = str(value)
    if len(text) > TEXT_LIMIT:
        text = f"{text[:TEXT_LIMIT]} [{len(text) - TEXT_LIMIT} characters more; JSON has them all]"
    return escape(text.encode(errors="replace").decode().translate(_SIGNS))

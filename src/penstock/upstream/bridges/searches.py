"""Searches: the platform's two, to Google's Custom Search and to Serper. Both answer with the vendor's JSON as it is."""

from __future__ import annotations

from urllib.parse import unquote_plus

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.bridge import Spot
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.single import Single, fields_of, text_of
from penstock.upstream.wires import WIRES

_CREDENTIALS = frozenset(("key", "access_token", "oauth_token", "upload_protocol", "quotaUser", "userIp", "model"))
"""Of Google's parameters those that are about who asks: that is the operator here."""
_SHAPES = frozenset(("alt", "callback", "prettyPrint", "fields"))
"""Of Google's parameters those that change what the answer looks like: it is always plain JSON, and whole."""
_NUMBERS = ("num", "page")


class GoogleSearch:
    """From the platform's Google search to Google's: the query goes on, without credentials."""

    source = "google_search"
    target = "custom_search"

    def cross(self, body: bytes, spot: Spot) -> Single:
        """The same query. Raises PenstockError `invalid_request` where it asks nothing."""
        dropped, kept, asked = Dropped(), [], False
        for pair in spot.query.split(b"&"):
            name, _, value = (unquote_plus(part.decode("latin-1")) for part in pair.partition(b"="))
            if not name or name in _CREDENTIALS or name.startswith("$"):
                continue
            if name in _SHAPES:
                dropped.note(name)
                continue
            asked = asked or (name == "q" and bool(value.strip()))
            kept.append(pair)
        if not asked:
            raise PenstockError("invalid_request", "Say what to search for: give the parameter q in the URL.", param="q")
        wire = WIRES[self.source]
        path, query = "/customsearch/v1", b"&".join(kept)
        return Single(wire, wire.peek(b""), wire.dialect, spot.request_id, path, b"GET", query, headers=b"", dropped=dropped.header())


class SerperSearch:
    """From the platform's Serper search to Serper's: numbers become numbers, `cache` is left out."""

    source = "serper"
    target = "serper_search"

    def cross(self, body: bytes, spot: Spot) -> Single:
        """The same fields as JSON. Raises PenstockError `invalid_json` and `invalid_request`."""
        fields, dropped = fields_of(body), Dropped()
        if not text_of(fields, "q"):
            raise PenstockError("invalid_request", "Say what to search for: give the field q.", param="q")
        _check_flat(fields)
        sent = {name: value for name, value in fields.items() if value not in {None, ""}}
        for name in _NUMBERS:
            if name in sent:
                sent[name] = _whole(name, sent[name])
        if isinstance(flag := sent.get("autocorrect"), str):
            sent["autocorrect"] = flag.strip().lower() not in {"false", "0"}
        if sent.pop("cache", None) is not None:
            dropped.note("cache")
        sent.pop("model", None)
        wire = WIRES[self.source]
        body = msgspec.json.encode(sent)
        return Single(wire, wire.peek(b""), wire.dialect, spot.request_id, "/search", body=body, dropped=dropped.header())


def _check_flat(fields: dict[str, object]) -> None:
    """Raises PenstockError `invalid_request` for a field that is no plain value."""
    wrong = next((name for name, value in fields.items() if isinstance(value, (dict, list))), None)
    if wrong is not None:
        raise PenstockError("invalid_request", f"{wrong[:40]} must be text or a number.", param=wrong[:40])


def _whole(name: str, value: object) -> int:
    text = str(value).strip() if type(value) in {str, int} else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) >= 1):
        raise PenstockError("invalid_request", f"{name} must be a whole number of 1 or more.", param=name)
    return int(text)


BRIDGES = (GoogleSearch(), SerperSearch())

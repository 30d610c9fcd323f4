"""Sets of channels as TOML or JSON, to be kept in a file and brought in elsewhere. Secrets are read from them and never written."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from penstock.channels.drafts import Draft, discovers, provider_of
from penstock.channels.service import Given, Whole, pairs_of
from penstock.kit.errors import PenstockError
from penstock.kit.money import PER_MILLION

FORMAT = "penstock.channels/1"
SIZE_LIMIT = 32 * 1024 * 1024
CHANNELS_LIMIT = 2000
"""Of one set."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
"""Keys that TOML takes without quotes."""


class Entry(NamedTuple):
    """A channel of a set. A credential without a secret keeps the one that it has, where there is one with its label."""

    draft: Draft
    credentials: Sequence[Given]


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    served: str | None = None


class _Credential(msgspec.Struct, forbid_unknown_fields=True):
    secret: str = ""
    label: str = ""
    enabled: bool = True


class _Channel(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    provider: str
    base_url: str = ""
    models: list[str | _Model] = msgspec.field(default_factory=lambda: ["*"])
    wires: list[str] | None = None
    priority: int = 0
    weight: int = 1
    proxy: str | None = None
    headers: dict[str, str] = {}
    timeouts: dict[str, float] = {}
    on_disconnect: str | None = None
    tags: list[str] = []
    options: dict[str, Any] = {}
    cost_micro: int = PER_MILLION
    allow_private: bool | None = None
    enabled: bool = True
    discover: bool | None = None
    credentials: list[_Credential] = []


class _Set(msgspec.Struct, forbid_unknown_fields=True):
    channels: list[_Channel]
    format: str = FORMAT


def read_set(raw: bytes) -> list[Entry]:
    """The channels of a set. What they are is checked when they are brought in. Raises PenstockError, which names the place."""
    if len(raw) > SIZE_LIMIT:
        raise PenstockError("body_too_large", f"A set of channels has at most {SIZE_LIMIT // 1024 // 1024} MiB.")
    try:
        found = msgspec.convert(_parsed(raw), _Set)
    except msgspec.ValidationError as wrong:
        raise PenstockError("invalid_request", f"This is no set of channels: {wrong}.", param="channels") from None
    if found.format != FORMAT:
        raise PenstockError("invalid_request", f"The format '{found.format[:100]}' is not known; it is {FORMAT}.", param="format")
    if not 1 <= len(found.channels) <= CHANNELS_LIMIT:
        raise PenstockError("invalid_request", f"A set has 1 to {CHANNELS_LIMIT} channels.", param="channels")
    if len({each.name for each in found.channels}) != len(found.channels):
        raise PenstockError("invalid_request", "Each name is given once.", param="channels")
    return [_entry(each) for each in found.channels]


def _parsed(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8-sig")
        return json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as wrong:
        raise PenstockError("invalid_request", f"This is neither TOML nor a JSON object: {wrong}.") from None


def _entry(given: _Channel) -> Entry:
    models = [(model, None) if isinstance(model, str) else (model.name, model.served) for model in given.models]
    plain = {name: getattr(given, name) for name in given.__struct_fields__ if name not in ("models", "credentials")}
    return Entry(Draft(models=models, **plain), [Given(each.secret, each.label, each.enabled) for each in given.credentials])


def facts_of(whole: Whole, opened: Mapping[str, Any]) -> dict[str, Any]:
    """A channel as an entry of a set, without secrets, and without what is as it would be by itself. `opened` has its proxy."""
    row = whole.row
    provider = provider_of(row.provider)
    plain = Draft(row.name, row.provider, models=pairs_of(row))
    usual = {"allow_private": provider.local, "discover": discovers(plain), "base_url": provider.base_url, "models": ["*"]}
    facts: dict[str, Any] = {"name": row.name, "provider": row.provider, "base_url": row.base_url}
    facts["models"] = [public if served is None else {"name": public, "served": served} for public, served in pairs_of(row)]
    for name in (
        "wires", "priority", "weight", "timeouts", "on_disconnect", "tags", "options", "cost_micro", "allow_private", "enabled", "discover",
    ):  # fmt: skip
        facts[name] = getattr(row, name)
        usual.setdefault(name, getattr(plain, name))
    kept = {name: value for name, value in facts.items() if name in ("name", "provider") or value not in (usual[name], [], {})}
    if opened.get("proxy") and "@" not in opened["proxy"]:
        kept["proxy"] = opened["proxy"]
    if whole.credentials:
        kept["credentials"] = [{"label": each.label, **({} if each.enabled else {"enabled": False})} for each in whole.credentials]
    return kept


def write_json(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """A set as JSON."""
    return json.dumps({"format": FORMAT, "channels": list(entries)}, indent=2, ensure_ascii=False).encode() + b"\n"


def write_toml(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """A set as TOML."""
    lines = [f"format = {_toml(FORMAT)}"]
    for entry in entries:
        lines += ["", "[[channels]]", *(f"{name} = {_toml(value)}" for name, value in entry.items())]
    return ("\n".join(lines) + "\n").encode()


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = ((name if _BARE.fullmatch(name) else _toml(name), each) for name, each in value.items() if each is not None)
        return "{" + ", ".join(f"{name} = {_toml(each)}" for name, each in pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # a JSON string is a TOML string, but for DEL
    return json.dumps(value)


def shown_proxy(url: str | None) -> str | None:
    """A proxy without its user and password."""
    if url is None:
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{'...@' if '@' in parts.netloc else ''}{parts.netloc.rpartition('@')[2]}"

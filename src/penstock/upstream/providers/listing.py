"""Listing: what models a provider has, by the list that OpenAI, Anthropic and all who copy them answer `GET /v1/models` with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.upstream.offers import Offer
from penstock.upstream.providers.provider import Provider

if TYPE_CHECKING:
    from penstock.upstream.errands.errand import Fetch, Fetched

PATH = "/v1/models"
PAGES = 20
"""Of a list that is read at most."""
OFFERS_LIMIT = 20_000
NAME_LIMIT = 512
_MODALITIES = ("text", "image", "audio", "video", "file")
_CONTEXT = ("context_length", "context_window", "max_model_len", "max_context_length", "max_input_tokens", "inputTokenLimit")
_OUTPUT = ("max_completion_tokens", "max_output_tokens", "max_tokens", "outputTokenLimit")


class Listing(Provider):
    """A provider that has a list of its models."""

    async def discover(self, fetch: Fetch, options: Mapping[str, Any]) -> list[Offer] | None:
        """The models that the credential can use, all pages of them. Raises UpstreamError, and ValueError for what is no list."""
        found: dict[str, Offer] = {}
        query = b"limit=1000" if self.wires[0] == "messages" else b""
        for _ in range(PAGES):
            offers, after = read_list(await fetch("GET", PATH, query=query))
            found.update((offer.name, offer) for offer in offers)
            if after is None or len(found) >= OFFERS_LIMIT:
                break
            query = b"limit=1000&after_id=" + after.encode()
        return list(found.values())[:OFFERS_LIMIT]


def read_list(answer: Fetched) -> tuple[list[Offer], str | None]:
    """The models of one page, and what the next one comes after; None: it is the last. What has no name is passed over.

    Raises ValueError, which says what came instead of a list.
    """
    if answer.status != 200:
        raise ValueError(f"the list of models was answered with status {answer.status}")
    try:
        page = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("the list of models is not JSON") from None
    rows = page
    after = None
    if isinstance(page, dict):
        rows = page.get("data", page.get("models"))
        last = page.get("last_id")
        if page.get("has_more") is True and isinstance(last, str) and last.isascii() and last.isprintable() and " " not in last:
            after = last
    if not isinstance(rows, list):
        raise ValueError("what was answered is not a list of models")  # noqa: TRY004  it is about what came
    return [offer for row in rows if (offer := _offer(row)) is not None], after


def _offer(row: Any) -> Offer | None:
    if isinstance(row, str):
        row = {"id": row}
    if not isinstance(row, dict):
        return None
    name = _text(row, "id") or _text(row, "name")
    # Google's OpenAI door lists `models/gemini-...`, and takes the name without as well.
    name = name.removeprefix("models/")
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        return None
    created = row.get("created")
    architecture = row.get("architecture")
    kinds = architecture if isinstance(architecture, dict) else row
    top = row.get("top_provider")
    return Offer(
        name=name,
        title=_text(row, "display_name") or (_text(row, "name") if "id" in row else ""),
        owner=_text(row, "owned_by") or _text(row, "organization"),
        created=created if isinstance(created, int) and 0 <= created < 1 << 40 else 0,
        context_tokens=_count(row, _CONTEXT),
        output_tokens=_count(row, _OUTPUT) or (_count(top, _OUTPUT) if isinstance(top, dict) else None),
        inputs=_modalities(kinds.get("input_modalities")),
        outputs=_modalities(kinds.get("output_modalities")),
    )


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    return value[:NAME_LIMIT] if isinstance(value, str) else ""


def _count(row: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = row.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40:
            return value
    return None


def _modalities(value: Any) -> tuple[str, ...]:
    return tuple(kind for kind in _MODALITIES if kind in value) if isinstance(value, list) else ()

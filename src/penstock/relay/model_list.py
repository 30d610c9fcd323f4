"""Models: what a key may ask for, listed in the shape of whoever asks. `GET /v1/models`, `/v1/models/{id}`, `/v1beta/models`.

Answered from memory, without asking a provider: https://platform.openai.com/docs/api-reference/models,
https://docs.anthropic.com/en/api/models-list, https://ai.google.dev/api/models. Only where clients come with a provider's own
credential does the provider answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

import msgspec

from penstock.catalog.door import Entry
from penstock.channels.door import Listed
from penstock.kit.clock import iso
from penstock.kit.errors import PenstockError
from penstock.kit.tasks import spawn
from penstock.relay.admit import find_caller, look_up
from penstock.relay.outcome import COMPLETE
from penstock.relay.permit import permit

if TYPE_CHECKING:
    from penstock.channels.door import Roster
    from penstock.keys.door import Caller
    from penstock.relay.exchange import Exchange
    from penstock.relay.plane import Plane

MODELS_PATH, GOOGLE_PATH = "/v1/models", "/v1beta/models"
PROTOCOLS = {
    "openai-chat": "chat", "openai-images": "images", "openai-embeddings": "embeddings", "openai-responses": "responses",
    "openai-audio": "speech", "anthropic-messages": "messages", "gemini": "gemini",
}  # fmt: skip
"""What `?protocol=` may be: these, and the names of wires."""
KEPT = 128
LIMIT, LIMIT_MOST = 20, 1000
"""Of an Anthropic page, unless asked, and at most."""
DIGITS = 10
_GOOGLE_METHODS = {
    "gemini": ("generateContent", "streamGenerateContent"),
    "gemini_count": ("countTokens",),
    "gemini_embed": ("embedContent",),
}


def is_model_list(path: str) -> bool:
    """The path is one of those that are answered here."""
    return path in {MODELS_PATH, GOOGLE_PATH} or path.startswith((f"{MODELS_PATH}/", f"{GOOGLE_PATH}/"))


async def answer_models(exchange: Exchange, plane: Plane) -> None:
    """Answer one exchange. Raises PenstockError: 401, 403, 404 for a model that there is not, or that the key may not use."""
    caller = find_caller(exchange, plane) or await look_up(exchange, plane)  # 401 503
    permit(caller, exchange, plane, wire=False)  # 403
    google = exchange.is_google
    query = {name: values[-1] for name, values in parse_qs(exchange.target.query.decode("ascii")).items()}
    path = exchange.target.path.removeprefix(GOOGLE_PATH).removeprefix(MODELS_PATH)
    shape = "google" if google else "anthropic" if exchange.is_anthropic else "openai"
    roster: Roster = plane.door.known_roster or await spawn(plane.door.roster(), name="roster", awaited=True)
    rates: Rates = {}
    if shape == "openai":
        entries = await spawn(plane.catalog.listing(caller.multiplier_micro), name="rates", awaited=True)
        rates = plane.lists.priced(caller.multiplier_micro, entries)
    if path.startswith("/"):
        model = roster.models.get(unquote(path[1:]))
        if model is None or not caller.allows(model.model):
            raise PenstockError(
                "model_not_found", f"The model {unquote(path[1:])!r} is not served here, or not to this key.", param="model"
            )
        body = msgspec.json.encode(_SHAPES[shape](model, rates))
    else:
        body = _listed(roster, caller, shape, query, rates, plane)
    head = exchange.head(200, [b"content-type: application/json\r\n"], b"content-length: %d\r\n" % len(body))
    exchange.write(head if exchange.target.method == b"HEAD" else head + body)
    plane.metrics.exchange_ended("models", 200, COMPLETE, 0, 0, None, 0)
    exchange.finish()


def _listed(
    roster: Roster, caller: Caller, shape: str, query: dict[str, str], rates: Rates, plane: Plane
) -> bytes:  # fmt: skip
    """The whole list, or a page of it; kept for callers who may use the same models."""
    asked = tuple(query.get(name, "")[:200] for name in _ASKED[shape])
    wanted = _wanted(query.get("protocol"))
    whose = (wanted, caller.models, caller.tier_models)
    about = (shape, asked, "client_version" in query, whose, caller.multiplier_micro)
    kept = plane.lists
    if kept.of is not roster:
        kept.of = roster
        kept.bodies.clear()
        kept.usable.clear()
    body = kept.bodies.get(about)
    if body is None:
        models = kept.usable.get(whose)
        if models is None:
            models = [model for model in roster.models.values() if (wanted is None or wanted in model.wires) and caller.allows(model.model)]
            if len(kept.usable) >= KEPT:
                kept.usable.clear()
            kept.usable[whose] = models
        body = msgspec.json.encode(_LISTS[shape](models, query, rates))
        if len(kept.bodies) >= KEPT:
            kept.bodies.clear()
        kept.bodies[about] = body
    return body


Rates = Mapping[str, Entry]
"""What models cost whoever asks."""
_PRICED = (
    ("prompt", "input_mtok", 6), ("completion", "output_mtok", 6), ("input_cache_read", "cache_read_mtok", 6),
    ("input_cache_write", "cache_write_mtok", 6), ("image", "images_count", 0), ("request", "requests_kcount", 3),
)  # fmt: skip
"""Names of OpenRouter's, the rates they stand for, and for how many of it these are, in powers of ten."""
_ASKED = {"openai": (), "anthropic": ("limit", "after_id", "before_id"), "google": ("pageSize", "pageToken")}
"""What of a query changes an answer, besides the protocol."""


def _wanted(protocol: str | None) -> str | None:
    return None if protocol is None else PROTOCOLS.get(protocol, protocol)


def _pricing(entry: Entry) -> dict[str, str]:
    """Rates as OpenRouter shows them: dollars for one token, picture or call. Of rates by the length of the context the first."""
    if entry.free:
        return dict.fromkeys(("prompt", "completion"), "0")
    card, shown = entry.rates.get("standard", {}), {}
    for name, rate, places in _PRICED:
        dollars = card.get(rate)
        if isinstance(dollars, list):
            dollars = dollars[0]["dollars"]
        if dollars is not None:
            shown[name] = format(Decimal(dollars).scaleb(-places).normalize(), "f")
    return shown


def _openai(model: Listed, rates: Rates) -> dict[str, Any]:
    """OpenAI's four fields, and what other lists say besides: Anthropic's display_name, OpenRouter's sizes, modalities and prices."""
    offer = model.offer
    shown: dict[str, Any] = {"id": model.model, "object": "model", "created": offer.created, "owned_by": model.owner}
    if offer.title:
        shown |= {"name": offer.title, "display_name": offer.title}
    if offer.context_tokens is not None:
        shown["context_length"] = offer.context_tokens
    if offer.output_tokens is not None:
        shown["max_output_tokens"] = offer.output_tokens
    if offer.inputs or offer.outputs:
        shown["architecture"] = {"input_modalities": offer.inputs or ("text",), "output_modalities": offer.outputs or ("text",)}
    if (entry := rates.get(model.model)) is not None:
        shown["pricing"] = _pricing(entry)
        if offer.context_tokens is None and entry.context_tokens is not None:
            shown["context_length"] = entry.context_tokens
    return shown


def _openai_list(models: Iterable[Listed], query: dict[str, str], rates: Rates) -> dict[str, Any]:
    listed: dict[str, Any] = {"object": "list", "data": [_openai(model, rates) for model in models]}
    if "client_version" in query:
        listed["models"] = []  # Codex wants its own list; an empty one leaves it to what it knows of models itself
    return listed


def _number(text: str | None, usual: int) -> int:
    """A whole number of a query, at most a billion; the usual one where there is none."""
    return int(text) if text and text.isdecimal() and len(text) < DIGITS else usual


def _anthropic(model: Listed, _: Rates) -> dict[str, Any]:
    offer = model.offer
    shown: dict[str, Any] = {
        "type": "model",
        "id": model.model,
        "display_name": offer.title or model.model,
        "created_at": iso(offer.created * 1000),
    }
    if offer.context_tokens is not None:
        shown["max_input_tokens"] = offer.context_tokens
    if offer.output_tokens is not None:
        shown["max_tokens"] = offer.output_tokens
    return shown


def _anthropic_list(models: list[Listed], query: dict[str, str], rates: Rates) -> dict[str, Any]:
    limit = min(max(_number(query.get("limit"), LIMIT), 1), LIMIT_MOST)
    ids = [model.model for model in models]
    first, last = 0, len(ids)
    if (after := query.get("after_id")) in ids:
        first = ids.index(after) + 1
    elif (before := query.get("before_id")) in ids:
        last = ids.index(before)
        first = max(0, last - limit)
    page = models[first : min(last, first + limit)]
    more = first > 0 if "before_id" in query else first + limit < len(ids)
    ends = (page[0].model, page[-1].model) if page else (None, None)
    return {"data": [_anthropic(model, rates) for model in page], "has_more": more, "first_id": ends[0], "last_id": ends[1]}


def _google(model: Listed, _: Rates) -> dict[str, Any]:
    offer = model.offer
    methods = [method for wire, methods in _GOOGLE_METHODS.items() if wire in model.wires for method in methods]
    shown: dict[str, Any] = {
        "name": f"models/{model.model}",
        "displayName": offer.title or model.model,
        "supportedGenerationMethods": methods,
    }
    if offer.context_tokens is not None:
        shown["inputTokenLimit"] = offer.context_tokens
    if offer.output_tokens is not None:
        shown["outputTokenLimit"] = offer.output_tokens
    return shown


def _google_list(models: list[Listed], query: dict[str, str], rates: Rates) -> dict[str, Any]:
    size = min(max(_number(query.get("pageSize"), LIMIT_MOST), 1), LIMIT_MOST)
    begin = _number(query.get("pageToken"), 0)
    usable = [model for model in models if not model.wires.isdisjoint(_GOOGLE_METHODS)]
    listed: dict[str, Any] = {"models": [_google(model, rates) for model in usable[begin : begin + size]]}
    return listed | ({"nextPageToken": str(begin + size)} if begin + size < len(usable) else {})


_SHAPES: dict[str, Callable[[Listed, Rates], dict[str, Any]]] = {"openai": _openai, "anthropic": _anthropic, "google": _google}
_LISTS: dict[str, Callable[[list[Listed], dict[str, str], Rates], dict[str, Any]]] = {
    "openai": _openai_list, "anthropic": _anthropic_list, "google": _google_list,
}  # fmt: skip

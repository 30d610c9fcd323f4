"""Cloudflare Workers AI. Its wires are bridged to: no client speaks them as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.bridges.workers.failures import failure_in, read_failure
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.offers import Offer
from penstock.upstream.providers.provider import Provider
from penstock.upstream.providers.workers_models import CHAT, EMBEDDINGS, IMAGES, Pictures, model_name, offer_of, pictures_of, wire_of

if TYPE_CHECKING:
    from penstock.upstream.errands.errand import Fetch, Fetched

BASE_URL = "https://api.cloudflare.com/client/v4/accounts/{account_id}/ai"
"""Where an account's Workers AI is."""
PAGE_SIZE = 100
PAGES_LIMIT = 50
SCHEMAS_AT_ONCE = 4
CALLER = b"accept: application/json\r\nuser-agent: penstock\r\n"
"""Sent with calls that no client has made: what stands before Cloudflare's API may turn nameless callers away."""


def base_url(account_id: str, template: str = "") -> str:
    """The base URL of an account's channel. `template` stands for Cloudflare's own; it may have `{account_id}` in it."""
    return (template or BASE_URL).replace("{account_id}", quote(account_id, safe="")).rstrip("/")


class WorkersAI(Provider):
    """Workers AI: the account is in the base URL, models are in paths with their slashes as they are."""

    def target(self, base_path: str, path: str) -> str:
        """The path to call. The base URL that Cloudflare gives for OpenAI's SDKs, ending in `/ai/v1`, is taken too."""
        return base_path.rstrip("/").removesuffix("/v1") + path

    async def discover(self, fetch: Fetch, options: Mapping[str, Any]) -> list[Offer] | None:
        """The models of the account. Those that nothing here can use are offered without a wire, so that they are refused by name."""
        items = await _items(fetch)
        slots = asyncio.Semaphore(SCHEMAS_AT_ONCE)
        pictures = await asyncio.gather(*(_pictures(fetch, item, slots) for item in items.values()))
        offers = (offer_of(item, drawn) for item, drawn in zip(items.values(), pictures, strict=True))
        return [offer for offer in offers if offer is not None]


async def _items(fetch: Fetch) -> dict[str, dict[str, Any]]:
    """Every item of the list by its model's name. Raises UpstreamError, ValueError."""
    found: dict[str, dict[str, Any]] = {}
    first = 0
    for page in range(1, PAGES_LIMIT + 1):
        fetched = await fetch("GET", "/models/search", query=b"per_page=%d&page=%d" % (PAGE_SIZE, page), headers=CALLER)
        items = _result(fetched)
        if not isinstance(items, list):
            raise ValueError("Workers AI's list of models is not a list")  # noqa: TRY004  the answer is wrong, not our code
        named = {name: item for item in items if isinstance(item, dict) and (name := model_name(item.get("name"))) is not None}
        fresh = named.keys() - found.keys()
        found.update(named)
        first = first or len(items)
        # Whatever it makes of `per_page`, a page shorter than the first is the last; one that brings nothing new is a repeated one.
        if not fresh or len(items) < first:
            break
    return found


async def _pictures(fetch: Fetch, item: dict[str, Any], slots: asyncio.Semaphore) -> Pictures | None:
    if wire_of(item) != IMAGES:
        return None
    async with slots:
        return await find_pictures(fetch, item["name"])


async def find_pictures(fetch: Fetch, name: str) -> Pictures | None:
    """How a model is asked for a picture, by its schema; a schema that cannot be had does not hide the model."""
    try:
        schema = _result(await fetch("GET", "/models/schema", query=b"model=" + quote(name, safe="").encode("ascii"), headers=CALLER))
    except (ValueError, UpstreamError):
        schema = None
    return pictures_of(name, schema)


def _result(fetched: Fetched) -> Any:
    """What is in the envelope. Raises ValueError, which says what Cloudflare has said."""
    if fetched.status != 200:
        raise ValueError(_said(read_failure(fetched.status, fetched.body)))
    try:
        answer = msgspec.json.decode(fetched.body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as wrong:
        raise ValueError(f"Workers AI has answered with something else than JSON: {wrong}") from None
    failure = failure_in(answer)
    if failure is not None:
        raise ValueError(_said(failure))
    return answer.get("result") if isinstance(answer, dict) else answer


def _said(failure: Failure) -> str:
    return f"{failure.message} (status {failure.status})"


PROVIDER = WorkersAI(
    "workers-ai",
    (CHAT, EMBEDDINGS, IMAGES),
    base_has_version=False,
    credential_header=b"authorization",
    credential_prefix=b"Bearer ",
    title="Cloudflare Workers AI",
    priced_as="cloudflare",
    options={
        "default_image_model": "The model that makes pictures when a request names none.",
        "default_image_size": "Width and height of a picture when a request does not say, such as 1024x1024.",
        "max_image_count": "So many pictures may be asked for at once, 4 at most.",
    },
)

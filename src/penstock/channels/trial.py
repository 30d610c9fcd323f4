"""Trials: a real, tiny call over each credential of a channel, and what came of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

from penstock.channels.configured import channels_from
from penstock.channels.loading import Maker
from penstock.channels.models import CredentialRow
from penstock.channels.pools import Pools
from penstock.channels.service import Channels, Whole, pairs_of
from penstock.channels.verdicts import Verdict, of_answer, of_failure
from penstock.infra.secrets import Secrets
from penstock.kit.errors import PenstockError
from penstock.kit.pulse import Pulse
from penstock.settings import Settings
from penstock.upstream.channel import Channel
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.client.fetch import Fetcher
from penstock.upstream.names import Names
from penstock.upstream.offers import Offer

WAIT_S = 60.0
ANSWER_LIMIT = 4 * 1024 * 1024
LIST_LIMIT = 32 * 1024 * 1024
AT_ONCE = 4
"""Credentials that are tried at the same time."""
_TYPE = b"content-type: application/json\r\n"
_SAY = "Answer with the word OK."
_TOKENS = 16
_SMALL = ("nano", "mini", "flash-lite", "flash", "haiku", "small", "lite", "instant", "8b", "7b", "3b")
_NO_TALK = (
    "embed", "tts", "whisper", "audio", "image", "dall-e", "moderation", "realtime", "transcribe", "speech", "rerank", "guard", "sora",
    "video", "ocr", "live",
)  # fmt: skip
_NEW_CAP = frozenset(("openai", "azure-openai"))
"""Whose newest models take `max_completion_tokens` alone."""


class Trial(NamedTuple):
    """What came of trying one credential. `model` is as the provider knows it; `wire` None: only the list of models was asked for."""

    credential_id: str
    hint: str
    label: str
    verdict: Verdict
    model: str | None = None
    wire: str | None = None
    status: int | None = None
    latency_ms: int | None = None


class Trials:
    """Tries channels of the rows with connections of its own, so that nothing of what serves is in its way. `pulse` must beat."""

    def __init__(self, settings: Settings, channels: Channels, pulse: Pulse) -> None:
        self._settings = settings
        self._channels = channels
        self._pulse = pulse

    async def test(self, ref: str, *, model: str | None = None, credential_id: str | None = None) -> list[Trial]:
        """Try each credential of a channel, or one, with a model by its public name, or one that is found to be small.

        A channel from settings goes by its name.

        Raises PenstockError for a channel, a credential or a model that is not there.
        """
        try:
            whole = await self._channels.get(ref)
        except PenstockError:
            return [await self._try_configured(ref, model)]
        rows: Sequence[CredentialRow | None] = [each for each in whole.credentials if credential_id in (None, each.id)]
        if credential_id is not None and not rows:
            raise PenstockError("not_found", f"The channel '{whole.row.name}' has no credential '{credential_id[:200]}'.")
        if model is not None and Names(pairs_of(whole.row)).served(model) is None:
            raise PenstockError("not_found", f"The channel '{whole.row.name}' has no model '{model[:200]}'.", param="model")
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(row: CredentialRow | None) -> Trial:
            async with gate:
                return await self._try(whole, row, model)

        return list(await asyncio.gather(*map(one, rows or (None,))))

    async def _try(self, whole: Whole, row: CredentialRow | None, model: str | None) -> Trial:
        blank = Trial("" if row is None else row.id, "" if row is None else row.hint, "" if row is None else row.label, Verdict("", ""))
        with opened(self._settings, self._channels.secrets, self._pulse) as maker:
            try:
                channel = maker.make(whole.row, [] if row is None else [row], Names(pairs_of(whole.row)))[0]
            except PenstockError as refused:
                return blank._replace(verdict=Verdict("unusable", refused.message))
            except ValueError as wrong:
                return blank._replace(verdict=Verdict("unusable", f"It cannot be used: {wrong}."))
            return await _in_time(channel, blank, model)

    async def _try_configured(self, ref: str, model: str | None) -> Trial:
        with opened(self._settings, self._channels.secrets, self._pulse) as maker:
            named = (one for one in channels_from(self._settings, maker.pools, None) if one.name == ref and not one.transparent)
            if (channel := next(named, None)) is None:
                raise PenstockError("not_found", f"There is no channel '{ref[:200]}'.")
            if model is not None and channel.names.served(model) is None:
                raise PenstockError("not_found", f"The channel '{ref}' has no model '{model[:200]}'.", param="model")
            return await _in_time(channel, Trial("", "", "", Verdict("", "")), model)


async def _in_time(channel: Channel, blank: Trial, model: str | None) -> Trial:
    try:
        async with asyncio.timeout(WAIT_S):
            return await try_out(channel, blank, None if model is None else channel.names.served(model))
    except TimeoutError:
        return blank._replace(verdict=Verdict("timeout", f"There was no answer within {WAIT_S:g} seconds."))


@contextmanager
def opened(settings: Settings, secrets: Secrets, pulse: Pulse) -> Iterator[Maker]:
    """What makes channels with connections of their own, which are closed at the end of the block."""
    pools = Pools(settings, pulse)
    try:
        yield Maker(settings, secrets, pools)
    finally:
        pools.close()


async def try_out(channel: Channel, blank: Trial, model: str | None) -> Trial:
    """Call the provider over a channel; `model` is as it knows it, None: one of the channel's that is small."""
    wire = next((wire for wire in channel.wires if wire in CALLS), None)
    offers: Sequence[Offer] | None = None
    if wire is None or model is None:
        exact = [served for served in channel.names.exact.values() if channel.speaks(wire or "", served) or wire is None]
        if wire is None or not exact:
            listed = await _listed(channel, blank)
            if isinstance(listed, Trial):
                return listed
            offers = listed
        if wire is None:
            return _free(blank, offers)
        model = choose(exact or [offer.name for offer in offers or () if offer.wires is None or wire in offer.wires])
        if model is None:
            text = "Its models are not known by name, and the provider has no list of them: name one to try."
            return blank._replace(verdict=Verdict("no_model", text))
    path, body = CALLS[wire](model, channel.provider.name)
    began_s = time.perf_counter()
    try:
        answer = await Fetcher(channel, model, ANSWER_LIMIT)("POST", path, headers=_TYPE, body=json.dumps(body).encode())
    except (UpstreamError, PenstockError) as failure:
        return blank._replace(verdict=of_failure(failure), model=model, wire=wire)
    took_ms = round((time.perf_counter() - began_s) * 1000)
    return blank._replace(verdict=of_answer(wire, answer), model=model, wire=wire, status=answer.status, latency_ms=took_ms)


async def _listed(channel: Channel, blank: Trial) -> Sequence[Offer] | Trial | None:
    """What the provider offers; None: it has no list; a Trial: asking for it has failed."""
    seen: list[Any] = []
    fetcher = Fetcher(channel, None, LIST_LIMIT)

    async def fetch(method: str, path: str, *, query: bytes = b"", headers: bytes = b"", body: bytes = b"") -> Any:
        seen.append(await fetcher(method, path, query=query, headers=headers, body=body))
        return seen[-1]

    try:
        return await channel.provider.discover(fetch, channel.terms.options)
    except (UpstreamError, PenstockError, ValueError) as failure:
        verdict = of_answer("", seen[-1]) if seen else of_failure(failure) if not isinstance(failure, ValueError) else None
        if verdict is None or verdict.works:
            verdict = Verdict("rejected", f"Its list of models cannot be read: {failure}.")
        return blank._replace(verdict=verdict, status=seen[-1].status if seen else None)


def _free(blank: Trial, offers: Sequence[Offer] | None) -> Trial:
    if offers is None:
        return blank._replace(verdict=Verdict("costs", "Every call of this provider costs money, so none was made: try it with a request."))
    return blank._replace(verdict=Verdict("works", f"The credential is good: it can use {len(offers)} models. None was called."))


def choose(names: Sequence[str]) -> str | None:
    """One of the provider's models to try: one that talks, and a small one if there is any."""
    talking = [name for name in names if not any(word in name.lower() for word in _NO_TALK)]
    for size in _SMALL:
        for name in talking:
            if size in name.lower():
                return name
    return next(iter([*talking, *names]), None)


def _chat(model: str, provider: str) -> tuple[str, dict[str, Any]]:
    cap = "max_completion_tokens" if provider in _NEW_CAP else "max_tokens"
    return "/v1/chat/completions", {"model": model, cap: _TOKENS, "messages": [{"role": "user", "content": _SAY}]}


def _messages(model: str, _: str) -> tuple[str, dict[str, Any]]:
    return "/v1/messages", {"model": model, "max_tokens": _TOKENS, "messages": [{"role": "user", "content": _SAY}]}


def _responses(model: str, _: str) -> tuple[str, dict[str, Any]]:
    return "/v1/responses", {"model": model, "max_output_tokens": _TOKENS, "input": _SAY, "store": False}


def _gemini(model: str, _: str) -> tuple[str, dict[str, Any]]:
    body = {"contents": [{"role": "user", "parts": [{"text": _SAY}]}], "generationConfig": {"maxOutputTokens": _TOKENS}}
    return f"/v1beta/models/{quote(model, safe='')}:generateContent", body


def _completions(model: str, _: str) -> tuple[str, dict[str, Any]]:
    return "/v1/completions", {"model": model, "max_tokens": 1, "prompt": "OK"}


def _embeddings(model: str, _: str) -> tuple[str, dict[str, Any]]:
    return "/v1/embeddings", {"model": model, "input": "OK"}


CALLS: dict[str, Callable[[str, str], tuple[str, dict[str, Any]]]] = {
    "chat": _chat,
    "messages": _messages,
    "responses": _responses,
    "gemini": _gemini,
    "completions": _completions,
    "embeddings": _embeddings,
}
"""The call that costs next to nothing, by wire: its path and its body."""

"""An errand: what takes several calls to a provider, or none, to answer one request: predictions to be waited for, a call per picture.

It runs beside the walk, which waits for its result; when the client leaves it is cancelled. The whole answer is given at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.upstream.offers import Offer
from penstock.upstream.usage import Usage

ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of a provider's answer that are waited for."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a provider has answered to one call."""

    status: int
    content_type: str
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


class Fetch(Protocol):
    """Calls the channel's provider, with its credential and its limits of time.

    `path` is a normalised path such as "/v1/predictions/x", put through the provider's `target`. `headers` are whole lines, one that
    describes the body among them. Raises UpstreamError when nothing comes back, or more than `ANSWER_LIMIT`. Any status is an answer.
    """

    async def __call__(self, method: str, path: str, *, query: bytes = b"", headers: bytes = b"", body: bytes = b"") -> Fetched: ...


class Download(Protocol):
    """Fetches a file from a URL that a provider has given, through the guard of `infra.outbound`. Raises UpstreamError."""

    async def __call__(self, url: str) -> Fetched: ...


@dataclass(frozen=True, slots=True)
class Order:
    """What an errand is to do. `fields` is the request, a JSON object or the plain fields of a form."""

    model: str
    """As the provider knows it."""
    public: str
    path: str
    query: bytes
    fields: dict[str, Any]
    request_id: str
    created: int
    fetch: Fetch
    download: Download
    settings: dict[str, Any]
    """The channel's own options."""
    offer: Offer | None = None
    """What the provider says of the model; None while it has not."""


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to the client and what it consumed; of status 400 and more it is an error in the client's dialect already."""

    status: int
    content_type: bytes
    body: bytes
    usage: Usage
    dropped: bytes = b""
    """A header line, as `Dropped.header` gives it."""


class Errand(Protocol):
    """From a client's wire to a provider's, as several calls. Stateless and shared."""

    source: str
    target: str

    async def run(self, order: Order) -> Result:
        """Do it. Raises PenstockError for what is refused and UpstreamError where the provider failed: nothing is charged then."""

"""Downloads: files from URLs that somebody else has chosen, through the guard, bounded in size, time and redirects."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from penstock.infra.outbound import resolve
from penstock.kit.errors import PenstockError
from penstock.kit.pulse import Pulse
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.client.dial import LookUp
from penstock.upstream.client.gather import gather
from penstock.upstream.client.head import Head
from penstock.upstream.client.origin import Origin
from penstock.upstream.client.pool import Limits, Pool
from penstock.upstream.client.proxy import Proxy
from penstock.upstream.errands.errand import ANSWER_LIMIT, Fetched

TOTAL_S = 120.0
REDIRECTS = 3
URL_LIMIT = 8192
_MOVED = frozenset((301, 302, 303, 307, 308))
_REQUEST = b"GET %b HTTP/1.1\r\nhost: %b\r\naccept: */*\r\naccept-encoding: identity\r\nuser-agent: penstock\r\nconnection: close\r\n\r\n"
_SAFE = "%/:=&?~+!$,;'@()*[]"


@dataclass(frozen=True, slots=True)
class Means:
    """How files are fetched: the trust in certificates, the way out, and whether private networks are allowed."""

    tls: ssl.SSLContext
    proxy: Proxy | None = None
    allow_private: bool = False
    total_s: float = TOTAL_S
    look_up: LookUp = resolve


async def download(url: str, means: Means, limit: int = ANSWER_LIMIT) -> Fetched:
    """GET a file of at most `limit` bytes. Nothing is sent with it: no credentials, no cookies. A status of 400 and more is an answer.

    At most `REDIRECTS` redirects are followed, each checked as the first URL is. Raises PenstockError `private_address`, and
    UpstreamError for whatever else keeps the file from coming.
    """
    try:
        async with asyncio.timeout(means.total_s):
            for _ in range(REDIRECTS + 1):
                head, content = await _get(url, means, limit)
                target = head.get(b"location") if head.status in _MOVED else None
                if target is None:
                    return Fetched(head.status, head.content_type.decode("latin-1"), content, head.headers)
                url = urljoin(url, target.decode("latin-1"))
    except TimeoutError:
        raise UpstreamError("timeout", f"the file did not come within {means.total_s:g} s") from None
    except ValueError:
        raise UpstreamError("invalid", "there is no http(s) URL of a file, or it leads to none") from None
    raise UpstreamError("invalid", f"the file's URL leads to more than {REDIRECTS} others")


async def _get(url: str, means: Means, limit: int) -> tuple[Head, bytes]:
    origin, target = _split(url)
    pool = Pool(origin, Limits(), Pulse(), means.tls, proxy=means.proxy, allow_private=means.allow_private, look_up=means.look_up)
    try:
        return await gather(await pool.connect(), _REQUEST % (target, origin.authority), limit)
    except UpstreamError as failure:
        if failure.refusal is not None:
            raise failure.refusal from None
        raise
    finally:
        pool.close()


def _split(url: str) -> tuple[Origin, bytes]:
    """Where to connect, and what to ask for. Raises ValueError."""
    if len(url) > URL_LIMIT or any(character < "!" for character in url):
        raise ValueError("not a URL")
    parts = urlsplit(url)
    origin = Origin.of(urlunsplit((parts.scheme, parts.netloc, "", "", "")))
    path = quote(parts.path, safe=_SAFE) or "/"
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    return origin, f"{path}{query}".encode("ascii")


class Downloader:
    """Fetches files: an `errands.Download`."""

    def __init__(self, means: Means, limit: int = ANSWER_LIMIT) -> None:
        self._means = means
        self._limit = limit

    async def __call__(self, url: str) -> Fetched:
        """The file. Raises UpstreamError."""
        try:
            return await download(url, self._means, self._limit)
        except PenstockError as refused:
            raise UpstreamError("refused", refused.message) from refused

"""Fetching: one call to a channel's provider, with its credential, and the whole answer."""

from __future__ import annotations

from penstock.upstream.channel import Channel
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.client.gather import gather
from penstock.upstream.errands.errand import ANSWER_LIMIT, Fetched

_WITH_BODY = frozenset(("POST", "PUT", "PATCH"))


async def fetch(  # noqa: PLR0913  what a request is
    channel: Channel,
    method: str,
    path: str,
    *,
    query: bytes = b"",
    headers: bytes = b"",
    body: bytes = b"",
    model: str | None = None,
    limit: int = ANSWER_LIMIT,
) -> Fetched:
    """Call the provider and wait for the whole answer, whatever its status.

    `path` is a normalised path such as "/v1/models"; `headers` are whole lines, one that describes the body among them. `model` is for
    providers that address by it. The pool's limits of time hold if its pulse beats. Raises UpstreamError when no answer comes, or
    one of more than `limit` bytes. Who is cancelled hangs up.
    """
    begin = channel.request(method.encode("ascii"), path, query, headers, model)
    framing = b"content-length: %d\r\n" % len(body) if body or method in _WITH_BODY else b""
    request = b"%b%b\r\n%b" % (begin, framing, body)
    to_head = method == "HEAD"
    connection = channel.pool.take() or await channel.pool.connect()
    try:
        head, content = await gather(connection, request, limit, to_head=to_head)
    except UpstreamError as failure:
        if not failure.reused:
            raise
        # A kept connection was closed in the instant it was used: the provider has not read the request.
        head, content = await gather(await channel.pool.connect(), request, limit, to_head=to_head)
    content = channel.without_secret(content) if head.status >= 400 else content
    return Fetched(head.status, head.content_type.decode("latin-1"), content, head.headers)


class Fetcher:
    """Calls to one channel's provider: an `errands.Fetch`. `model` is as the provider knows it."""

    def __init__(self, channel: Channel, model: str | None = None, limit: int = ANSWER_LIMIT) -> None:
        self._channel = channel
        self._model = model
        self._limit = limit
        self.begun = 0
        """So many POSTs have been done, or may have been: all but those that were refused."""
        self.sent = b""
        """The last POST as it went out."""
        self.came: Fetched | None = None
        """The last answer."""

    async def __call__(self, method: str, path: str, *, query: bytes = b"", headers: bytes = b"", body: bytes = b"") -> Fetched:
        """Call the provider. Raises UpstreamError."""
        posts = method == "POST"
        self.begun += posts
        if posts:
            head = self._channel.request(b"POST", path, query, headers, self._model)
            self.sent = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
        try:
            self.came = fetched = await fetch(
                self._channel, method, path, query=query, headers=headers, body=body, model=self._model, limit=self._limit
            )  # fmt: skip
        except UpstreamError as failure:
            self.begun -= posts and failure.kind in ("refused", "full")
            raise
        self.begun -= posts and fetched.status >= 300
        return fetched

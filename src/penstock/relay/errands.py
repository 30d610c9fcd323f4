"""Errands on the walk: an answer that takes several calls to a provider, or none, and comes whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.kit.tasks import spawn
from penstock.kit.walker import Signal
from penstock.relay.exchange import stopping
from penstock.relay.forms import is_multipart, is_urlencoded, multipart_fields, urlencoded_fields
from penstock.relay.outcome import COMPLETE, STOPPED
from penstock.relay.request import sent_of
from penstock.relay.splice import refusal
from penstock.relay.tape import Tape
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.client.download import Downloader, Means
from penstock.upstream.client.fetch import Fetcher
from penstock.upstream.client.head import Head
from penstock.upstream.complaints import ProviderRefusal
from penstock.upstream.errands.errand import Order, Result
from penstock.upstream.faults import fault_of
from penstock.upstream.usage import Usage

if TYPE_CHECKING:
    from penstock.relay.call import Answer
    from penstock.relay.exchange import Exchange
    from penstock.relay.plane import Plane
    from penstock.upstream.lane import Lane

_OBJECT = msgspec.json.Decoder(dict[str, Any])


class Delivered:
    """A `Splice` of an answer that is here already."""

    refused = False

    def __init__(self, exchange: Exchange, result: Result, record_limit: int, came: bytes = b"") -> None:
        self._exchange, self._result = exchange, result
        self.ended = Signal()
        self.ended.set(COMPLETE)
        self.tape = Tape(record_limit) if record_limit else None
        self._came = Tape(record_limit)
        if self.tape is not None:
            self.tape.add(result.body)
            self._came.add(came)

    def usage(self) -> tuple[Usage, bool]:
        """What the errand has counted."""
        return self._result.usage, False

    def so_far(self) -> Usage:
        """All of it."""
        return self._result.usage

    def came(self) -> Tape | None:
        """The last of the provider's answers."""
        return self._came

    def beginning(self, limit_bytes: int) -> bytes:
        """The beginning of the answer."""
        return self._result.body[:limit_bytes]

    def glimpse(self, limit_bytes: int) -> tuple[bytes, bytes]:
        """Nothing: the gateway has written it, not a model's provider."""
        return b"", b""

    def leave(self) -> None:
        """Nothing is under way any more."""

    def finish(self, outcome: str, lines: list[bytes]) -> None:
        """Write it."""
        exchange, result = self._exchange, self._result
        if outcome == STOPPED:
            exchange.refuse(stopping())
            return
        head_lines = [b"content-type: %b\r\n" % result.content_type, *lines]
        head = exchange.head(result.status, head_lines, b"content-length: %d\r\n" % len(result.body))
        exchange.write(head + result.body)
        exchange.finish()


async def run_errand(lane: Lane, exchange: Exchange, answer: Answer, record_limit: int, plane: Plane) -> None:
    """Do a lane's errand, into `answer`. Raises PenstockError for what is refused, and where the provider failed.

    If nothing has been done then, `answer.sent_ns` is 0: another lane may be asked.
    """
    assert lane.errand is not None  # noqa: S101  the caller looked
    channel, target = lane.channel, exchange.target
    answer.sent_ns = perf_counter_ns()
    fetcher = Fetcher(channel)
    order = Order(
        model=lane.served or "",
        public=lane.model or "",
        path=target.path,
        query=target.query,
        fields=_fields(exchange),
        request_id=exchange.id,
        created=int(time.time()),
        fetch=fetcher,
        download=Downloader(Means(plane.tls(), channel.pool.proxy, channel.pool.allow_private)),
        settings=dict(channel.terms.options),
        offer=(channel.offers or {}).get(lane.served or ""),
    )
    if channel.breakers.troubled:
        channel.breakers.enter(lane.served, time.time())
    try:
        result = await _done(lane.errand.run(order), channel.name)
    except UpstreamError as failure:
        answer.failed(fault_of(failure, connecting=failure.kind == "refused"))
        if not fetcher.begun:
            answer.sent_ns = 0
        raise refusal(failure) from None
    except PenstockError as refused:
        again = True
        if isinstance(refused, ProviderRefusal):
            again = refused.again
            if refused.fault is not None:
                answer.failed(refused.fault)
        if again and not fetcher.begun:
            answer.sent_ns = 0
        raise
    finally:
        if record_limit and fetcher.sent:
            answer.sent = sent_of(fetcher.sent, exchange.body, record_limit, channel)
    answer.head_ns = perf_counter_ns()
    answer.head = Head(result.status, [(b"content-type", result.content_type)], None, True, result.content_type, b"")
    answer.splice = Delivered(exchange, result, record_limit, fetcher.came.body if fetcher.came is not None else b"")
    exchange.notes += result.dropped


async def _done(run: Coroutine[Any, Any, Result], name: str) -> Result:
    task: asyncio.Task[Result] = spawn(run, name=f"errand to {name}", awaited=True)
    try:
        return await task
    except BaseException:
        task.cancel()  # the walk was interrupted: nobody wants the result
        raise


def _fields(exchange: Exchange) -> dict[str, Any]:
    """The request as an object: JSON, or the plain fields of a form."""
    body, kind = exchange.body or b"", exchange.sifted.content_type
    if is_multipart(kind):
        return {name: field.value for name, field in multipart_fields(body, kind).items()}
    if is_urlencoded(kind) and body.lstrip()[:1] != b"{":
        return dict(urlencoded_fields(body))
    if not body:
        return {}
    try:
        return _OBJECT.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise PenstockError("invalid_json", "The body must be a JSON object.") from None

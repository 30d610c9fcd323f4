"""Faults: which answers are the provider's failures, whether another lane is asked after them, and what its breakers are told."""

from __future__ import annotations

import time
from time import perf_counter_ns
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from penstock.kit.errors import PenstockError
from penstock.upstream.faults import READ_BYTES, Fault, read_fault

if TYPE_CHECKING:
    from penstock.relay.call import Answer
    from penstock.relay.exchange import Exchange
    from penstock.upstream.client.head import Head

RETRIED = frozenset((401, 402, 404, 408, 409, 429, 500, 502, 503, 504, 529))
"""After these the next lane is asked: it may have another credential, another model list, or more time.

Not after 403: that may be about what the client has written, which the body says, and that is not there yet.
"""
_CHOOSING = (b"openai-organization: ", b"openai-project: ", b"x-goog-user-project: ")
REDIRECTS = frozenset((301, 302, 303, 307, 308))


class Failure(NamedTuple):
    """An answer that is the provider's failure. `error` is what the client is told where that is not the answer itself."""

    fault: Fault | None
    error: PenstockError | None = None


def failure_of(head: Head, exchange: Exchange) -> Failure | None:
    """What is wrong with an answer, going by its head; None: nothing that another lane would do better."""
    status = head.status
    if status < 300:
        if head.content_type.startswith(b"text/html") and exchange.wire.name != "passthrough":
            return _wrong_address("upstream_invalid", status, "a web page instead of an answer")
        return None
    if status in REDIRECTS and exchange.wire.name != "passthrough":
        return _wrong_address("upstream_redirect", status, f"a redirect to {_where(head)}")
    if status not in RETRIED or (status == 404 and exchange.wire.name == "passthrough"):
        return None
    if status == 401 and _is_chosen(exchange):
        return Failure(None)
    return Failure(read_fault(status, b"", head.get(b"retry-after"), time.time()))


def report(answer: Answer, exchange: Exchange) -> None:
    """Tell the breakers how it went: of an error that the client is shown the body may say more than its status."""
    head, splice, breakers = answer.head, answer.splice, answer.channel.breakers
    if head is None or splice is None or answer.channel.transparent:
        return
    if head.status in (401, 403) and answer.crossing is None and _is_chosen(exchange):
        return
    now_s = time.time()
    fault = read_fault(head.status, splice.beginning(READ_BYTES) if head.status >= 400 else b"", head.get(b"retry-after"), now_s)
    if fault is not None:
        breakers.failed(answer.lane.served, fault, now_s)
    else:
        breakers.succeeded(answer.lane.served, now_s, now_s - (perf_counter_ns() - answer.sent_ns) / 1e9)


def _is_chosen(exchange: Exchange) -> bool:
    """The client has said for which organization or project it asks, and may be wrong: that says nothing of the credential."""
    return any(name in exchange.sifted.forward for name in _CHOOSING)


def _wrong_address(code: str, status: int, what: str) -> Failure:
    error = PenstockError(
        code, f"The provider answered with {what}: the channel's base URL is wrong. Whoever runs this gateway can correct it."
    )
    return Failure(Fault("answer", status, f"{what}: the base URL is wrong"), error)


def _where(head: Head) -> str:
    try:
        return urlsplit((head.get(b"location") or b"").decode("ascii", "replace")).hostname or "another path"
    except ValueError:
        return "another place"

"""An exchange: one client request and its answer. What the walk knows of the client, and how it writes to it."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, ClassVar, cast

from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id
from penstock.relay.headers import Sifted
from penstock.relay.limits import without_limits
from penstock.relay.outcome import CLIENT_GONE, STOPPED
from penstock.relay.phases import timing_line
from penstock.upstream.wires import WIRES
from penstock.upstream.wires.wire import Dialect, Wire

if TYPE_CHECKING:
    from penstock.kit.walker import Walker
    from penstock.relay.edge import Edge
    from penstock.relay.forms import Field
    from penstock.relay.paths import Target
    from penstock.relay.phases import Marks
    from penstock.relay.ruling import Ruling
    from penstock.relay.running import Running
    from penstock.relay.upload import Upload
    from penstock.telemetry.door import Trace

REASONS = {
    200: b"OK", 201: b"Created", 202: b"Accepted", 204: b"No Content", 206: b"Partial Content", 301: b"Moved Permanently", 302: b"Found",
    304: b"Not Modified", 400: b"Bad Request", 401: b"Unauthorized", 402: b"Payment Required", 403: b"Forbidden", 404: b"Not Found",
    405: b"Method Not Allowed", 408: b"Request Timeout", 409: b"Conflict", 413: b"Content Too Large", 414: b"URI Too Long",
    422: b"Unprocessable Content", 426: b"Upgrade Required", 429: b"Too Many Requests", 431: b"Request Header Fields Too Large",
    500: b"Internal Server Error", 502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout", 529: b"Overloaded",
}  # fmt: skip
STATUS_LINES = {status: b"HTTP/1.1 %d %b\r\n" % (status, REASONS.get(status, b"Status")) for status in range(200, 600)}
EXPOSED = (
    b"x-request-id, x-provider-request-id, request-id, retry-after, retry-after-ms, x-ratelimit-limit-requests, "
    b"x-ratelimit-limit-tokens, x-ratelimit-remaining-requests, x-ratelimit-remaining-tokens, x-ratelimit-reset-requests, "
    b"x-ratelimit-reset-tokens, anthropic-ratelimit-requests-limit, anthropic-ratelimit-requests-remaining, "
    b"anthropic-ratelimit-requests-reset, anthropic-ratelimit-tokens-limit, anthropic-ratelimit-tokens-remaining, "
    b"anthropic-ratelimit-tokens-reset, openai-processing-ms, x-penstock-cost, x-penstock-channel, "
    b"x-penstock-overhead-ms, x-penstock-dropped, x-penstock-rules, server-timing"
)
CORS_LINES = b"access-control-allow-origin: *\r\naccess-control-expose-headers: " + EXPOSED + b"\r\n"


class Interruption(Exception):
    """An exchange is to end before its answer does; `outcome` says how that is written down."""

    outcome: ClassVar[str] = CLIENT_GONE


class ClientGone(Interruption):
    """The client closed its connection."""


class Stopping(Interruption):
    """The time that open exchanges had to finish is over."""

    outcome: ClassVar[str] = STOPPED


def stopping() -> PenstockError:
    """The refusal of what cannot be finished because the gateway stops."""
    return PenstockError("shutting_down", "The gateway is stopping; send the request again.", retry_after_s=1)


class Exchange:
    """One request as the walk sees it. `body` is None while the body has not come, or when it is streamed through `upload`.

    `close`: the client's connection is closed after this answer. `upgrade`: the client asks to switch protocols. `gone`: it has
    closed. `started`: the head of an answer has been written.
    """

    __slots__ = (
        "arrived_ns", "began_ns", "body", "body_ns", "close", "edge", "finished", "for_operator", "for_owner", "gone", "headers", "http10",
        "id", "limits", "marks", "naming", "notes", "receiver", "ruling", "running", "sifted", "started", "status", "target", "told",
        "trace", "turn_ns", "upgrade", "upload", "walker", "wire",
    )  # fmt: skip

    def __init__(self, edge: Edge, target: Target, headers: list[tuple[bytes, bytes]], sifted: Sifted) -> None:
        self.began_ns = self.arrived_ns = self.turn_ns = perf_counter_ns()
        self.body_ns = 0
        self.marks: Marks = ()
        """Where its time went, once its answer has ended."""
        self.id = new_id("req")
        self.edge = edge
        self.target = target
        self.wire = cast("Wire", target.wire)
        self.headers = headers
        self.sifted = sifted
        self.body: bytes | None = None
        self.naming: Field | None = None
        """Where a form that is held names its model."""
        self.upload: Upload | None = None
        self.walker: Walker | None = None
        self.limits: list[bytes] | None = None
        """Header lines about the caller's limits per minute, where it has any."""
        self.notes = b""
        """Header lines about how it was answered."""
        self.ruling: Ruling | None = None
        """What rules have done to it, where any has matched."""
        self.for_owner = self.for_operator = False
        """Who has it recorded: the account, the operator."""
        self.running: Running | None = None
        """While it is held for: what it is held with."""
        self.receiver: Any = None
        """Who forwards the answer, told when the client is slow."""
        self.http10 = self.close = self.upgrade = self.gone = self.started = self.finished = False
        self.status = 0
        self.told = b""
        """The body of the error that the client was given instead of an answer."""
        self.trace: Trace | None = None
        """Its place in a trace, where its provider is told."""

    @property
    def dialect(self) -> Dialect:
        """How this client's errors are written: the wire's own way, or where no wire is known, as its headers suggest."""
        if self.wire.name == "passthrough":
            if self.is_anthropic:
                return WIRES["messages"].dialect
            if self.is_google:
                return WIRES["gemini"].dialect
        return self.wire.dialect

    @property
    def is_anthropic(self) -> bool:
        """The request has the shape of one to Anthropic."""
        return b"anthropic-version: " in self.sifted.forward or self.target.path.startswith(("/v1/messages", "/v1/complete/"))

    @property
    def is_google(self) -> bool:
        """The request has the shape of one to Google. Its SDKs also use the paths of others, such as /v1/models, and say who they are."""
        return self.target.path.startswith("/v1beta/") or b"x-goog-api-client: " in self.sifted.forward

    def head(self, status: int, lines: list[bytes], framing: bytes) -> bytes:
        """The head of the answer: status line, `lines`, our own headers, `framing` (a whole line or nothing)."""
        self.status = status
        self.started = True
        if self.limits is not None:
            lines = without_limits(lines) + self.limits
        extra = CORS_LINES + self.notes if self.sifted.origin is not None else self.notes
        if self.close:
            extra += b"connection: close\r\n"
        if self.edge.plane.timed:
            extra += timing_line(self)
        return b"%b%bx-request-id: %b\r\n%b%b\r\n" % (
            STATUS_LINES.get(status) or b"HTTP/1.1 %d Status\r\n" % status,
            b"".join(lines),
            self.id.encode(),
            framing,
            extra,
        )

    def write(self, data: bytes) -> None:
        """Write to the client, unless it has gone."""
        if not self.gone:
            self.edge.transport.write(data)

    def finish(self) -> None:
        """The answer is whole; the connection may take the next request."""
        if not self.finished:
            self.finished = True
            self.receiver = None  # it knows this exchange: a cycle of the two would keep what was recorded until the collector comes
            if self.upload is not None and not self.upload.done:
                self.upload.stop()
            self.edge.finished(self)

    def cut(self) -> None:
        """Close the client's connection in the middle: only where nothing honest can be said any more."""
        self.close = True
        self.finish()

    def refuse(self, error: PenstockError, more: Iterable[bytes] = ()) -> None:
        """Answer with an error in the caller's dialect, and `more` header lines. Once an answer has begun, only its end can be cut."""
        if self.started:
            self.cut()
            return
        lines = [b"content-type: application/json\r\n", *more]
        if error.retry_after_s is not None:
            lines.append(b"retry-after: %d\r\n" % error.retry_after_s)
        if self.dialect.name == "anthropic":
            lines.append(b"request-id: %b\r\n" % self.id.encode())  # where Anthropic's SDKs look for it
        if self.upload is not None and not self.upload.done:
            self.close = True
        body = self.told = self.dialect.error(error, self.id)
        head = self.head(error.status, lines, b"content-length: %d\r\n" % len(body))
        self.write(head if self.target.method == b"HEAD" else head + body)
        self.finish()

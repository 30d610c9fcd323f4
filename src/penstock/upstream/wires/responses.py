"""OpenAI's Responses: /v1/responses."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from penstock.kit.errors import PenstockError
from penstock.kit.sse import payload
from penstock.upstream.dialects import responses as dialect
from penstock.upstream.usage import Usage
from penstock.upstream.wires import endings
from penstock.upstream.wires.answers import Count, Reader
from penstock.upstream.wires.asks import Scalar
from penstock.upstream.wires.fields import Fields
from penstock.upstream.wires.jsonwire import JsonWire
from penstock.upstream.wires.openai_figures import Answer
from penstock.upstream.wires.openai_usage import normalised
from penstock.upstream.wires.streams import DONE, ERROR_MARK, Counting, named
from penstock.upstream.wires.wire import Ask, Cut, Dialect, StreamMeter, Verdict, Wire

_ENDS = frozenset(("response.completed", "response.failed", "response.incomplete", "error"))


class ResponsesFields(Fields, gc=False):
    """What we read of a request."""

    cap: Scalar = msgspec.field(default=None, name="max_output_tokens")


class WebSearch(msgspec.Struct, gc=False):
    """Billable searches."""

    num_requests: Count | None = None


class ToolUsage(msgspec.Struct, gc=False):
    """Tools that ran at the provider."""

    web_search: WebSearch | None = None


class Response(Answer, gc=False):
    """What we read of a response."""

    tool_usage: ToolUsage | None = None

    def usage_of_all(self) -> Usage | None:
        """The usage with that of tools, if it says anything."""
        figures = self.figures
        if figures is None:
            return None
        usage = normalised(figures, self.service_tier)
        if self.tool_usage is not None and self.tool_usage.web_search is not None:
            usage.web_searches = self.tool_usage.web_search.num_requests or 0
        return usage


class ResponseEvent(msgspec.Struct, gc=False):
    """What we read of an event."""

    type: str = ""
    response: Response | None = None
    delta: Any = None
    error: Any = None


_RESPONSE = Reader(Response)
_EVENT = Reader(ResponseEvent, b'{"response":{')


class ResponsesMeter(Counting):
    """Reads a stream of response events. The one that ends it has the whole response, and its usage, in it."""

    marks: tuple[bytes, ...] = (b"response.completed", b"response.failed", b"response.incomplete", ERROR_MARK, DONE)
    overhead_bytes: ClassVar[int] = 270

    def event(self, event: bytes) -> Verdict:
        """Learn from one event."""
        data = payload(event)
        if data.startswith(DONE):
            return Verdict.LAST
        found = _EVENT.read(data)
        kind = named(event, data) if found is None or not found.type else found.type
        if found is None:
            return Verdict.LAST if kind in _ENDS else Verdict.PASS
        if isinstance(found.delta, str):
            self._estimate.read(found.delta, event)
        if found.response is not None:
            usage = found.response.usage_of_all()
            if usage is not None:
                self._usage, self._final = usage, True
        if kind in ("response.failed", "error") or found.error:
            self._failed = True
            return Verdict.LAST
        return Verdict.LAST if kind in _ENDS else Verdict.PASS


class ResponsesWire(JsonWire):
    """POST /v1/responses."""

    name: ClassVar[str] = "responses"
    dialect: Dialect = dialect.DIALECT
    paths: ClassVar[tuple[str, ...]] = ("/v1/responses",)
    fields = msgspec.json.Decoder(ResponsesFields)

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader for one stream."""
        return ResponsesMeter(ask)

    def cut_short(self, error: PenstockError, cut: Cut) -> bytes:
        """The last event, as if a bound on the output had been reached."""
        return endings.of_responses(error, cut)

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """The usage of a whole response."""
        response = _RESPONSE.read(body)
        usage = response.usage_of_all() if response is not None else None
        if usage is not None:
            return usage, False
        if response is not None and response.error:
            return Usage(calls=0), False
        return self.guess(ask, len(body)), True


WIRE: Wire = ResponsesWire()

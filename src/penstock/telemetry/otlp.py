"""OTLP: the SDK's side of telemetry. Nothing imports this before telemetry is asked for.

Spans are made whole, with the times they had, and handed to the exporter; the SDK's own tracer is for code that runs inside a span.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import SpanContext, SpanKind, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import penstock
from penstock.kit.ids import new_id
from penstock.settings import Settings
from penstock.telemetry.instruments import Instruments
from penstock.telemetry.seen import Seen, Trace
from penstock.telemetry.spans import Place, server_facts, spans_of
from penstock.telemetry.words import carried

if TYPE_CHECKING:
    from opentelemetry.context import Context

SERVICE = "penstock"


class Otlp:
    """Turns what was seen into spans and figures, and sends both. The SDK reads its `OTEL_...` variables itself."""

    def __init__(self, settings: Settings) -> None:
        base = settings.otel_endpoint.rstrip("/")
        self._resource = _resource()
        # Only for the sampler and the ids that the environment asks for.
        provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self._sampler = provider.sampler
        self._ids = provider.id_generator
        self._propagator = TraceContextTextMapPropagator()
        self._exporter = OTLPSpanExporter(endpoint=f"{base}/v1/traces")
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{base}/v1/metrics"))
        self._meters = MeterProvider([reader], resource=self._resource, shutdown_on_exit=False, exemplar_filter=AlwaysOffExemplarFilter())
        self._instruments = Instruments(self._meters.get_meter("penstock", penstock.__version__))

    def take(self, seen: Seen, offset_ns: int) -> list[ReadableSpan]:
        """Count an exchange; its spans, if it is sampled. `offset_ns` is from the clock of its marks to that of the world."""
        self._instruments.count(seen)
        name, attributes = server_facts(seen)
        parent, context = self._parent(seen.forward)
        if seen.trace is not None:
            trace_id, sampled = seen.trace
        else:
            trace_id = parent.trace_id if parent.is_valid else self._ids.generate_trace_id()
            sampled = self._is_sampled(context, trace_id, name, attributes)
        if not sampled:
            return []
        place = Place(self._resource, trace_id, parent if parent.is_valid else None, self._ids.generate_span_id, offset_ns)
        return spans_of(seen, place, name, attributes)

    def place(self, forward: bytes) -> Trace:
        """Where an exchange that has only begun is to stand: in its client's trace, or in a new one."""
        parent, context = self._parent(forward)
        trace_id = parent.trace_id if parent.is_valid else self._ids.generate_trace_id()
        return Trace(trace_id, self._is_sampled(context, trace_id, "", {}))

    def send(self, spans: list[ReadableSpan]) -> bool:
        """Send spans, some times if need be; whether the collector has taken them."""
        return self._exporter.export(spans) is SpanExportResult.SUCCESS

    def close(self, within_s: float) -> None:
        """Send the figures for the last time and end, whatever the collector does."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
        self._meters.shutdown(timeout_millis=within_s * 1000)

    def _parent(self, forward: bytes) -> tuple[SpanContext, Context | None]:
        if not forward:
            return get_current_span().get_span_context(), None
        context = self._propagator.extract(carried(forward))
        return get_current_span(context).get_span_context(), context

    def _is_sampled(self, context: Context | None, trace_id: int, name: str, attributes: dict[str, object]) -> bool:
        result = self._sampler.should_sample(context, trace_id, name, SpanKind.SERVER, attributes)  # type: ignore[arg-type]
        return result.decision is Decision.RECORD_AND_SAMPLE


def _resource() -> Resource:
    """Who we are: what the environment says, else our own name; each process is an instance."""
    told = Resource.create({"service.instance.id": new_id("instance"), "process.pid": os.getpid()})
    ours = Resource({"service.version": penstock.__version__}).merge(told)
    unnamed = str(told.attributes.get("service.name", "")).startswith("unknown_service")
    return ours.merge(Resource({"service.name": SERVICE})) if unnamed else ours

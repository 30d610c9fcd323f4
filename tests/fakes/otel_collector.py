"""An OpenTelemetry collector on loopback: takes OTLP over HTTP, decodes it, and keeps it; or is slow, or answers with an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_KINDS: dict[str, Any] = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}


class OtelCollector:
    """Use as a context manager. `status` is what it answers with, after `delay_s`."""

    def __init__(self) -> None:
        self.status = 200
        self.delay_s = 0.0
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Path and headers of each, whatever it was answered."""
        self._taken: dict[str, list[Any]] = {path: [] for path in _KINDS}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        """What `otel_endpoint` is set to."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, headers: dict[str, str], data: bytes) -> int:
        """One export; the status to answer with."""
        self.requests.append((path, headers))
        time.sleep(self.delay_s)
        if self.status == 200:
            message = _KINDS[path]()
            message.ParseFromString(data)
            self._taken[path].append(message)
        return self.status

    def forget(self) -> None:
        """Forget what was taken, and be well again."""
        self.status, self.delay_s = 200, 0.0
        self.requests.clear()
        for taken in self._taken.values():
            taken.clear()

    # what was taken

    def spans(self) -> list[dict[str, Any]]:
        """All spans, oldest first, with their attributes as plain values and `resource` among them."""
        found = []
        for message in list(self._taken["/v1/traces"]):
            for resource in message.resource_spans:
                for scope in resource.scope_spans:
                    found += [_span(span, resource.resource) for span in scope.spans]
        return sorted(found, key=lambda span: (span["start_ns"], span["kind"] != "SERVER"))

    def until(self, ready: Callable[[list[dict[str, Any]]], bool], within_s: float = 8) -> list[dict[str, Any]]:
        """The spans, once they are as they are waited for."""
        end = time.monotonic() + within_s
        while not ready(spans := self.spans()):
            assert time.monotonic() < end, spans
            time.sleep(0.02)
        return spans

    def servers(self, number: int = 1) -> list[dict[str, Any]]:
        """So many server spans, which are waited for, each with its attempts as `attempts`."""
        spans = self.until(lambda spans: sum(span["kind"] == "SERVER" for span in spans) >= number)
        found = [span for span in spans if span["kind"] == "SERVER"]
        assert len(found) == number
        for span in found:
            span["attempts"] = [child for child in spans if child["parent_id"] == span["span_id"]]
        return found

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Attributes and data point of everything that the last export says of a metric."""
        for message in reversed(list(self._taken["/v1/metrics"])):
            for metric in _metrics(message):
                if metric.name == name:
                    return [(_values(point.attributes), point) for point in metric.histogram.data_points]
        return []

    def strings(self) -> str:
        """Every string of all that was taken, and of the requests that brought it."""
        texts = [str(MessageToDict(message)) for taken in self._taken.values() for message in list(taken)]
        return "\n".join([*texts, *map(str, self.requests)])


def _metrics(message: Any) -> Iterator[Any]:
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


def _span(span: Any, resource: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": {2: "SERVER", 3: "CLIENT"}[span.kind],
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_id": span.parent_span_id.hex(),
        "trace_state": span.trace_state,
        "start_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        "failed": span.status.code == 2,
        "facts": _values(span.attributes),
        "events": [(event.name, event.time_unix_nano, _values(event.attributes)) for event in span.events],
        "resource": _values(resource.attributes),
    }


def _values(attributes: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(item) for item in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def _handler(collector: OtelCollector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = collector.take(self.path, headers, data)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Handler

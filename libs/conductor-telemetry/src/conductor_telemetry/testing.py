"""An OTLP/HTTP collector in a thread, for tests: several processes send their spans, the test reads them."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """A span as it arrived; ids in lower case hex, times in nanoseconds since the epoch."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty for a root."""
    start: int
    end: int
    attributes: dict[str, str | int | float | bool]
    linked_traces: tuple[str, ...]


class SpanCollector:
    """Listens from construction on; ``url`` is for ``OTEL_EXPORTER_OTLP_ENDPOINT``."""

    def __init__(self) -> None:
        self._spans: list[CollectedSpan] = []
        self._lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector._take(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def spans(self, trace_id: str | None = None) -> list[CollectedSpan]:
        """What has arrived so far, of one trace or of all, by start time."""
        with self._lock:
            found = [span for span in self._spans if trace_id is None or span.trace_id == trace_id]
        return sorted(found, key=lambda span: span.start)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, request: ExportTraceServiceRequest) -> None:
        with self._lock:
            for resource in request.resource_spans:
                names = [
                    a.value.string_value for a in resource.resource.attributes if a.key == "service.name"
                ]
                for scope in resource.scope_spans:
                    self._spans.extend(
                        CollectedSpan(
                            service=names[0] if names else "",
                            name=span.name,
                            trace_id=span.trace_id.hex(),
                            span_id=span.span_id.hex(),
                            parent_id=span.parent_span_id.hex(),
                            start=span.start_time_unix_nano,
                            end=span.end_time_unix_nano,
                            attributes={a.key: _plain(a.value) for a in span.attributes},
                            linked_traces=tuple(link.trace_id.hex() for link in span.links),
                        )
                        for span in scope.spans
                    )


def _plain(value: AnyValue) -> str | int | float | bool:
    match value.WhichOneof("value"):
        case "int_value":
            return int(value.int_value)
        case "double_value":
            return float(value.double_value)
        case "bool_value":
            return bool(value.bool_value)
        case _:
            return str(value.string_value)

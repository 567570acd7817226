"""Spans to an OTLP/HTTP endpoint, when one is configured; nothing is imported or started otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.context import Context

from conductor_telemetry.claimtrace import decide_sampling_by, forced_ids

log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_QUEUE = 16_384
"""Spans that wait for export; the SDK's own default drops silently in a burst of a few hundred claims."""
_FLUSH_MILLISECONDS = 3000


def start(service_name: str, version: str) -> Callable[[], None]:
    """Start exporting. Returns what flushes and stops it, to be called once (it blocks for up to 3 s)."""
    if not any(os.environ.get(name) for name in _ENDPOINTS) or os.environ.get("OTEL_SDK_DISABLED") == "true":
        return lambda: None

    # The SDK and the exporter cost 20 MB: only those who trace pay.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import Decision  # noqa: PLC0415

    class ClaimIds(RandomIdGenerator):
        """Random ids, but for a claim's root span (`claimtrace.start_root_span`)."""

        def generate_trace_id(self) -> int:
            forced = forced_ids.get()
            return forced[0] if forced else super().generate_trace_id()

        def generate_span_id(self) -> int:
            forced = forced_ids.get()
            return forced[1] if forced else super().generate_span_id()

    provider = TracerProvider(
        resource=Resource.create(
            {
                "service.name": os.environ.get("OTEL_SERVICE_NAME") or f"conductor-{service_name}",
                "service.namespace": "conductor",
                "service.version": version,
            }
        ),
        id_generator=ClaimIds(),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=_QUEUE, schedule_delay_millis=500)
    )
    trace.set_tracer_provider(provider)
    decide_sampling_by(
        lambda trace_id: (
            provider.sampler.should_sample(Context(), trace_id, "claim").decision
            is Decision.RECORD_AND_SAMPLE
        )
    )

    def stop() -> None:
        provider.force_flush(_FLUSH_MILLISECONDS)
        provider.shutdown()

    return stop


async def stop_in_time(stop: Callable[[], None]) -> None:
    """Flush without holding up the shutdown: a collector that is down must not."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def flush() -> None:
        stop()
        with contextlib.suppress(RuntimeError):  # the loop did not wait for us
            loop.call_soon_threadsafe(done.set)

    # A daemon thread, because the interpreter waits for those of an executor.
    threading.Thread(target=flush, name="flush-spans", daemon=True).start()
    try:
        await asyncio.wait_for(done.wait(), _FLUSH_MILLISECONDS / 1000)
    except TimeoutError:
        log.warning("spans could not be sent within %d ms; the last ones are lost", _FLUSH_MILLISECONDS)

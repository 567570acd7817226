"""Tracing, metrics, logs, health and shutdown: ``async with service("scheduler", version=…) as here``.

The one member that imports the telemetry SDKs. Everything is configured by environment variables (see `service`).
"""

from conductor_telemetry.claimtrace import (
    claim_root_context,
    claim_trace_id,
    context_from,
    current_traceparent,
    root_span_id,
    start_root_span,
    traceparent_of,
)
from conductor_telemetry.service import Service, service

__all__ = [
    "Service",
    "claim_root_context",
    "claim_trace_id",
    "context_from",
    "current_traceparent",
    "root_span_id",
    "service",
    "start_root_span",
    "traceparent_of",
]

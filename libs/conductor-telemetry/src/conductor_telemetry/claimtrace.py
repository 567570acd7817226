"""A claim's trace is found from the claim alone: its ids are functions of the claim's uid.

The trace id is the uid with its two 64-bit halves swapped. Ratio samplers compare the low 64 bits of a trace id with a
threshold, and there a version 4 UUID has its two constant bits at the top; after the swap the low half is random but for
the version digit, far from the top. The root span's id is the first 8 bytes of the uid's SHA-256. See docs/adr/0005.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from hashlib import sha256
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
_LOW_HALF = (1 << 64) - 1

forced_ids: ContextVar[tuple[int, int] | None] = ContextVar("conductor_forced_ids", default=None)
"""The (trace id, span id) of the next root span: read by the id generator of `tracing`."""


def _every_claim(trace_id: int) -> bool:
    return True


_is_sampled: Callable[[int], bool] = _every_claim


def decide_sampling_by(is_sampled: Callable[[int], bool]) -> None:
    """Whether a claim's way is recorded is decided by this from now on; `tracing` gives the configured sampler.

    The decision is a function of the trace id, so that all services that are configured alike come to the same.
    """
    global _is_sampled  # noqa: PLW0603
    _is_sampled = is_sampled


def claim_trace_id(uid: str) -> int:
    """The claim's trace id, 128 bits. Raises ValueError when ``uid`` is no UUID."""
    value = UUID(uid).int
    return ((value & _LOW_HALF) << 64) | (value >> 64)


def root_span_id(uid: str) -> int:
    """The id of the span that all of a claim's way hangs below, 64 bits."""
    return int.from_bytes(sha256(uid.encode()).digest()[:8], "big")


def claim_root_context(uid: str) -> Context:
    """A context in which new spans become children of the claim's root span, recorded or not as the sampler says."""
    trace_id = claim_trace_id(uid)
    flags = trace.TraceFlags.SAMPLED if _is_sampled(trace_id) else trace.TraceFlags.DEFAULT
    span_context = trace.SpanContext(
        trace_id, root_span_id(uid), is_remote=True, trace_flags=trace.TraceFlags(flags)
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(span_context), Context())


def start_root_span(
    tracer: trace.Tracer, name: str, uid: str, *, start_time: int | None = None
) -> trace.Span:
    """The claim's root span itself; ``start_time`` in nanoseconds since the epoch, absent: now.

    Recorded twice (by two watchers, say), it is the same span twice.
    """
    token = forced_ids.set((claim_trace_id(uid), root_span_id(uid)))
    try:
        return tracer.start_span(name, context=Context(), start_time=start_time)
    finally:
        forced_ids.reset(token)


def traceparent_of(context: Context) -> str | None:
    """The W3C ``traceparent`` of the span in ``context``; None when there is none."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context)
    return carrier.get("traceparent")


def current_traceparent() -> str | None:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def context_from(traceparent: str) -> Context:
    """A context with the remote span that a ``traceparent`` names; an empty one when it is malformed."""
    return _PROPAGATOR.extract({"traceparent": traceparent}, Context())

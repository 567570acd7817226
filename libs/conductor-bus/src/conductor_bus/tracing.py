"""Trace context in and out of messages, with the names of OpenTelemetry's messaging conventions (v1.4x, system "nats").

Publishing makes a producer span and puts its context into the headers. Handling makes a consumer span that links to
the message's context and, on a first delivery of an object's own message, is its child too, so that one trace shows
a claim end to end. Redeliveries and timers only link: they may come hours later.
Spans name errors by type only; an exception's text may hold what nobody should read in a trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from conductor_bus.envelope import TRACEPARENT_HEADER, TRACESTATE_HEADER, Event, ObjectMessage
from conductor_model.refs import ObjectKey

_PROPAGATOR = TraceContextTextMapPropagator()
_TRACER = trace.get_tracer("conductor_bus")


@contextmanager
def publishing(stream: str, event: Event, traceparent: str | None) -> Iterator[dict[str, str]]:
    """A producer span around a publication; yields the headers that carry its context."""
    parent = _context(traceparent, None) if traceparent is not None else None
    attributes = _object_attributes(stream, event.key, event.uid) | {
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.message.id": event.id,
    }
    with _span(f"publish {event.key.group_kind.kind}", SpanKind.PRODUCER, attributes, parent, []):
        headers: dict[str, str] = {}
        _PROPAGATOR.inject(headers)
        yield headers


@contextmanager
def processing(
    consumer: str, key: ObjectKey, message: ObjectMessage | None, *, origin: str | None, first: bool
) -> Iterator[Span]:
    """A consumer span around the handling of ``key``, current inside.

    ``origin`` is the traceparent of the message that caused it; ``first`` says that this is that message's first
    delivery, so that the span becomes its child.
    """
    context = _context(origin, message.tracestate if message else None)
    origin_span = trace.get_current_span(context).get_span_context()
    links = [Link(origin_span)] if origin_span.is_valid else []
    attributes = _object_attributes(consumer, key, message.uid if message else None) | {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": consumer,
    }
    parent = context if first and origin_span.is_valid else Context()
    with _span(f"process {key.group_kind.kind}", SpanKind.CONSUMER, attributes, parent, links) as span:
        yield span


@contextmanager
def _span(
    name: str, kind: SpanKind, attributes: dict[str, str], parent: Context | None, links: list[Link]
) -> Iterator[Span]:
    with _TRACER.start_as_current_span(
        name,
        context=parent,
        kind=kind,
        attributes=attributes,
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR, type(error).__qualname__))
            raise


def _object_attributes(destination: str, key: ObjectKey, uid: str | None) -> dict[str, str]:
    attributes = {
        "messaging.system": "nats",
        "messaging.destination.name": destination,
        "conductor.object.group": key.group_kind.group,
        "conductor.object.kind": key.group_kind.kind,
        "conductor.object.name": key.name,
    }
    if key.namespace:
        attributes["k8s.namespace.name"] = key.namespace
    if uid is not None:
        attributes["conductor.object.uid"] = uid
    return attributes


def _context(traceparent: str | None, tracestate: str | None) -> Context:
    carrier = {TRACEPARENT_HEADER: traceparent or ""}
    if tracestate:
        carrier[TRACESTATE_HEADER] = tracestate
    return _PROPAGATOR.extract(carrier, Context())

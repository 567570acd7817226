"""Trace context: from the publisher into the handler, and only a link where much time may lie between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from conductor_bus import (
    Bus,
    BusConfig,
    Done,
    RequeueAfter,
    Result,
    Transient,
    Work,
    WorkPolicy,
    WorkQueue,
    tracing,
)
from conductor_model.refs import GroupKind, ObjectKey

CLAIMS = GroupKind("storage.conductor.io", "MySQLInstance")
DB = ObjectKey(CLAIMS, "team-a", "db")
ROOT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ROOT_TRACE, ROOT_SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331

Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_TRACER", provider.get_tracer("conductor_bus"))
    yield exporter
    provider.shutdown()


@asynccontextmanager
async def working(queue: WorkQueue, handle: Callable[[Work], Awaitable[Result]]) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(queue.run(handle, stop))
    try:
        yield
    finally:
        stop.set()
        await running


def of_kind(spans: InMemorySpanExporter, kind: SpanKind) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.kind is kind]


async def publish(bus: Bus, traceparent: str | None = ROOT) -> None:
    publisher = bus.publisher("/w")
    await publisher.publish(DB, "uid-1", "1", b"{}", expected_sequence=None, traceparent=traceparent)


async def test_publishing_and_handling_are_one_trace(
    bus: Bus, spans: InMemorySpanExporter, eventually: Eventually
) -> None:
    inside: list[trace.SpanContext] = []

    async def handle(work: Work) -> Result:
        inside.append(trace.get_current_span().get_span_context())
        return Done()

    async with working(bus.work_queue("q", [CLAIMS]), handle):
        await publish(bus)
        await eventually(lambda: inside)
    (sent,), (processed,) = of_kind(spans, SpanKind.PRODUCER), of_kind(spans, SpanKind.CONSUMER)
    assert sent.parent is not None
    assert (sent.parent.trace_id, sent.parent.span_id) == (ROOT_TRACE, ROOT_SPAN)
    assert processed.parent is not None
    assert processed.parent.span_id == sent.context.span_id
    assert [link.context.span_id for link in processed.links] == [sent.context.span_id]
    assert inside[0].span_id == processed.context.span_id
    assert inside[0].trace_id == ROOT_TRACE


async def test_spans_have_the_messaging_conventions_attributes(
    bus: Bus, spans: InMemorySpanExporter, eventually: Eventually
) -> None:
    async def handle(work: Work) -> Result:
        return Done()

    queue = bus.work_queue("q", [CLAIMS])
    async with working(queue, handle):
        await publish(bus)
        await eventually(lambda: queue.statistics.handled == 1)
    (sent,), (processed,) = of_kind(spans, SpanKind.PRODUCER), of_kind(spans, SpanKind.CONSUMER)
    assert sent.attributes is not None
    assert processed.attributes is not None
    assert sent.attributes["messaging.system"] == processed.attributes["messaging.system"] == "nats"
    assert sent.attributes["messaging.operation.type"] == "send"
    assert processed.attributes["messaging.operation.type"] == "process"
    assert processed.attributes["messaging.consumer.group.name"] == "q"
    assert processed.attributes["conductor.object.uid"] == "uid-1"


async def test_a_redelivery_and_a_wake_are_traces_of_their_own_with_a_link(
    connect: Callable[..., Awaitable[Bus]], spans: InMemorySpanExporter, eventually: Eventually
) -> None:
    bus = await connect(replace(BusConfig(), work=WorkPolicy(backoff_base=0.02)))
    await bus.ensure()
    answers: list[Result | Exception] = [Transient("once"), RequeueAfter(1), Done()]

    async def handle(work: Work) -> Result:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with working(bus.work_queue("q", [CLAIMS]), handle):
        await publish(bus)
        await eventually(lambda: not answers)
    first, redelivered, woken = of_kind(spans, SpanKind.CONSUMER)
    assert first.context.trace_id == ROOT_TRACE
    for later in (redelivered, woken):
        assert later.parent is None
        assert later.context.trace_id != ROOT_TRACE
        assert [link.context.trace_id for link in later.links] == [ROOT_TRACE]


async def test_a_failed_handlers_span_names_the_error_but_not_its_text(
    bus: Bus, spans: InMemorySpanExporter, eventually: Eventually
) -> None:
    async def handle(work: Work) -> Result:
        raise ValueError("hunter2")

    queue = bus.work_queue("q", [CLAIMS])
    async with working(queue, handle):
        await publish(bus)
        await eventually(lambda: queue.statistics.unexpected)
    span = of_kind(spans, SpanKind.CONSUMER)[0]
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ValueError"
    assert "hunter2" not in span.to_json()


async def test_without_a_tracer_the_context_still_travels(bus: Bus) -> None:
    await publish(bus)
    message = await bus.latest(DB)
    assert message is not None
    assert message.traceparent == ROOT


async def test_without_a_context_a_message_has_none(bus: Bus) -> None:
    await publish(bus, traceparent=None)
    message = await bus.latest(DB)
    assert message is not None
    assert message.traceparent is None

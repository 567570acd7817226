"""What is to be published: the newest news of each object, one publication per object at a time.

Namespaces take turns. News that arrives while an older one of the same object waits takes its place. Each publication
states which message it replaces, so that a watcher that was deposed cannot put older state over newer.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection
from datetime import datetime

from opentelemetry import trace
from opentelemetry.context import Context

from conductor_bus import (
    Bus,
    MalformedMessage,
    ObjectPublisher,
    Published,
    Superseded,
    TooLarge,
    Turns,
    Unavailable,
)
from conductor_model.kinds import BY_GROUP_KIND
from conductor_model.refs import ObjectKey
from conductor_telemetry import context_from, current_traceparent, start_root_span
from conductor_watcher.decide import Absent, News, OnTheWay, Present, is_news, overtaken, trace_of
from conductor_watcher.metrics import Metrics

log = logging.getLogger(__name__)

_IN_FLIGHT = 64
_RETRY_SECONDS = 0.5


class Outbox:
    """Publishes until it is cancelled. Raises StreamLost from `run` when the stream is not the one it knew."""

    def __init__(
        self,
        bus: Bus,
        publisher: ObjectPublisher,
        stream: dict[ObjectKey, Published],
        metrics: Metrics,
        now: Callable[[], datetime],
        leading: Callable[[], bool],
    ) -> None:
        self.stream = stream
        self._bus = bus
        self._publisher = publisher
        self._metrics = metrics
        self._now = now
        self._leading = leading
        self._pending: dict[ObjectKey, tuple[News, float]] = {}
        self._turns: Turns[ObjectKey] = Turns()
        """Of what is pending and not busy, each once."""
        self._busy: set[ObjectKey] = set()
        self._behind: set[ObjectKey] = set()
        self._caught_up = asyncio.Event()
        self._wake = asyncio.Event()
        self._places = asyncio.Semaphore(_IN_FLIGHT)
        self._tracer = trace.get_tracer("conductor-watcher")

    def put(self, news: News) -> None:
        if is_news(news, self.stream.get(news.key)) or news.key in self._pending or news.key in self._busy:
            if news.key not in self._pending and news.key not in self._busy:
                self._turns.push(news.flow, news.key)
            self._pending[news.key] = (news, time.monotonic())
            self._wake.set()

    @property
    def busy(self) -> Collection[ObjectKey]:
        """What is being published."""
        return self._busy

    async def catch_up(self) -> None:
        """Return when the stream shows what was put before, or something newer."""
        self._behind = {*self._pending, *self._busy}
        if self._behind:
            self._caught_up.clear()
            await self._caught_up.wait()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._turns:
                    await self._places.acquire()
                    key = self._turns.pop()
                    if key is None:
                        raise RuntimeError("something waits, and has no turn")
                    news, heard = self._pending.pop(key)
                    self._busy.add(key)
                    tasks.create_task(self._deliver(news, heard))

    async def _deliver(self, news: News, heard: float) -> None:
        try:
            if not await self._settle(news, heard):
                self._pending.setdefault(news.key, (news, heard))
            if news.key not in self._pending:
                self._behind.discard(news.key)
            if not self._behind:
                self._caught_up.set()
        finally:
            self._busy.discard(news.key)
            self._places.release()
            if (waiting := self._pending.get(news.key)) is not None:
                self._turns.push(waiting[0].flow, news.key)
                self._wake.set()

    async def _settle(self, news: News, heard: float) -> bool:
        """Whether there is nothing left to do about this news."""
        if not is_news(news, self.stream.get(news.key)):
            return True
        if not self._leading():
            # Either another leads, and this replica is about to be told, or the renewal is only late: then it is
            # still this one that must publish it.
            await asyncio.sleep(_RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
            return False
        try:
            await self._publish(news)
        except Superseded as superseded:
            return await self._yield_to_newer(news, superseded)
        except Unavailable as error:
            log.warning("%s not published yet: %s", news.key, error)
            await asyncio.sleep(_RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
            return False
        except TooLarge as error:
            self._metrics.refused.labels(news.key.group_kind.kind).inc()
            log.error("%s cannot be published: %s", news.key, error)
            return True
        self._metrics.publish_seconds.observe(time.monotonic() - heard)
        return True

    async def _publish(self, news: News) -> None:
        held = self.stream.get(news.key)
        expected = held.sequence if held is not None else 0
        traceparent = self._traceparent(news)
        if isinstance(news, Absent):
            sequence = await self._publisher.tombstone(
                news.key,
                news.uid,
                news.resource_version or (held.resource_version if held else ""),
                api_version=BY_GROUP_KIND[news.key.group_kind].type.gvk.api_version,
                expected_sequence=expected,
                traceparent=traceparent,
            )
        else:
            sequence = await self._publisher.publish(
                news.key,
                news.uid,
                news.resource_version,
                news.raw,
                expected_sequence=expected,
                traceparent=traceparent,
                claim_namespace=news.claim_namespace,
            )
        deleted = isinstance(news, Absent)
        self.stream[news.key] = Published(news.uid, news.resource_version, sequence, deleted)
        kind = news.key.group_kind.kind
        self._metrics.published.labels(kind, "deleted" if deleted else "changed").inc()

    async def _yield_to_newer(self, news: News, superseded: Superseded) -> bool:
        """Learn what another has published; whether that is at least as new."""
        try:
            present = await self._bus.latest(news.key)
        except MalformedMessage:
            if superseded.actual is None:
                raise
            # Not from a watcher: no state of the object, so nothing that could be newer.
            self.stream[news.key] = Published("", "", superseded.actual, deleted=False)
            return False
        if present is None:
            self.stream.pop(news.key, None)
            return False
        held = Published(present.uid, present.resource_version, present.sequence, present.deleted)
        self.stream[news.key] = held
        return overtaken(news, held)

    def _traceparent(self, news: News) -> str | None:
        """The span that the publication hangs below; made here where none exists yet."""
        where = trace_of(news, self._now())
        kind = news.key.group_kind.kind
        if isinstance(where, OnTheWay):
            if where.root_of is not None and isinstance(news, Present):
                self._record_root(news, where)
            return where.traceparent
        links = [_link(where.linked)] if where.linked is not None else []
        with self._tracer.start_as_current_span(f"watch {kind}", context=Context(), links=links):
            return current_traceparent()

    def _record_root(self, news: Present, where: OnTheWay) -> None:
        span = start_root_span(self._tracer, f"claim {news.key.group_kind.kind}", where.root_of or news.uid)
        span.set_attributes(
            {
                "k8s.namespace.name": news.key.namespace,
                "conductor.object.name": news.key.name,
                "conductor.object.uid": news.uid,
            }
        )
        if where.caller is not None:
            span.add_link(_link(where.caller).context)
        span.end()


def _link(traceparent: str) -> trace.Link:
    return trace.Link(trace.get_current_span(context_from(traceparent)).get_span_context())

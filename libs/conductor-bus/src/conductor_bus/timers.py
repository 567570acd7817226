"""Durable timers: the broker publishes a wake for an object at a time, whatever becomes of who asked for it.

A timer is a message schedule (NATS ADR-51) on the object's schedule subject of this consumer; publishing to that
subject again replaces it. The broker's clock decides when it fires.

Only this process's own timers are cancelled when they are no longer wanted: a cancellation costs a request, and a
wake too many only has the object looked at once more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from nats.js import api

from conductor_bus.connection import Connection, NotThere
from conductor_bus.envelope import CLAIM_NAMESPACE_HEADER, TRACEPARENT_HEADER
from conductor_bus.errors import StreamLost
from conductor_model.refs import ObjectKey


class Timers:
    """The timers of one consumer."""

    def __init__(
        self,
        connection: Connection,
        consumer: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connection = connection
        self._consumer = consumer
        self._now = now
        self._set_here: set[ObjectKey] = set()

    async def set(
        self,
        key: ObjectKey,
        delay: timedelta,
        *,
        traceparent: str | None,
        claim_namespace: str | None = None,
    ) -> None:
        """Wakes the consumer for the object after the delay; stored when this returns."""
        due = (self._now() + delay).astimezone(UTC).isoformat().replace("+00:00", "Z")
        wake_ttl = self._connection.config.wake_ttl
        headers = {
            api.Header.SCHEDULE.value: f"@at {due}",
            api.Header.SCHEDULE_TARGET.value: self._connection.subjects.wake(self._consumer, key),
            api.Header.SCHEDULE_TTL.value: f"{int(wake_ttl.total_seconds())}s",
        }
        if traceparent is not None:
            headers[TRACEPARENT_HEADER] = traceparent
        if claim_namespace is not None:
            headers[CLAIM_NAMESPACE_HEADER] = quote(claim_namespace)
        await self._store(key, headers)
        self._set_here.add(key)

    async def cancel(self, key: ObjectKey) -> None:
        """Takes back a timer that this process has set. An ordinary message in its place ends a schedule."""
        if key in self._set_here:
            await self._store(key, {api.Header.MSG_TTL.value: "1s"})
            self._set_here.discard(key)

    def fired(self, key: ObjectKey) -> None:
        self._set_here.discard(key)

    async def _store(self, key: ObjectKey, headers: dict[str, str]) -> None:
        subject = self._connection.subjects.schedule(self._consumer, key)
        try:
            await self._connection.publish(subject, b"", headers)
        except NotThere as error:
            raise StreamLost(self._connection.config.stream, "it does not exist") from error

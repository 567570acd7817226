"""Publishing objects' states: the watcher's side of the bus.

Each publication may state which sequence the object's last message has (0: none yet); the broker refuses it if that
is no longer so. A retry after a lost answer is therefore safe: `ObjectPublisher.publish` recognises its own message
by its id and reports success.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from nats.js import api

from conductor_bus.connection import Connection, NotThere, WrongLastSequence, created
from conductor_bus.envelope import Event, ObjectMessage, headers_of, tombstone_payload
from conductor_bus.errors import MalformedMessage, StreamLost, Superseded, Unavailable
from conductor_bus.reading import Unreadable, latest, require_stream, stored
from conductor_bus.tracing import publishing
from conductor_model.refs import GroupKind, ObjectKey

_EXPECTED = api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value
_ROUTINE_CHECK = 10.0
"""Seconds between looks at whether the stream is still the same, besides those after each reconnect."""

_NOBODY = "unknown"
"""The uid of an object that was never heard of."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the stream holds of an object."""

    uid: str
    resource_version: str
    sequence: int
    deleted: bool


class ObjectPublisher:
    """Publishes under one CloudEvents source, and notices when the stream it publishes to is another one."""

    def __init__(
        self, connection: Connection, source: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._connection = connection
        self._source = source
        self._now = now
        self._stream_created: datetime | None = None
        self._highest = 0
        self._suspicion = asyncio.Event()

    async def publish(
        self,
        key: ObjectKey,
        uid: str,
        resource_version: str,
        data: bytes,
        *,
        expected_sequence: int | None,
        traceparent: str | None = None,
        claim_namespace: str | None = None,
    ) -> int:
        """Makes this the object's last message and returns its sequence.

        ``data`` is the object's JSON without managedFields. ``expected_sequence`` is that of the object's last
        message, 0 for none, None to publish whatever is there. ``traceparent`` is the message's creation context,
        the current span's if None. ``claim_namespace`` is that of the claim that a resource is for.

        Raises:
            Superseded: the object's last message is another one.
            StreamLost: the stream is gone or was made anew.
            TooLarge, Unavailable, Refused
        """
        event = Event(key, uid, resource_version, False, self._source, self._now(), claim_namespace)
        return await self._publish(event, data, {}, expected_sequence, traceparent)

    async def tombstone(
        self,
        key: ObjectKey,
        uid: str,
        resource_version: str,
        *,
        api_version: str,
        expected_sequence: int | None,
        traceparent: str | None = None,
    ) -> int:
        """Says that the object was deleted; the message ages out. Otherwise as `publish`."""
        event = Event(key, uid, resource_version, deleted=True, source=self._source, time=self._now())
        ttl = {api.Header.MSG_TTL.value: f"{int(self._connection.config.tombstone_ttl.total_seconds())}s"}
        payload = tombstone_payload(key, uid, api_version)
        return await self._publish(event, payload, ttl, expected_sequence, traceparent)

    async def state(self, kinds: Iterable[GroupKind]) -> dict[ObjectKey, Published]:
        """What the stream holds of these kinds, without payloads. From here on this stream counts as the right one.

        Raises:
            StreamLost: there is no stream.
            Unavailable: ask again.
        """
        info = await require_stream(self._connection)
        self._stream_created = created(info)
        self._highest = info.state.last_seq
        return await self.held(kinds)

    async def held(self, kinds: Iterable[GroupKind]) -> dict[ObjectKey, Published]:
        """What the stream holds of these kinds, without payloads. Where it holds something that is no message about
        the object, that counts as one about an object that nobody knows. Raises as `state` does.
        """
        found: dict[ObjectKey, Published] = {}
        async for each in stored(self._connection, kinds):
            if isinstance(each, Unreadable):
                found[each.key] = Published(_NOBODY, "", each.sequence, deleted=False)
            else:
                found[each.key] = Published(each.uid, each.resource_version, each.sequence, each.deleted)
        return found

    async def watch_for_loss(self) -> AsyncIterator[StreamLost]:
        """Yields whenever the stream turns out to be gone, made anew, or set back; once for each such event.

        Looks after each reconnect, after a publication that failed, and every ten seconds. The publisher's user
        then calls `Bus.ensure` and `state`, and publishes what is missing.
        """
        stop_listening = self._connection.on_reconnect(self._suspicion.set)
        reported: datetime | str | None = None
        try:
            while True:
                self._suspicion.clear()
                try:
                    info = await require_stream(self._connection)
                except StreamLost as lost:
                    if reported != "gone":
                        reported = "gone"
                        yield lost
                except Unavailable:
                    pass
                else:
                    lost_or_none = self._differs(info)
                    if lost_or_none is None:
                        reported = None
                    elif reported != created(info):
                        reported = created(info)
                        yield lost_or_none
                try:
                    async with asyncio.timeout(_ROUTINE_CHECK):
                        await self._suspicion.wait()
                except TimeoutError:
                    continue
        finally:
            stop_listening()

    async def _publish(
        self, event: Event, data: bytes, more: dict[str, str], expected: int | None, traceparent: str | None
    ) -> int:
        headers = headers_of(event) | more
        if expected is not None:
            headers[_EXPECTED] = str(expected)
        subject = self._connection.subjects.object(event.key)
        with publishing(self._connection.config.stream, event, traceparent) as trace_headers:
            try:
                sequence = await self._connection.publish(subject, data, headers | trace_headers)
            except WrongLastSequence as error:
                present = await self._own(event)
                if present is None:
                    await self._check_stream()
                    raise Superseded(event.key, expected or 0, error.actual) from error
                sequence = present.sequence
            except NotThere as error:
                self._suspicion.set()
                await require_stream(self._connection)
                raise Unavailable(f"publishing {event.key}", "the stream is not being served yet") from error
        if self._stream_created is None:
            self._stream_created = created(await require_stream(self._connection))
        self._highest = max(self._highest, sequence)
        return sequence

    async def _own(self, event: Event) -> ObjectMessage | None:
        """The object's last message if it is this event: an earlier try arrived, only its answer was lost."""
        try:
            present = await latest(self._connection, event.key)
        except MalformedMessage:
            return None
        if present is None:
            return None
        same = (present.uid, present.resource_version, present.deleted)
        return present if same == (event.uid, event.resource_version, event.deleted) else None

    async def _check_stream(self) -> None:
        lost = self._differs(await require_stream(self._connection))
        if lost is not None:
            self._suspicion.set()
            raise lost

    def _differs(self, info: api.StreamInfo) -> StreamLost | None:
        stream = self._connection.config.stream
        if self._stream_created is not None and created(info) != self._stream_created:
            return StreamLost(stream, "it was made anew")
        if info.state.last_seq < self._highest:
            return StreamLost(stream, "it lost messages")
        return None

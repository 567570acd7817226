"""Reading the stream: an object's last message, the present state of kinds, and following them as they change."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from nats.aio.msg import Msg
from nats.js import api

from conductor_bus.connection import Connection, NotThere, Unserved, created
from conductor_bus.envelope import ObjectMessage, read_message
from conductor_bus.errors import MalformedMessage, StreamLost, Unavailable
from conductor_bus.pull import ConsumerLost, PullSession
from conductor_bus.streams import ensure_streams
from conductor_bus.subjects import WakeSubject
from conductor_model.refs import GroupKind, ObjectKey

_log = logging.getLogger(__name__)

_BATCH = 256
_ABANDONED_AFTER = 60.0
"""Seconds after which the broker forgets a reader's consumer that nobody pulls from any more."""
_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Everything that the stream held when the reader started has been yielded."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """What was yielded before may no longer be so: forget it, the present state follows, then `CaughtUp`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What the stream holds at an object's place and is no message about it."""

    key: ObjectKey
    sequence: int


@dataclass(frozen=True, slots=True)
class _Position:
    """How far a follower has read, in which incarnation of the stream."""

    created: datetime
    sequence: int


async def latest(connection: Connection, key: ObjectKey) -> ObjectMessage | None:
    """The object's last message, which may be a tombstone; None if the stream has none.

    Raises:
        StreamLost: there is no stream.
        MalformedMessage, Unavailable
    """
    stream = connection.config.stream
    try:
        message = await connection.last_message(stream, connection.subjects.object(key))
    except NotThere:
        await require_stream(connection)
        return None
    except Unserved:
        # A direct get of a stream that does not exist has no responders, as one of a broker that just starts has.
        await require_stream(connection)
        raise
    return read_message(key, message.headers, message.data or b"", sequence=message.seq or 0)


async def require_stream(connection: Connection) -> api.StreamInfo:
    """The stream's description.

    Raises:
        StreamLost: there is no stream.
        Unavailable
    """
    stream = connection.config.stream
    try:
        return await connection.stream_info(stream)
    except NotThere as error:
        raise StreamLost(stream, "it does not exist") from error


async def snapshot(
    connection: Connection, kinds: Iterable[GroupKind], *, headers_only: bool = False
) -> AsyncGenerator[ObjectMessage, None]:
    """The last message of every object of these kinds as of now, tombstones included, oldest change first.

    Raises:
        StreamLost: there is no stream.
        Unavailable: the connection broke; what was yielded is not complete.
    """
    async for message in _snapshot(connection, kinds, headers_only=headers_only):
        if (read := _read(connection, message)) is not None:
            yield read


async def stored(
    connection: Connection, kinds: Iterable[GroupKind]
) -> AsyncGenerator[ObjectMessage | Unreadable, None]:
    """What stands at the place of every object of these kinds, without payloads. Raises as `snapshot` does."""
    subjects = connection.subjects
    async for message in _snapshot(connection, kinds, headers_only=True):
        try:
            key = subjects.parse(message.subject)
        except MalformedMessage:
            continue
        if isinstance(key, WakeSubject) or subjects.object(key) != message.subject:
            continue
        sequence = message.metadata.sequence.stream
        try:
            yield read_message(key, message.headers, message.data, sequence=sequence)
        except MalformedMessage:
            yield Unreadable(key, sequence)


async def _snapshot(
    connection: Connection, kinds: Iterable[GroupKind], *, headers_only: bool
) -> AsyncGenerator[Msg, None]:
    try:
        async for message in _messages(connection, kinds, headers_only=headers_only):
            yield message
    except ConsumerLost as error:
        raise Unavailable("reading the present state", str(error)) from error


async def _messages(
    connection: Connection, kinds: Iterable[GroupKind], *, headers_only: bool
) -> AsyncGenerator[Msg, None]:
    await require_stream(connection)
    config = _reader(connection, kinds, headers_only=headers_only)
    async with PullSession(
        connection, connection.config.stream, await _create(connection, config)
    ) as session:
        asked = False
        while True:
            if session.drained:
                if asked and (await _unread(connection, config)) == 0:
                    break
                await session.request(_BATCH, wait=False)
                asked = True
            message = await session.receive()
            if message is not None:
                yield message
    await connection.delete_consumer(connection.config.stream, str(config.name))


async def follow(
    connection: Connection, kinds: Iterable[GroupKind], *, clock: Callable[[], float] = time.monotonic
) -> AsyncGenerator[ObjectMessage | CaughtUp | Restarted, None]:
    """Present state, `CaughtUp`, then every change, for ever.

    A lost connection is resumed where it broke; a stream that was wiped, made anew or set back is read again from
    its start, after `Restarted`.
    """
    kinds = tuple(kinds)
    position: _Position | None = None
    caught_up = False
    lost_at: float | None = None
    while True:
        try:
            info = await require_stream(connection)
            away = 0.0 if lost_at is None else clock() - lost_at
            restart = _cannot_resume(position, info, away=away, tombstone_ttl=connection.config.tombstone_ttl)
            if restart is not None:
                yield Restarted(restart)
                position, caught_up = None, False
            position = position or _Position(created(info), 0)
            config = _reader(connection, kinds, after=position.sequence)
            name = await _create(connection, config)
            async with PullSession(connection, connection.config.stream, name) as session:
                lost_at = None
                session.nudge()
                while True:
                    if session.outstanding <= _BATCH // 2:
                        await session.request(_BATCH - session.outstanding)
                    message = await session.receive()
                    if message is None:
                        if not caught_up and await _all_received(connection, config, session):
                            caught_up = True
                            yield CaughtUp()
                        continue
                    delivery = message.metadata
                    position = _Position(position.created, delivery.sequence.stream)
                    if (read := _read(connection, message)) is not None:
                        yield read
                    if delivery.num_pending == 0 and not caught_up:
                        caught_up = True
                        yield CaughtUp()
        except StreamLost:
            lost_at = lost_at or clock()
            await _try_to_ensure(connection)
        except (ConsumerLost, Unavailable) as error:
            lost_at = lost_at or clock()
            _log.info("reading the stream again: %s", error)
            await asyncio.sleep(_PAUSE if isinstance(error, Unavailable) else 0)


def _cannot_resume(
    position: _Position | None, info: api.StreamInfo, *, away: float, tombstone_ttl: timedelta
) -> str | None:
    """Why a follower cannot go on from its position, or None if it can."""
    if position is None:
        return None
    if created(info) != position.created:
        return "the stream was made anew"
    if info.state.last_seq < position.sequence:
        return "the stream lost messages"
    if away > tombstone_ttl.total_seconds():
        return "deletions may have been missed"
    return None


def _reader(
    connection: Connection, kinds: Iterable[GroupKind], *, headers_only: bool = False, after: int = 0
) -> api.ConsumerConfig:
    """A consumer for one reader: no acknowledgements, forgotten soon after the reader is gone.

    It delivers all there is rather than the last of each subject: the stream keeps only the last.
    """
    return api.ConsumerConfig(
        name=f"reader-{secrets.token_hex(8)}",
        deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE if after else api.DeliverPolicy.ALL,
        opt_start_seq=after + 1 if after else None,
        ack_policy=api.AckPolicy.NONE,
        filter_subjects=connection.subjects.objects_of(kinds),
        headers_only=headers_only or None,
        inactive_threshold=_ABANDONED_AFTER,
        mem_storage=True,
        num_replicas=1,
    )


async def _create(connection: Connection, config: api.ConsumerConfig) -> str:
    try:
        await connection.add_consumer(connection.config.stream, config)
    except NotThere as error:
        raise StreamLost(connection.config.stream, "it does not exist") from error
    return str(config.name)


async def _unread(connection: Connection, config: api.ConsumerConfig) -> int:
    try:
        info = await connection.consumer_info(connection.config.stream, str(config.name))
    except NotThere as error:
        raise ConsumerLost("the reader's consumer is gone") from error
    return info.num_pending or 0


async def _all_received(connection: Connection, config: api.ConsumerConfig, session: PullSession) -> bool:
    """Whether nothing is left: neither with the broker nor on the way, which the broker no longer counts."""
    try:
        info = await connection.consumer_info(connection.config.stream, str(config.name))
    except NotThere as error:
        raise ConsumerLost("the reader's consumer is gone") from error
    delivered = info.delivered.consumer_seq if info.delivered is not None else 0
    return not info.num_pending and delivered == session.received


def _read(connection: Connection, message: Msg) -> ObjectMessage | None:
    """The object's message; one that cannot be read is reported and passed over, since a view needs none of it."""
    try:
        named = connection.subjects.parse(message.subject)
        if isinstance(named, WakeSubject):
            return None
        return read_message(named, message.headers, message.data, sequence=message.metadata.sequence.stream)
    except MalformedMessage as error:
        _log.error("skipping a message that cannot be read: %s", error)
        return None


async def _try_to_ensure(connection: Connection) -> None:
    try:
        await ensure_streams(connection)
    except Unavailable as error:
        _log.info("waiting for the stream: %s", error)
        await asyncio.sleep(_PAUSE)

"""The bus as a service sees it: one object that opens the connection and hands out everything else."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Iterable

from conductor_bus import deadletters, reading
from conductor_bus.config import BusConfig
from conductor_bus.connection import Connection
from conductor_bus.credentials import Credentials
from conductor_bus.deadletters import DeadLetter
from conductor_bus.envelope import ObjectMessage
from conductor_bus.errors import Unavailable
from conductor_bus.publisher import ObjectPublisher
from conductor_bus.reading import CaughtUp, Restarted
from conductor_bus.streams import ensure_streams
from conductor_bus.work import Related, itself
from conductor_bus.workqueue import WorkQueue
from conductor_model.refs import GroupKind, ObjectKey

_log = logging.getLogger(__name__)

_DEFAULTS = BusConfig()
_PAUSE = 0.5


class Bus:
    """One process's way onto the bus."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def connect(
        cls, url: str, *, name: str, config: BusConfig = _DEFAULTS, credentials: Credentials | None = None
    ) -> Bus:
        """Returns once connected, however long the broker takes to appear; reconnects for ever.

        ``url`` may name several servers of a cluster, with commas between them; others are found through them.

        Credentials come from the URL or the environment (see `conductor_bus.credentials`) unless given.
        """
        if credentials is None:
            credentials = Credentials.from_environment(os.environ)
        connection = Connection(url, name, config, credentials)
        await connection.open()
        return cls(connection)

    @property
    def connected(self) -> bool:
        return self._connection.connected

    async def ensure(self) -> None:
        """The streams exist and are configured as they should be; any service may call this at any time.

        Waits for a broker that does not answer yet.

        Raises:
            ServerTooOld: the broker lacks a feature that the bus is built on.
            Refused
        """
        while True:
            try:
                await ensure_streams(self._connection)
            except Unavailable as error:
                _log.warning("preparing the streams: %s", error)
                await asyncio.sleep(_PAUSE)
            else:
                return

    def publisher(self, source: str) -> ObjectPublisher:
        """For the one that watches the API. ``source`` is the CloudEvents source, a URI reference."""
        return ObjectPublisher(self._connection, source)

    async def latest(self, key: ObjectKey) -> ObjectMessage | None:
        """The object's last message, a tombstone included (see ``deleted``); None if the stream has none."""
        return await reading.latest(self._connection, key)

    def snapshot(
        self, kinds: Iterable[GroupKind], *, headers_only: bool = False
    ) -> AsyncGenerator[ObjectMessage, None]:
        """The present state of these kinds, tombstones included, then the end."""
        return reading.snapshot(self._connection, kinds, headers_only=headers_only)

    def follow(
        self, kinds: Iterable[GroupKind]
    ) -> AsyncGenerator[ObjectMessage | CaughtUp | Restarted, None]:
        """The present state, `CaughtUp`, then every change for ever; `Restarted` before it starts over."""
        return reading.follow(self._connection, kinds)

    def work_queue(
        self,
        group: str,
        kinds: Iterable[GroupKind],
        *,
        concurrency: int = 64,
        key: Related | None = None,
    ) -> WorkQueue:
        """This process's share of the work of ``group``, up to ``concurrency`` objects at once.

        ``key`` says which objects a message is about, where those are not the message's own.
        """
        return WorkQueue(self._connection, group, tuple(kinds), concurrency, key or itself)

    def dead_letters(self, group: str | None = None) -> AsyncGenerator[DeadLetter, None]:
        """What the group's workers, or any, gave up on; oldest first."""
        return deadletters.dead_letters(self._connection, group)

    async def replay(self, letter: DeadLetter) -> None:
        """Has the letter's object looked at again in its present state, and removes the letter."""
        await deadletters.replay(self._connection, letter)

    async def discard(self, letter: DeadLetter) -> None:
        """Removes the letter."""
        await deadletters.discard(self._connection, letter)

    async def close(self) -> None:
        await self._connection.close()

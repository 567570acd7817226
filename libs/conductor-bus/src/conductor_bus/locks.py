"""One holder per object across all replicas of a consumer.

A lock is a message on the object's lock subject: taking it is publishing with the expectation that the subject is
empty, which the broker grants to one. It lives ``hold`` seconds unless refreshed, so a holder that dies loses it.

Promises: a holder whose refreshes do not get through counts its own time and gives up *before* the broker would let
somebody else in; giving up cancels the handler. When the broker lost its memory (the locks are not on disk), the
holders put their locks back as soon as they are connected, and nobody takes a new one for a moment.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nats.js import api

from conductor_bus.connection import Connection, NotThere, WrongLastSequence
from conductor_bus.errors import BusError, StreamLost
from conductor_model.refs import ObjectKey

_log = logging.getLogger(__name__)

_EXPECTED = api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value
_TTL = api.Header.MSG_TTL.value
_MARGIN = 0.8
"""The share of the hold after which a holder without a successful refresh gives up."""


@dataclass(eq=False, slots=True)
class Lock:
    """A lock that this process holds, until `lost` is set or it is released."""

    key: ObjectKey
    sequence: int
    refreshed: float
    lost: bool = False
    handler: asyncio.Task[object] | None = field(default=None)
    """The task to cancel when the lock is lost."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the broker is asked to renew or to delete it: a renewal that crossed a release would outlive it."""

    def lose(self) -> None:
        self.lost = True
        if self.handler is not None:
            self.handler.cancel()


class Locks:
    """The locks of one consumer in this process."""

    def __init__(
        self, connection: Connection, consumer: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._consumer = consumer
        self._holder = connection.client.client_id or 0
        self._clock = clock
        self._held: set[Lock] = set()
        self._quiet_until = 0.0
        policy = connection.config.work
        self._hold = policy.hold
        self._quiet = policy.settle_after_reconnect

    def after_reconnect(self) -> None:
        """Takes no new lock for a moment: others put theirs back first."""
        self._quiet_until = self._clock() + self._quiet

    async def take(self, key: ObjectKey) -> Lock | None:
        """The lock, or None if somebody else holds it.

        Raises:
            StreamLost: the lock stream is gone.
            Unavailable
        """
        await self._wait_until_quiet()
        began = self._clock()
        try:
            sequence = await self._put(key, expected=0)
        except WrongLastSequence:
            return None
        except NotThere as error:
            raise StreamLost(self._connection.config.lock_stream, "it does not exist") from error
        lock = Lock(key, sequence, began)
        self._held.add(lock)
        return lock

    async def release(self, lock: Lock) -> None:
        """Lets others have the object. If the broker cannot be told, the lock runs out by itself."""
        self._held.discard(lock)
        if lock.lost:
            return
        stream = self._connection.config.lock_stream
        async with lock.changing:
            try:
                await self._connection.delete_message(stream, lock.sequence)
            except BusError as error:
                _log.debug("lock of %s is left to run out: %s", lock.key, error)

    async def refresh(self) -> bool:
        """Renews all locks, puts back those that the broker forgot, and gives up those that somebody else has.

        Returns whether the broker knows of all that are left.
        """
        return all(await asyncio.gather(*(self._refresh(lock) for lock in tuple(self._held))))

    def give_up_stale(self) -> None:
        """Gives up the locks that may soon be somebody else's."""
        limit = self._clock() - self._hold * _MARGIN
        for lock in tuple(self._held):
            if lock.refreshed < limit:
                self._give_up(lock, "it could not be renewed in time")

    async def _refresh(self, lock: Lock) -> bool:
        async with lock.changing:
            return lock not in self._held or await self._renew(lock)

    async def _renew(self, lock: Lock) -> bool:
        began = self._clock()
        try:
            sequence = await self._put_again(lock)
        except WrongLastSequence:
            if lock in self._held:
                self._give_up(lock, "somebody else holds it")
        except BusError as error:
            _log.debug("lock of %s not renewed: %s", lock.key, error)
            return False
        else:
            lock.sequence, lock.refreshed = sequence, began
        return True

    async def _put_again(self, lock: Lock) -> int:
        try:
            return await self._put(lock.key, expected=lock.sequence)
        except WrongLastSequence as error:
            if error.actual:
                raise
            # The broker has no lock of this object: it forgot, or it ran out and nobody came.
            return await self._put(lock.key, expected=0)

    def _give_up(self, lock: Lock, reason: str) -> None:
        _log.warning("gave up working on %s: the lock was lost, %s", lock.key, reason)
        self._held.discard(lock)
        lock.lose()

    async def _put(self, key: ObjectKey, *, expected: int) -> int:
        headers = {_EXPECTED: str(expected), _TTL: f"{max(1, round(self._hold))}s"}
        subject = self._connection.subjects.lock(self._consumer, key)
        return await self._connection.publish(subject, str(self._holder).encode(), headers)

    async def _wait_until_quiet(self) -> None:
        if (left := self._quiet_until - self._clock()) > 0:
            await asyncio.sleep(left)

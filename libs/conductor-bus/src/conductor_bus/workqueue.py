"""The work queue: one durable consumer shared by all replicas of a service, each object in one pair of hands.

How a message goes: it arrives, is put to its object(s) in the keyed queue, a worker locks the object across replicas,
reads its last message, runs the handler, settles. Promises:

- Two handlers never run for one object at once, in whichever replicas (see `conductor_bus.locks` for how far).
- A handler sees the object's last message as of after it got the lock, so an older state never overtakes a newer one.
- Flows (see `conductor_bus.flows`) take turns, however much of one is before another on the stream.
- A message is acknowledged only after its handler answered and the timer it asked for is stored.
- On stop nothing new is started, what waits is handed back at once, what runs may finish for a few seconds.
- A broker that restarts, or loses everything, is waited for and set up again without a restart of the process.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from nats.aio.msg import Msg
from nats.js import api

from conductor_bus import deadletters
from conductor_bus.cancellation import cancellable
from conductor_bus.connection import Connection, NotThere
from conductor_bus.envelope import TRACEPARENT_HEADER, ObjectMessage, claim_namespace, read_message
from conductor_bus.errors import BusError, MalformedMessage, StreamLost, TooLarge
from conductor_bus.flows import Share
from conductor_bus.keyed import Batch, KeyedQueue
from conductor_bus.locks import Lock, Locks
from conductor_bus.pull import ConsumerLost, PullSession
from conductor_bus.reading import latest
from conductor_bus.streams import ensure_streams
from conductor_bus.subjects import WakeSubject
from conductor_bus.timers import Timers
from conductor_bus.tracing import processing
from conductor_bus.verdict import Failures, GiveUp, after_failure, is_retryable, judge
from conductor_bus.work import Cause, Handler, Related, RequeueAfter, Result, Wake, Work
from conductor_model.refs import GroupKind, ObjectKey

_log = logging.getLogger(__name__)

_MOST_UNACKNOWLEDGED = 100_000
"""High, since an object that waits for its retry counts, and must not keep others from being delivered."""
_SHORTEST_TIMER = 1.0
"""Below this a wish to be called again is a delayed redelivery rather than a stored timer."""
_REMEMBERED_FAILURES = 10_000
_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_SHORT_PAUSE = 0.05
_FOR_ANOTHER_VERSION = 10.0
"""Seconds until an object of a kind that is not ours is handed out again, perhaps to a replica that knows it."""
_LOOK_FURTHER_EVERY = 1.0
"""How often a worker whose hands are full looks whether somebody waits behind those whose work it has in hand."""
_LOOK_FURTHER = 256
_REMEMBERED_PUT_OFF = 20_000


@dataclass(frozen=True, slots=True)
class Lag:
    """How much work is there: what replicas are scaled by."""

    waiting: int
    """Messages that no worker has yet."""
    in_hand: int
    """Messages that were delivered but not acknowledged, those waiting for a retry included."""


@dataclass(slots=True)
class Statistics:
    """What this process's workers have done since it started."""

    handled: int = 0
    requeued: int = 0
    retried: int = 0
    unexpected: int = 0
    dead_letters: int = 0
    busy_elsewhere: int = 0
    put_off: int = 0
    locks_lost: int = 0
    active: int = 0


@dataclass(eq=False, slots=True)
class _Delivery:
    """One message in hand. It is settled when all objects that it was put to are done with it."""

    message: Msg
    cause: Cause
    open_keys: int
    again_after: float | None = None

    @property
    def sequence(self) -> int:
        return self.cause.sequence


@dataclass(slots=True)
class WorkQueue:
    """The consumer ``group``'s work in this process."""

    connection: Connection
    group: str
    kinds: tuple[GroupKind, ...]
    concurrency: int
    related: Related
    chance: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic
    statistics: Statistics = field(default_factory=Statistics)
    _queue: KeyedQueue[_Delivery] = field(default_factory=KeyedQueue)
    _in_hand: set[_Delivery] = field(default_factory=set)
    _failures: dict[ObjectKey, Failures] = field(default_factory=dict)
    _share: Share = field(init=False)
    _put_off: dict[int, int] = field(default_factory=dict)
    """Sequence -> how often its message was put off here: no delivery that a handler has seen."""
    _look_further_at: float = 0.0
    _reminded_at: float = 0.0
    _workers: set[asyncio.Task[None]] = field(default_factory=set)
    _session: PullSession | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._share = Share(self.concurrency)

    @property
    def receiving(self) -> bool:
        """Whether messages are being pulled at this moment: what readiness means for a worker."""
        return self._ready.is_set() and self.connection.connected

    async def lag(self) -> Lag:
        """The whole group's, over all replicas.

        Raises:
            StreamLost: the consumer does not exist (yet).
            Unavailable
        """
        try:
            info = await self.connection.consumer_info(self.connection.config.stream, self.group)
        except NotThere as error:
            raise StreamLost(self.connection.config.stream, f"it has no consumer {self.group}") from error
        return Lag(info.num_pending or 0, info.num_ack_pending or 0)

    async def run(self, handle: Handler, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set, then hands back what is left and returns."""
        locks = Locks(self.connection, self.group)
        timers = Timers(self.connection, self.group)
        keeper = asyncio.create_task(self._keep(locks))
        watcher = asyncio.create_task(self._nudge_on(stop))
        pause = _PAUSE
        try:
            while not stop.is_set():
                try:
                    await self._set_up()
                    async with self._pulling() as session:
                        pause = _PAUSE
                        await self._pump(session, handle, stop, locks, timers)
                except ConsumerLost as error:
                    _log.info("%s: setting up again: %s", self.group, error)
                except BusError as error:
                    level = logging.INFO if error.retryable else logging.ERROR
                    _log.log(level, "%s: setting up: %s", self.group, error)
                    await _either(stop, pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
            await self._drain()
        finally:
            watcher.cancel()
            # A worker whose handler loses the cancellation ends after it, since nothing more waits for it.
            self._queue.drain()
            for worker in self._workers:
                worker.cancel()
            try:
                await asyncio.gather(*self._workers, return_exceptions=True)
            finally:
                keeper.cancel()

    @asynccontextmanager
    async def _pulling(self) -> AsyncIterator[PullSession]:
        async with PullSession(self.connection, self.connection.config.stream, self.group) as session:
            self._session = session
            self._ready.set()
            try:
                yield session
            finally:
                self._ready.clear()
                self._session = None

    async def _pump(
        self, session: PullSession, handle: Handler, stop: asyncio.Event, locks: Locks, timers: Timers
    ) -> None:
        """Pulls as much as there is room for, and starts workers."""
        while not stop.is_set():
            while self._queue.active < self.concurrency and (batch := self._queue.take()) is not None:
                worker = asyncio.create_task(self._work(batch, handle, locks, timers))
                self._workers.add(worker)
                worker.add_done_callback(self._workers.discard)
            room = self.concurrency - len(self._in_hand) - session.outstanding
            if room > 0:
                self._look_further_at = self.clock() + _LOOK_FURTHER_EVERY
                await session.request(room)
            elif session.drained:
                await self._look_further(session)
            message = await session.receive()
            if message is not None:
                await self._accept(message)

    async def _look_further(self, session: PullSession) -> None:
        """Hands are full: goes through what waits on the stream, for the work of others than those it has in hand.

        Only what is there already is asked for: while another replica has room, everything goes there.
        """
        now = self.clock()
        if now >= self._look_further_at:
            self._look_further_at = now + _LOOK_FURTHER_EVERY
            await session.request(_LOOK_FURTHER, wait=False)
        elif self._reminded_at != self._look_further_at:
            self._reminded_at = self._look_further_at
            asyncio.get_running_loop().call_later(self._look_further_at - now, session.nudge)

    async def _accept(self, message: Msg) -> None:
        """Puts a message to its objects; one that cannot be read is set aside at once."""
        try:
            cause = self._read(message)
            keys = tuple(dict.fromkeys((cause.key,) if isinstance(cause, Wake) else self._related_to(cause)))
        except MalformedMessage as error:
            await self._bury(message, None, error)
            await self._acknowledge(message, None)
            return
        if not keys:
            await self._acknowledge(message, None)
            return
        if isinstance(cause, ObjectMessage) and cause.key.group_kind not in self.kinds:
            # A newer version of this service asked for it.
            await self._acknowledge(message, _FOR_ANOTHER_VERSION)
            return
        if not self._share.fits(cause.flow, self.clock()):
            await self._put_it_off(message, cause)
            return
        self._put_off.pop(cause.sequence, None)
        delivery = _Delivery(message, cause, len(keys))
        self._in_hand.add(delivery)
        self._share.took(cause.flow)
        for key in keys:
            self._queue.add(key, delivery, cause.flow)

    async def _put_it_off(self, message: Msg, cause: Cause) -> None:
        """Gives a message back, to have it again when its flow's turn may have come."""
        self.statistics.put_off += 1
        self._put_off[cause.sequence] = self._put_off.pop(cause.sequence, 0) + 1
        if len(self._put_off) > _REMEMBERED_PUT_OFF:
            del self._put_off[next(iter(self._put_off))]
        await self._acknowledge(message, self._share.put_off(cause.flow, self.clock()))
        if message.metadata.num_pending:
            # Whoever waits behind all these is to be found now.
            self._look_further_at = 0.0

    def _read(self, message: Msg) -> Cause:
        named = self.connection.subjects.parse(message.subject)
        meta = message.metadata
        sequence = meta.sequence.stream
        deliveries = max(1, meta.num_delivered - self._put_off.get(sequence, 0))
        if isinstance(named, WakeSubject):
            headers = message.headers or {}
            traceparent = headers.get(TRACEPARENT_HEADER)
            return Wake(named.key, sequence, deliveries, traceparent, claim_namespace(headers))
        return read_message(named, message.headers, message.data, sequence=sequence, deliveries=deliveries)

    def _related_to(self, message: ObjectMessage) -> Iterable[ObjectKey]:
        try:
            return tuple(self.related(message))
        except Exception as error:
            raise MalformedMessage(f"{message.key}: {type(error).__qualname__} while reading it") from error

    async def _work(self, batch: Batch[_Delivery], handle: Handler, locks: Locks, timers: Timers) -> None:
        """One object, until nothing more has come in for it."""
        key = batch.key
        current: Batch[_Delivery] | None = batch
        lock: Lock | None = None
        try:
            lock = await locks.take(key)
            if lock is None:
                self.statistics.busy_elsewhere += 1
                await self._settle(batch, self._pause_for_busy(batch))
                return
            while current is not None:
                await self._handle(current, lock, handle, timers)
                current = None if lock.lost else self._queue.take_more(key)
            self._share.finished(self.clock())
        except BusError as error:
            _log.info("%s: %s is tried again: %s", self.group, key, error)
            if isinstance(error, StreamLost) and self._session is not None:
                self._session.end(str(error))
            if current is not None:
                await self._settle(current, _PAUSE)
        except Exception as error:
            # Of the bus itself, for a handler's were seen to. What is in hand must not be held on to for ever.
            self.statistics.unexpected += 1
            _log.error("%s: working on %s: %s", self.group, key, type(error).__qualname__)
            if current is not None:
                await self._settle(current, _PAUSE)
        except asyncio.CancelledError:
            if current is not None:
                await self._settle(current, 0.0)
            raise
        finally:
            if lock is not None:
                await locks.release(lock)
            self._queue.release(key)
            self._nudge()

    async def _handle(self, batch: Batch[_Delivery], lock: Lock, handle: Handler, timers: Timers) -> None:
        key, newest = batch.key, max(batch.items, key=lambda delivery: delivery.sequence)
        cause = newest.cause
        if isinstance(cause, Wake):
            timers.fired(key)
        try:
            message = await latest(self.connection, key)
        except MalformedMessage as error:
            await self._bury(newest.message, key, error)
            await self._settle(batch, None)
            return
        if message is None and cause.key == key:
            # Aged out or wiped since: whatever there is to know of it will be published again.
            await self._settle(batch, None)
            return
        if isinstance(cause, ObjectMessage) and message is not None and cause.key == key:
            # A leader that has just been elected may not know yet of what a consumer has delivered.
            message = max(cause, message, key=lambda each: each.sequence)
        self.statistics.active += 1
        try:
            result = await self._call(handle, Work(key, message, cause), lock, newest)
        except asyncio.CancelledError:
            if not lock.lost:
                raise
            self.statistics.locks_lost += 1
            await self._settle(batch, _PAUSE)
        except Exception as error:
            await self._after_error(batch, newest, error)
        else:
            await self._after_result(batch, cause, result, timers)
        finally:
            self.statistics.active -= 1

    async def _call(self, handle: Handler, work: Work, lock: Lock, newest: _Delivery) -> Result:
        """Runs the handler as a task that losing the lock cancels."""
        cause = work.cause
        first = isinstance(cause, ObjectMessage) and cause.deliveries == 1
        with processing(self.group, work.key, work.message, origin=cause.traceparent, first=first):
            task = asyncio.ensure_future(handle(work))
            lock.handler = task
            try:
                if lock.lost:
                    task.cancel()
                return await task
            finally:
                lock.handler = None

    async def _after_result(
        self, batch: Batch[_Delivery], cause: Cause, result: Result, timers: Timers
    ) -> None:
        self._failures.pop(batch.key, None)
        self.statistics.handled += 1
        again: float | None = None
        if isinstance(result, RequeueAfter):
            self.statistics.requeued += 1
            if result.seconds < _SHORTEST_TIMER:
                again = max(0.0, result.seconds)
            else:
                delay = timedelta(seconds=result.seconds)
                claimed_in = cause.claim_namespace
                await timers.set(batch.key, delay, traceparent=cause.traceparent, claim_namespace=claimed_in)
        else:
            await timers.cancel(batch.key)
        await self._settle(batch, again)

    async def _after_error(self, batch: Batch[_Delivery], newest: _Delivery, error: Exception) -> None:
        failures = after_failure(self._failures.get(batch.key, Failures()), error, newest.sequence)
        policy = self.connection.config.work
        verdict = judge(error, failures, newest.cause.deliveries, policy, self.chance())
        if is_retryable(error):
            self.statistics.retried += 1
            _log.info("%s: %s is tried again: %s", self.group, batch.key, type(error).__qualname__)
        else:
            self.statistics.unexpected += 1
            # Only the type: the text of an exception that nobody expected may hold anything.
            _log.error("%s: %s failed unexpectedly: %s", self.group, batch.key, type(error).__qualname__)
        if isinstance(verdict, GiveUp):
            await self._bury(newest.message, batch.key, error)
            self._failures.pop(batch.key, None)
            await self._settle(batch, None)
            return
        self._failures.pop(batch.key, None)
        self._failures[batch.key] = failures
        if len(self._failures) > _REMEMBERED_FAILURES:
            del self._failures[next(iter(self._failures))]
        await self._settle(batch, verdict.delay)

    async def _settle(self, batch: Batch[_Delivery], again_after: float | None) -> None:
        """Done with the batch for its object. To be called again, one message, the newest, is enough."""
        newest = max(batch.items, key=lambda delivery: delivery.sequence)
        for delivery in batch.items:
            if delivery is newest and again_after is not None:
                delivery.again_after = max(delivery.again_after or 0.0, again_after)
            delivery.open_keys -= 1
            if delivery.open_keys > 0:
                continue
            self._in_hand.discard(delivery)
            self._share.gave(delivery.cause.flow)
            await self._acknowledge(delivery.message, delivery.again_after)

    async def _acknowledge(self, message: Msg, again_after: float | None) -> None:
        """Done with the message, or to be delivered again after so many seconds."""
        try:
            if again_after is None:
                await cancellable(message.ack())
            else:
                await cancellable(message.nak(again_after or None))
        except Exception as error:
            # The broker delivers it again when nobody speaks for it any more.
            _log.debug("%s: not acknowledged: %s", self.group, type(error).__qualname__)

    async def _bury(self, message: Msg, key: ObjectKey | None, error: BaseException) -> None:
        self.statistics.dead_letters += 1
        _log.error(
            "%s: %s goes to the dead letters: %s", self.group, message.subject, type(error).__qualname__
        )
        try:
            await deadletters.bury(self.connection, self.group, message, key, error)
        except TooLarge:
            # With what is added to its headers it no longer fits; the stream itself still has it.
            _log.error("%s: %s does not fit among the dead letters", self.group, message.subject)

    def _pause_for_busy(self, batch: Batch[_Delivery]) -> float:
        deliveries = max(delivery.cause.deliveries for delivery in batch.items)
        pause = self.connection.config.work.busy_elsewhere
        return float(min(1.0, pause * 2 ** min(deliveries - 1, 8)) * (0.5 + self.chance()))

    def _nudge(self) -> None:
        if self._session is not None:
            self._session.nudge()

    async def _keep(self, locks: Locks) -> None:
        """Says for everything in hand that it is still being worked on, and renews the locks."""
        hold = self.connection.config.work.hold
        reconnected = asyncio.Event()

        def after_reconnect() -> None:
            locks.after_reconnect()
            reconnected.set()

        stop_listening = self.connection.on_reconnect(after_reconnect)
        renewed = True
        try:
            while True:
                await _either(reconnected, hold / 3 if renewed else _SHORT_PAUSE)
                reconnected.clear()
                locks.give_up_stale()
                try:
                    renewed = await locks.refresh()
                except Exception as error:
                    # Without this task no lock would be renewed any more, and nobody would notice.
                    renewed = False
                    _log.error("%s: locks not renewed: %s", self.group, type(error).__qualname__)
                locks.give_up_stale()
                self._share.forget(self.clock())
                for delivery in tuple(self._in_hand):
                    await self._hold_on_to(delivery.message)
        finally:
            stop_listening()

    async def _hold_on_to(self, message: Msg) -> None:
        try:
            await cancellable(message.in_progress())
        except Exception as error:
            _log.debug("%s: heartbeat failed: %s", self.group, type(error).__qualname__)

    async def _nudge_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._nudge()

    async def _drain(self) -> None:
        """Hands back what waits, and gives what runs a few seconds."""
        for batch in self._queue.drain():
            await self._settle(batch, 0.0)
        if self._workers:
            _done, running = await asyncio.wait(self._workers, timeout=self.connection.config.work.drain)
            for worker in running:
                worker.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        await self.connection.flush()

    async def _set_up(self) -> None:
        """The streams exist (a broker that restarts forgets the one in memory), and so does the durable consumer,
        which gets these kinds, and whatever another version of this service, which may run beside this one, has added.
        If each set it to its own kinds, they would take turns with that for as long as both run.
        """
        await ensure_streams(self.connection)
        stream = self.connection.config.stream
        wanted = self._consumer()
        try:
            present = (await self.connection.consumer_info(stream, self.group)).config
        except NotThere:
            await self.connection.add_consumer(stream, wanted)
            return
        known = set(present.filter_subjects or [])
        missing = set(wanted.filter_subjects or []) - known
        if missing:
            wanted.filter_subjects = sorted(known | missing)
            # A consumer does not look back for a kind that it gets later; a new one starts with all there is.
            await self.connection.delete_consumer(stream, self.group)
            await self.connection.add_consumer(stream, wanted)

    def _consumer(self) -> api.ConsumerConfig:
        subjects = self.connection.subjects
        return api.ConsumerConfig(
            name=self.group,
            durable_name=self.group,
            description=f"Work of {self.group}",
            deliver_policy=api.DeliverPolicy.ALL,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=self.connection.config.work.hold,
            max_deliver=-1,
            max_ack_pending=_MOST_UNACKNOWLEDGED,
            filter_subjects=[*subjects.objects_of(self.kinds), subjects.wakes_of(self.group)],
        )


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, for so many seconds at most."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return

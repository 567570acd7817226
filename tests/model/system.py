"""All services on one model of the API server, of the bus and of a cloud, and what may befall them.

What runs is the services' own code: the watcher's decisions, the scheduler's view, decisions and writes, the managed
reconciler, the secrets-writer's handler. What is modelled is what they ask: each request waits until this world lets it
through, so that everything between two requests can be tried, in every order, with a death in between.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from prometheus_client import CollectorRegistry

from conductor_bus import ObjectMessage, Published, RequeueAfter, Wake, Work
from conductor_kube import KubeError, StatusWriter
from conductor_model.kinds import CLAIM_QUOTA, MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS
from conductor_model.rds import RDSInstance
from conductor_model.refs import ObjectKey
from conductor_provisioner.errors import Retryable
from conductor_provisioner.kube import KubeCluster
from conductor_provisioner.managed import ManagedReconciler
from conductor_provisioner.metrics import Metrics as ProvisionerMetrics
from conductor_provisioner.pacing import PollIntervals
from conductor_scheduler.commit import Committer, NotLeading
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import helped
from conductor_scheduler.framework import Change
from conductor_scheduler.metrics import Metrics as SchedulerMetrics
from conductor_scheduler.policy import Policy
from conductor_scheduler.settle import Settler
from conductor_scheduler.usage import accounted
from conductor_scheduler.view import View, affected
from conductor_secrets_writer.config import Settings
from conductor_secrets_writer.handle import ClaimHandler, Parts
from conductor_secrets_writer.instruments import Instruments
from conductor_secrets_writer.memory import RecentWrites
from conductor_secrets_writer.publish import ConnectionPublisher
from conductor_secrets_writer.related import related
from conductor_watcher.decide import Absent, News, Present, buried, is_news
from tests.model.api_server import ApiServer, Event
from tests.model.cloud import Cloud, Driver
from tests.model.process import Client, Fate, Process, Request

WATCHED = (MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS, CLAIM_QUOTA)
POLICY = Policy(SchedulerConfig())
SETTLE_DELETED = 60.0
"""Longer than a call to the cloud can take."""
START = datetime(2026, 11, 21, tzinfo=UTC)
LOSSES = (Fate.ANSWER_LOST, Fate.LOST, Fate.LATE)


class Quiet:
    """Takes events and forgets them."""

    def emit(self, **_: Any) -> None:
        """Nothing depends on them."""


class Stream:
    """The bus: of each object its last message, and whom it was not handed to yet."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.last: dict[ObjectKey, ObjectMessage] = {}
        self.pending: dict[str, dict[ObjectKey, None]] = {
            "scheduler": {},
            "provisioner": {},
            "secrets-writer": {},
        }
        self._now = now
        self._sequence = 0

    def publish(self, news: News) -> None:
        self._sequence += 1
        self.last[news.key] = ObjectMessage(
            key=news.key,
            uid=news.uid,
            resource_version=news.resource_version,
            deleted=isinstance(news, Absent),
            data=news.raw if isinstance(news, Present) else b"{}",
            sequence=self._sequence,
            time=self._now(),
            traceparent=None,
        )
        for waiting in self.pending.values():
            waiting[news.key] = None

    def published(self) -> dict[ObjectKey, Published]:
        return {
            key: Published(each.uid, each.resource_version, each.sequence, each.deleted)
            for key, each in self.last.items()
        }

    async def latest(self, key: ObjectKey) -> ObjectMessage | None:
        return self.last.get(key)


class Watching:
    """A watcher that has read the API's history up to some point."""

    def __init__(self, api: ApiServer, stream: Stream) -> None:
        """It lists first, as every watcher that starts: what is news in that is published, and what is gone is buried."""
        self._api, self._stream = api, stream
        self._read = len(api.events)
        listed = set()
        for type in WATCHED:
            for found in api.all_of(type):
                meta = found["metadata"]
                key = ObjectKey(type.group_kind, meta["namespace"], meta["name"])
                listed.add(key)
                self._tell(Present(key, meta["uid"], meta["resourceVersion"], json.dumps(found).encode()))
        for type in WATCHED:
            for absent in buried(type.group_kind, None, listed, stream.published()):
                self._tell(absent)

    @property
    def behind(self) -> int:
        return len(self._api.events) - self._read

    def goes_on(self) -> None:
        event = self._api.events[self._read]
        self._read += 1
        if event.key.group_kind in {type.group_kind for type in WATCHED}:
            self._tell(_news(event))

    def _tell(self, news: News) -> None:
        if is_news(news, self._stream.published().get(news.key)):
            self._stream.publish(news)


class Leader:
    """A scheduler that leads, or that was deposed and does not know it yet."""

    def __init__(self, system: System) -> None:
        self.leading = True
        self.process = Process(system.loop)
        self._dirty: dict[ObjectKey, None] = {}
        self.view = View(on_change=self._changed, on_freed=self._wake)
        commit = Committer(Client(system.api, self.process), self.view, lambda: self.leading)
        self.settler = Settler(
            self.view,
            commit,
            POLICY,
            SchedulerMetrics(CollectorRegistry()),
            now=system.now,
            mark=self._mark,
        )
        self._commit = commit
        self._now = system.now
        self._at_work: set[ObjectKey] = set()
        self._rests: dict[ObjectKey, datetime] = {}
        for type in WATCHED:
            for found in system.api.all_of(type):
                meta = found["metadata"]
                self.view.observe(
                    ObjectKey(type.group_kind, meta["namespace"], meta["name"]), json.dumps(found).encode()
                )

    def hear(self, message: ObjectMessage) -> None:
        if not message.deleted:
            self.view.observe(message.key, message.data)
        elif (held := self.view.get(message.key)) is not None and held.uid == message.uid:
            self.view.forget(message.key)

    def work(self) -> list[ObjectKey]:
        """What there is to do and is not being done."""
        ready = [
            key
            for key in self._dirty
            if key not in self._at_work and self._rests.get(key, START) <= self._now()
        ]
        for key in [key for key in ready if not self.settler.has_work(key)]:
            del self._dirty[key]
        return [key for key in ready if key in self._dirty]

    def settle(self, key: ObjectKey) -> None:
        self._at_work.add(key)
        self._dirty.pop(key, None)
        self.process.start(self.settler.settle(key), lambda task: self._settled(key, task))

    def look_up(self, key: ObjectKey) -> None:
        """As the scheduler does now and then with what a list of the API does not have."""
        self._at_work.add(key)
        self.process.start(self._refresh(key), lambda task: self._settled(key, task))

    async def _refresh(self, key: ObjectKey) -> float:
        await self._commit.refresh(key)
        return 0.0

    def _settled(self, key: ObjectKey, task: asyncio.Task[Any]) -> None:
        self._at_work.discard(key)
        error = task.exception()
        if error is None:
            self._rests[key] = self._now() + timedelta(seconds=task.result() or 0.0)
        elif isinstance(error, KubeError):
            self._dirty[key] = None
            self._rests[key] = self._now() + timedelta(seconds=1)
        elif not isinstance(error, NotLeading):
            raise error

    def _changed(self, change: Change) -> None:
        if change.replaced or (change.after is not None and change.after.being_deleted):
            self.settler.forget(change.key)
        for key in (change.key, *affected(change, self.view), *accounted(change, self.view)):
            self._mark(key)
        self._wake(change)

    def _wake(self, change: Change) -> None:
        for claim in helped(change, self.settler.waiting, self.view, POLICY):
            self._mark(claim.key)

    def _mark(self, key: ObjectKey) -> None:
        self._dirty[key] = None


class System:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self._failed)
        self.failure: BaseException | None = None
        self.time = START
        self.api = ApiServer(self.now)
        self.cloud = Cloud()
        self.stream = Stream(self.now)
        self.late: list[tuple[datetime, Request]] = []
        """On their way, and given up by their senders."""
        self.deposed: list[Leader] = []
        self.wakes: dict[tuple[str, ObjectKey], datetime] = {}
        """Durable timers."""
        self.losses = 0.0
        """The share of requests that something happens to."""
        self.looked_at: tuple[int, ...] = ()
        """The state in which the promises were last looked at."""
        self._at_work: set[tuple[str, ObjectKey]] = set()
        self._again: set[tuple[str, ObjectKey]] = set()
        self._passwords = 0
        self.watching = Watching(self.api, self.stream)
        self.leader = Leader(self)
        self._start_provisioner()
        self._start_writer()

    def close(self) -> None:
        for process in self.processes:
            process.die()
        self._run()
        self.loop.close()

    def now(self) -> datetime:
        return self.time

    def seconds(self) -> float:
        return (self.time - START).total_seconds()

    @property
    def processes(self) -> list[Process]:
        return [self.leader.process, self.provisioner, self.writer, *(each.process for each in self.deposed)]

    # What happens by itself.

    def steps(self) -> list[Callable[[Random], None]]:
        """All that could happen next, but for trouble."""
        found: list[Callable[[Random], None]] = []
        if self.watching.behind:
            found.append(lambda _: self.watching.goes_on())
        found += [
            self._hand_over(name, key) for name, waiting in self.stream.pending.items() for key in waiting
        ]
        found += [self._settle(key) for key in self.leader.work()]
        found += [
            self._answer(process, request) for process in self.processes for request in process.requests
        ]
        return found

    def step(self, chance: Random) -> bool:
        """One of what could happen next does. False: nothing is left to happen."""
        steps = self.steps()
        if not steps:
            return False
        chance.choice(steps)(chance)
        self._run()
        return True

    def _hand_over(self, name: str, key: ObjectKey) -> Callable[[Random], None]:
        def step(_: Random) -> None:
            del self.stream.pending[name][key]
            message = self.stream.last[key]
            if name == "scheduler":
                self.leader.hear(message)
            elif name == "provisioner" and key.group_kind == RDS_INSTANCE.group_kind:
                self._handle(name, key, message)
            elif name == "secrets-writer" and key.group_kind in {
                MYSQL_INSTANCE.group_kind,
                RDS_INSTANCE.group_kind,
            }:
                for claim in related(message):
                    self._handle(name, claim, message)

        return step

    def _settle(self, key: ObjectKey) -> Callable[[Random], None]:
        return lambda _: self.leader.settle(key)

    def _answer(self, process: Process, request: Request) -> Callable[[Random], None]:
        def step(chance: Random) -> None:
            fate = chance.choice(LOSSES) if chance.random() < self.losses else Fate.ANSWERED
            process.let_through(request, fate, self._later)

        return step

    def _later(self, request: Request) -> None:
        self.late.append((self.time, request))

    def _handle(self, name: str, key: ObjectKey, cause: ObjectMessage | Wake) -> None:
        """One worker for an object at any time; what comes meanwhile is handed over when it is done."""
        if (name, key) in self._at_work:
            self._again.add((name, key))
            return
        self._at_work.add((name, key))
        self.wakes.pop((name, key), None)
        work = Work(key, self.stream.last.get(key), cause)
        process, handler = (
            (self.provisioner, self._reconciler.handle)
            if name == "provisioner"
            else (self.writer, self._claim_handler)
        )
        process.start(handler(work), lambda task: self._handled(name, key, task))

    def _handled(self, name: str, key: ObjectKey, task: asyncio.Task[Any]) -> None:
        self._at_work.discard((name, key))
        error = task.exception()
        if error is None:
            answer = task.result()
            if isinstance(answer, RequeueAfter):
                self.wakes[name, key] = self.time + timedelta(seconds=answer.seconds)
        elif isinstance(error, KubeError | Retryable) or type(error).__name__ == "Transient":
            self.wakes[name, key] = self.time + timedelta(seconds=1)
        else:
            raise error
        if (name, key) in self._again:
            self._again.discard((name, key))
            self.wakes[name, key] = self.time

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failure = self.failure or context.get("exception") or RuntimeError(context["message"])

    def _run(self) -> None:
        """Until every process waits for an answer."""
        while True:
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            if not self.loop._ready:  # type: ignore[attr-defined]
                break
        if self.failure is not None:
            raise self.failure

    # What else may happen.

    def time_passes(self, seconds: float) -> None:
        """Timers come due, the cloud gets on, what is on its way to the cloud arrives."""
        self.time += timedelta(seconds=seconds)
        for sent, request in list(self.late):
            if request.external and (self.time - sent).total_seconds() >= SETTLE_DELETED / 3:
                self._arrives(sent, request)
        self.cloud.goes_on()
        self.api.collect()
        for (name, key), due in list(self.wakes.items()):
            if due <= self.time:
                del self.wakes[name, key]
                self._handle(name, key, Wake(key, 1, 1, None))
        self._run()

    def the_late_arrives(self) -> None:
        for sent, request in list(self.late):
            self._arrives(sent, request)

    def _arrives(self, sent: datetime, request: Request) -> None:
        self.late.remove((sent, request))
        try:
            request.make()
        except Exception as error:
            if not isinstance(error, KubeError | Retryable):
                raise

    def watcher_dies(self) -> None:
        self.watching = Watching(self.api, self.stream)

    def bus_is_wiped(self) -> None:
        self.stream.last.clear()
        for waiting in self.stream.pending.values():
            waiting.clear()
        self.watcher_dies()

    def leader_is_deposed(self) -> None:
        """It goes on with what it had begun, whenever it comes to it."""
        self.leader.leading = False
        self.deposed.append(self.leader)
        self._lead()

    def leader_dies(self, chance: Random) -> None:
        self._end(self.leader.process, chance)
        self._lead()

    def _lead(self) -> None:
        self.leader = Leader(self)
        self.stream.pending["scheduler"] = dict.fromkeys(self.stream.last)

    def provisioner_dies(self, chance: Random) -> None:
        self._end(self.provisioner, chance)
        self._hand_over_again("provisioner")
        self._start_provisioner()

    def writer_dies(self, chance: Random) -> None:
        self._end(self.writer, chance)
        self._hand_over_again("secrets-writer")
        self._start_writer()

    def _end(self, process: Process, chance: Random) -> None:
        for request in list(process.requests):
            process.let_through(request, chance.choice(LOSSES), self._later)
        process.die()
        self._run()

    def _hand_over_again(self, name: str) -> None:
        """What was being worked on."""
        for each in [each for each in self._at_work | self._again if each[0] == name]:
            self._at_work.discard(each)
            self._again.discard(each)
            self.wakes[each] = self.time

    def _start_provisioner(self) -> None:
        self.provisioner = Process(self.loop)
        client = Client(self.api, self.provisioner)
        self._reconciler = ManagedReconciler(
            RDSInstance,
            KubeCluster(RDS_INSTANCE, RDSInstance, client, Quiet(), field_manager="provisioner"),  # type: ignore[arg-type]
            Driver(self.cloud, self.provisioner),
            cluster_id="cluster",
            poll=PollIntervals(pending=10, settled=600),
            settle_deleted=SETTLE_DELETED,
            metrics=ProvisionerMetrics(CollectorRegistry()),
            now=self.now,
            monotonic=self.seconds,
            random=lambda: 0.5,
            new_password=self._new_password,
        )

    def _start_writer(self) -> None:
        self.writer = Process(self.loop)
        client = Client(self.api, self.writer)
        instruments = Instruments(CollectorRegistry())
        self._claim_handler = ClaimHandler(
            Parts(
                bus=self.stream,  # type: ignore[arg-type]
                client=client,
                status=StatusWriter(client, field_manager="secrets-writer"),
                events=Quiet(),  # type: ignore[arg-type]
                publisher=ConnectionPublisher(client, instruments),
                instruments=instruments,
                recent=RecentWrites(self.seconds),
                settings=Settings(),
                now=self.now,
                spread=lambda: 0.0,
            )
        )

    def _new_password(self) -> str:
        self._passwords += 1
        return f"password-{self._passwords}"


def _news(event: Event) -> News:
    if event.raw is None:
        return Absent(event.key, event.uid, event.resource_version)
    return Present(event.key, event.uid, event.resource_version, event.raw)

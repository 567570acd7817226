"""From the reflectors to the outbox, and from the beginning again when the stream is not the one it was."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from conductor_bus import Bus, BusError, ObjectPublisher, StreamLost
from conductor_kube import Changed, Deleted, KubeClient, Reflector, Refused, Synced
from conductor_model.refs import ObjectKey, ResourceType
from conductor_watcher.decide import Absent, Present, buried, claim_namespace, foreign, public_form
from conductor_watcher.metrics import Metrics
from conductor_watcher.outbox import Outbox

log = logging.getLogger(__name__)

_SOURCE = "/conductor/watcher"
_RETRY_SECONDS = 1.0
_LOOK_FOR_OTHERS_AFTER = 10.0
"""More than a lease: whoever led before has noticed by then, and what it sent has arrived."""
_LOOK_FOR_OTHERS_EVERY = 600.0


class WrittenByAnother(Exception):
    """The stream's last message of an object is not from here: what was published must be compared again."""

    def __init__(self, key: ObjectKey) -> None:
        super().__init__(f"another watcher has written {key}")


class Watcher:
    """One leadership's work."""

    def __init__(
        self,
        kube: KubeClient,
        bus: Bus,
        metrics: Metrics,
        kinds: Sequence[ResourceType],
        *,
        namespaces: Sequence[str] | None = None,
        now: Callable[[], datetime],
        look_for_others_after: float = _LOOK_FOR_OTHERS_AFTER,
        look_for_others_every: float = _LOOK_FOR_OTHERS_EVERY,
    ) -> None:
        self._kube = kube
        self._bus = bus
        self._metrics = metrics
        self._kinds = kinds
        self._group_kinds = [kind.group_kind for kind in kinds]
        self._sources = [(kind, namespace) for kind in kinds for namespace in namespaces or (None,)]
        self._now = now
        self._look_for_others_after = look_for_others_after
        self._look_for_others_every = look_for_others_every
        self._settled: set[tuple[ResourceType, str | None]] = set()
        self._all_settled = asyncio.Event()
        self.leading = False
        self.synced = False
        """Every kind was listed, or is not to be had here, and the stream has shown what the lists showed."""

    async def run(self, leading: Callable[[], bool] = lambda: True) -> None:
        """Until cancelled. ``leading`` is asked before each publication."""
        self.leading = True
        self._metrics.leading.set(1)
        try:
            while True:
                try:
                    await self._sync(leading)
                except* StreamLost as lost:
                    log.warning("the stream must be made right again: %s", _first_of(lost))
                except* WrittenByAnother as written:
                    log.warning("the stream must be compared again: %s", _first_of(written))
                except* BusError as error:
                    log.warning("the bus is not usable, trying again: %s", _first_of(error))
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self.leading = self.synced = False
            self._metrics.leading.set(0)

    async def _sync(self, leading: Callable[[], bool]) -> None:
        """Compare what the stream holds with what the API holds, then follow the API."""
        self.synced = False
        self._settled.clear()
        self._all_settled.clear()
        await self._bus.ensure()
        publisher = self._bus.publisher(_SOURCE)
        stream = await publisher.state(self._group_kinds)
        outbox = Outbox(self._bus, publisher, stream, self._metrics, self._now, leading)
        self._metrics.resyncs.inc()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(outbox.run())
            tasks.create_task(self._notice_loss(publisher))
            tasks.create_task(self._notice_sync(outbox))
            tasks.create_task(self._notice_others(publisher, outbox))
            for kind, namespace in self._sources:
                tasks.create_task(self._reflect(kind, namespace, outbox))

    @staticmethod
    async def _notice_loss(publisher: ObjectPublisher) -> None:
        async for lost in publisher.watch_for_loss():
            raise lost

    async def _notice_others(self, publisher: ObjectPublisher, outbox: Outbox) -> None:
        """What a deposed watcher sent before it knew may arrive late, and show as present what is long gone.

        What is no message about an object, put in its place by hand, hides it from everybody in the same way.
        """
        await self._all_settled.wait()
        pause = self._look_for_others_after
        while True:
            await asyncio.sleep(pause)
            pause = self._look_for_others_every
            other = foreign(await publisher.held(self._group_kinds), outbox.stream, outbox.busy)
            if other is not None:
                raise WrittenByAnother(other)

    async def _notice_sync(self, outbox: Outbox) -> None:
        await self._all_settled.wait()
        await outbox.catch_up()
        self.synced = True
        log.info("the stream shows what the API holds")

    def _settle(self, kind: ResourceType, namespace: str | None) -> None:
        self._settled.add((kind, namespace))
        if len(self._settled) == len(self._sources):
            self._all_settled.set()

    async def _reflect(self, kind: ResourceType, namespace: str | None, outbox: Outbox) -> None:
        name = kind.gvk.kind
        async for event in Reflector(self._kube, kind, namespace=namespace):
            match event:
                case Changed(key, uid, resource_version, raw):
                    self._metrics.events.labels(name, "changed").inc()
                    whose = claim_namespace(key, raw)
                    outbox.put(Present(key, uid, resource_version, public_form(key, raw), whose))
                case Deleted(key, uid, resource_version):
                    self._metrics.events.labels(name, "deleted").inc()
                    outbox.put(Absent(key, uid, resource_version or ""))
                case Synced(_, keys):
                    for absent in buried(kind.group_kind, namespace, keys, outbox.stream):
                        log.info("%s was deleted while nobody watched", absent.key)
                        outbox.put(absent)
                    self._settle(kind, namespace)
                    log.info("%s: %d objects listed", name, len(keys))
                case Refused(error):
                    self._settle(kind, namespace)
                    log.warning("%s is not watched for now: %s", name, error)


def _first_of(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

"""Follows all objects of one kind: what there is, then every change, for ever.

Promises:

- Every object that exists is told as ``Changed`` at least once, in its latest version; versions in between may be skipped.
- An object that is gone is told as ``Deleted``, also when it went while nobody watched (found by the next complete list).
- ``Synced`` follows each complete list. A list that failed half way, a kind that is not served, a refusal by RBAC and any
  trouble of the network are never a deletion: they are tried again with growing, jittered delays.
- A stream that is dead without being closed is noticed after ``ReflectorOptions.silence`` seconds.

Kept in memory are keys and versions only, not the objects.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from conductor_kube.backoff import Backoff
from conductor_kube.client import KubeClient
from conductor_kube.errors import Forbidden, Gone, KubeError, NotServed, Throttled
from conductor_kube.objects import Bookmark, RawObject, Removed, Upserted
from conductor_model.refs import ObjectKey, ResourceType

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Changed:
    """An object is new or has a new version. ``raw`` is its JSON without managedFields."""

    key: ObjectKey
    uid: str
    resource_version: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Deleted:
    """The object of this uid is gone. Without ``resource_version`` nobody saw when: a list no longer had it."""

    key: ObjectKey
    uid: str
    resource_version: str | None = None


@dataclass(frozen=True, slots=True)
class Synced:
    """A list was complete: all of the kind (in ``namespace``, or everywhere) that exists are ``keys``."""

    namespace: str | None
    keys: frozenset[ObjectKey]


@dataclass(frozen=True, slots=True)
class Refused:
    """The API server does not serve the kind, or not to us. Told once; trying goes on."""

    error: NotServed | Forbidden


Event = Changed | Deleted | Synced | Refused


@dataclass(frozen=True, slots=True)
class ReflectorOptions:
    """``watch_seconds``: a watch is asked to end after this long, plus up to as much again by chance.

    ``silence``: a server sends a bookmark about every minute; a stream silent for longer is dead.
    ``retry_first`` and ``retry_limit``: the first and the longest delay after a failure.
    """

    page_size: int = 500
    watch_seconds: int = 140
    silence: float = 80.0
    retry_first: float = 0.2
    retry_limit: float = 10.0
    failures_before_list: int = 3
    """Failed watches in a row, with nothing received, after which the version itself is no longer believed in."""


@dataclass(frozen=True, slots=True)
class _Version:
    uid: str
    resource_version: str


_Known = dict[ObjectKey, _Version]
_SHORT_SECONDS = 1.0


class Reflector:
    """``async for event in reflector``; each iteration starts from nothing. Leave it with ``aclosing`` or by cancelling."""

    def __init__(
        self,
        client: KubeClient,
        type: ResourceType,
        *,
        namespace: str | None = None,
        options: ReflectorOptions | None = None,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._type = type
        self._namespace = namespace
        self._options = options or ReflectorOptions()
        self._spread = spread

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        return self._follow()

    async def _follow(self) -> AsyncGenerator[Event, None]:
        known: _Known = {}
        backoff = self._backoff()
        refused: type[KubeError] | None = None
        paginated = True
        while True:
            version = ""
            listed: set[ObjectKey] = set()
            try:
                limit = self._options.page_size if paginated else None
                async with aclosing(self._client.list(self._type, self._namespace, limit=limit)) as pages:
                    async for page in pages:
                        version = page.resource_version
                        for item in page.items:
                            listed.add(item.key)
                            for event in _observe(known, item):
                                yield event
            except KubeError as error:
                # Where pages come too slowly for the server's history, one answer with everything does not.
                paginated = not isinstance(error, Gone)
                if isinstance(error, NotServed | Forbidden) and refused is not type(error):
                    refused = type(error)
                    yield Refused(error)
                await self._pause(error, backoff)
                continue
            paginated, refused = True, None
            for event in _forget_missing(known, listed):
                yield event
            yield Synced(self._namespace, frozenset(listed))
            async with aclosing(self._watch(known, version, backoff)) as changes:
                async for event in changes:
                    yield event

    async def _watch(self, known: _Known, version: str, backoff: Backoff) -> AsyncGenerator[Event, None]:
        """Changes after ``version``, over as many connections as it takes; ends when only a new list can help."""
        failures = 0
        while failures < self._options.failures_before_list:
            started, received = time.monotonic(), False
            trouble: KubeError | None = None
            seconds = round(self._options.watch_seconds * (1 + self._spread()))
            stream = self._client.watch(
                self._type,
                self._namespace,
                resource_version=version,
                seconds=seconds,
                silence=self._options.silence,
            )
            try:
                async with aclosing(stream):
                    async for event in stream:
                        received = True
                        match event:
                            case Bookmark(version):
                                pass
                            case Upserted(item):
                                version = item.resource_version
                                for change in _observe(known, item):
                                    yield change
                            case Removed(item):
                                version = item.resource_version
                                known.pop(item.key, None)
                                yield Deleted(item.key, item.uid, item.resource_version)
            except KubeError as error:
                trouble = error
            if received or (trouble is None and time.monotonic() - started > _SHORT_SECONDS):
                failures = 0
                backoff.reset()
            else:
                failures += 1
            if isinstance(trouble, Gone):
                log.info("%s; listing again", trouble)
                if failures:
                    await asyncio.sleep(backoff.next())
                return
            if trouble is not None or failures:
                await self._pause(trouble, backoff)

    async def _pause(self, error: KubeError | None, backoff: Backoff) -> None:
        delay = error.retry_after if isinstance(error, Throttled) else backoff.next()
        log.warning("%s; trying again in %.1f s", error or f"WATCH {self._type.plural}: ended early", delay)
        await asyncio.sleep(delay)

    def _backoff(self) -> Backoff:
        return Backoff(self._options.retry_first, self._options.retry_limit, self._spread)


def _observe(known: _Known, item: RawObject) -> Iterator[Event]:
    """What a sight of an object tells that was not known."""
    before = known.get(item.key)
    now = _Version(item.uid, item.resource_version)
    if before == now:
        return
    if before is not None and before.uid != item.uid:
        yield Deleted(item.key, before.uid)
    known[item.key] = now
    yield Changed(item.key, item.uid, item.resource_version, item.raw)


def _forget_missing(known: _Known, listed: set[ObjectKey]) -> Iterator[Deleted]:
    """What a complete list tells by what it does not have."""
    for key in [key for key in known if key not in listed]:
        yield Deleted(key, known.pop(key).uid)

"""Drives the scheduler: objects that changed make others dirty, dirty ones are settled, and writes overlap.

Deciding is serial, so two claims never see the same free place; what is being written is *assumed* in the view until the
API server's answer replaces it. A claim that fits nothing waits without cost, and is decided again when a candidate
changes. Whatever goes wrong about one object delays that object only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from conductor_bus import CaughtUp, ObjectMessage, Restarted
from conductor_kube import Conflict, Forbidden, KubeClient, KubeError, NotServed, Throttled
from conductor_model.claims import Claim, ClaimCondition
from conductor_model.conditions import condition
from conductor_model.kind import Role
from conductor_model.kinds import (
    BY_GROUP_KIND,
    CLAIM_LIMIT_RANGE,
    CLAIM_MODELS,
    CLAIM_QUOTA,
    CONCRETE_MODELS,
    RESOURCE_CLASS,
)
from conductor_model.kinds import KINDS as ALL_KINDS
from conductor_model.namespaces import NAMESPACE
from conductor_model.refs import GroupKind, ObjectKey
from conductor_scheduler.commit import Committer, NotLeading
from conductor_scheduler.decide import helped
from conductor_scheduler.dirty import DirtyKeys
from conductor_scheduler.framework import Change
from conductor_scheduler.framework.precedence import precedence
from conductor_scheduler.metrics import Metrics
from conductor_scheduler.policy import Policy
from conductor_scheduler.settle import Settler
from conductor_scheduler.standby import hear
from conductor_scheduler.usage import accounted
from conductor_scheduler.view import View, affected

log = logging.getLogger(__name__)

KINDS: tuple[GroupKind, ...] = tuple(
    kind.group_kind for kind in ALL_KINDS if kind.role is not Role.PROVIDER_CONFIG
)
"""What is decided upon: the accounts that things are made in are the provisioners' matter."""
_LIMITS = (CLAIM_QUOTA.group_kind, CLAIM_LIMIT_RANGE.group_kind)
_BELIEVED = frozenset({RESOURCE_CLASS.group_kind, NAMESPACE.group_kind})
_WRITES_IN_FLIGHT = 32
_LIST_AGAIN = 1.0
_COMPARE_EVERY = 600.0
_WAITING = ""
"""The flow of claims that were told to wait: no namespace is called so."""
_TOLD_WITHIN = 5.0
"""A watcher that works tells of an object within milliseconds."""


class Scheduler:
    """One leadership's work, from the present state of the world onwards."""

    def __init__(
        self,
        kube: KubeClient,
        policy: Policy,
        metrics: Metrics,
        *,
        leading: Callable[[], bool],
        now: Callable[[], datetime],
        compare_every: float = _COMPARE_EVERY,
        told_within: float = _TOLD_WITHIN,
    ) -> None:
        self.view = View(on_change=self._changed, on_freed=self._wake)
        self._kube = kube
        self._metrics = metrics
        self._compare_every = compare_every
        self._dirty = DirtyKeys(rank=self._turn, flow=self._flow)
        self._told_within = told_within
        self._told: dict[ObjectKey, str] = {}
        """Whatever the bus shows as present -> its uid."""
        self._commit = Committer(kube, self.view, leading)
        self._settler = Settler(self.view, self._commit, policy, metrics, now=now, mark=self._dirty.mark)
        self._in_flight = asyncio.Semaphore(_WRITES_IN_FLIGHT)
        self._caught_up = asyncio.Event()

    async def run(self, messages: AsyncIterator[ObjectMessage | CaughtUp | Restarted]) -> None:
        """Until cancelled, or until this replica may no longer lead: then raises an ExceptionGroup of NotLeading."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(messages))
                tasks.create_task(self._settle_dirty(tasks))
                tasks.create_task(self._compare_now_and_then())
                tasks.create_task(self._look_for_untold())
        finally:
            self._dirty.close()

    def adopt(self, policy: Policy) -> None:
        """Schedule by another policy from now on. Claims that wait are looked at again; bindings stand."""
        self._settler.policy = policy
        for key in (*self._settler.waiting, *self.view.quotas):
            self._dirty.mark(key)

    @property
    def policy(self) -> Policy:
        return self._settler.policy

    @property
    def leading(self) -> bool:
        return True

    @property
    def caught_up(self) -> bool:
        return self._caught_up.is_set()

    @property
    def idle(self) -> bool:
        """All that was heard of is settled."""
        return self._dirty.idle

    async def _listen(self, messages: AsyncIterator[ObjectMessage | CaughtUp | Restarted]) -> None:
        async for message in messages:
            match message:
                case ObjectMessage():
                    self._hear(message)
                case Restarted():
                    log.warning("the bus starts over: %s", message.reason)
                    self._told.clear()
                case CaughtUp():
                    await self._catch_up()

    def _hear(self, message: ObjectMessage) -> None:
        key = message.key
        if message.deleted:
            self._told.pop(key, None)
        else:
            self._told[key] = message.uid
        try:
            hear(self.view, message)
        except ValidationError as error:
            log.error("%s cannot be read at all: %d errors", key, error.error_count())
            return
        claim = self.view.claims.get(key)
        if claim is not None and claim.uid == message.uid and message.traceparent is not None:
            self._settler.traces[key] = message.traceparent

    async def _catch_up(self) -> None:
        """The bus has told all it has. What it did not tell may be gone, or may be behind: the API server knows.

        A list of claims and resources from the API makes the view at least as new as anything that an earlier leader
        has written; without it a binding that the watcher has not seen yet could be made twice. So nothing is decided
        before there was one, however long that takes.
        """
        while True:
            try:
                await self._compare_with_api()
                break
            except KubeError as error:
                log.warning("the API server does not tell what there is, trying again: %s", error)
                await asyncio.sleep(_LIST_AGAIN)
        self._caught_up.set()
        log.info(
            "caught up: %d claims, %d resources, %d classes",
            len(self.view.claims),
            len(self.view.concretes),
            len(self.view.classes),
        )

    async def _compare_now_and_then(self) -> None:
        """Finds what a bus that was lost together with its watcher never told: that something is gone."""
        await self._caught_up.wait()
        while True:
            await asyncio.sleep(self._compare_every)
            await self._compare_if_possible()

    async def _look_for_untold(self) -> None:
        """What was learned from the API server alone may be gone before the watcher saw it: no bus ever tells of that."""
        await self._caught_up.wait()
        pause, suspects = self._told_within, self._untold()
        while True:
            await asyncio.sleep(pause)
            untold = self._untold()
            if suspects.isdisjoint(untold):
                pause, suspects = self._told_within, untold
                continue
            await self._compare_if_possible()
            # Those that are left exist, and the watcher is away.
            pause, suspects = min(2 * pause, self._compare_every), self._untold()

    def _untold(self) -> frozenset[tuple[ObjectKey, str]]:
        held = ((key, self.view.get(key)) for key in self.view.held())
        return frozenset((key, each.uid) for key, each in held if each and self._told.get(key) != each.uid)

    async def _compare_if_possible(self) -> None:
        try:
            await self._compare_with_api()
        except KubeError as error:
            log.warning("not compared with the API server this time: %s", error)

    async def _compare_with_api(self) -> None:
        """Take in what the API server has, and look up what it has not; of classes and namespaces the bus is believed.

        Quotas and limit ranges are not: one that the bus has not told of yet would limit nothing.

        Raises KubeError when a kind that is served cannot be listed.
        """
        listed = set[ObjectKey]()
        for group_kind in (*CLAIM_MODELS, *CONCRETE_MODELS, *_LIMITS):
            try:
                async for page in self._kube.list(BY_GROUP_KIND[group_kind].type):
                    for item in page.items:
                        listed.add(item.key)
                        held = self.view.get(item.key)
                        if held is None or held.metadata.resource_version != item.resource_version:
                            self.view.observe(item.key, item.raw)
            except NotServed:
                log.info("%s is not served", group_kind)
        for key in self.view.held():
            if key in listed or (key.group_kind in _BELIEVED and key in self._told):
                continue
            try:
                await self._commit.refresh(key)
            except (NotServed, Forbidden) as error:
                log.info("nothing is concluded about %s: %s", key, error)

    def _changed(self, change: Change) -> None:
        """What could now be decided differently?"""
        if change.replaced or (change.after is not None and change.after.being_deleted):
            # A claim that is being deleted gets nothing any more, however long its finalizers keep it there.
            self._settler.forget(change.key)
        if not (self._dirty.is_busy(change.key) and _same_wish(change)):
            self._dirty.mark(change.key)
        for key in affected(change, self.view):
            if key != change.key:
                self._dirty.mark(key)
        for key in accounted(change, self.view):
            self._dirty.mark(key)
        self._wake(change)

    def _wake(self, change: Change) -> None:
        """Waiting claims that may find now what they did not find before."""
        for claim in helped(change, self._settler.waiting, self.view, self._settler.policy):
            self._dirty.mark(claim.key)

    def _turn(self, key: ObjectKey) -> tuple[Any, ...]:
        """Within a flow: what frees room comes before claims, and claims by their precedence."""
        claim = self.view.claims.get(key)
        return (0,) if claim is None else (1, *precedence(claim))

    def _flow(self, key: ObjectKey) -> str:
        """Namespaces take turns, so that one team's burst does not hold up another's claim.

        Claims that wait for room are one flow, of all namespaces: what has become free is the first one's by precedence.
        """
        claim = self.view.claims.get(key)
        if claim is not None:
            return _WAITING if self._waits(claim) else key.namespace
        concrete = self.view.concretes.get(key)
        named = concrete.spec.claim_refs[0].namespace if concrete and concrete.spec.claim_refs else None
        return named or key.namespace

    def _waits(self, claim: Claim) -> bool:
        """Also of an earlier leader's claims, which it has told so."""
        told = condition(claim.status.conditions, ClaimCondition.SCHEDULED)
        return claim.key in self._settler.waiting or (told is not None and told.status == "False")

    async def _settle_dirty(self, tasks: asyncio.TaskGroup) -> None:
        await self._caught_up.wait()
        while True:
            await self._in_flight.acquire()
            key = await self._dirty.take()
            self._metrics.waiting.set(len(self._settler.waiting))
            if not self._settler.has_work(key):
                self._dirty.done(key)
                self._in_flight.release()
                continue
            tasks.create_task(self._settle(key))
            # The task decides and assumes before its first await: the next decision sees the assumption.
            await asyncio.sleep(0)

    async def _settle(self, key: ObjectKey) -> None:
        try:
            pause = await self._settler.settle(key)
            if pause:
                self._dirty.rest(key, pause)
            else:
                self._dirty.done(key)
        except NotLeading:
            raise
        except KubeError as error:
            asked_for = error.retry_after if isinstance(error, Throttled) else 0.0
            pause = self._dirty.failed(key, at_once=isinstance(error, Conflict), at_least=asked_for)
            log.log(logging.WARNING if pause else logging.INFO, "%s: %s; again in %.1f s", key, error, pause)
        except Exception:
            self._metrics.unexpected.inc()
            pause = self._dirty.failed(key)
            log.exception("%s: unexpected, again in %.1f s", key, pause)
        finally:
            self._in_flight.release()


def _same_wish(change: Change) -> bool:
    """A claim whose status alone changed while it was being settled: the scheduler's own write."""
    before, after = change.before, change.after
    return (
        isinstance(before, Claim)
        and isinstance(after, Claim)
        and before.uid == after.uid
        and before.metadata.generation == after.metadata.generation
        and before.being_deleted == after.being_deleted
    )


__all__ = ["KINDS", "NotLeading", "Scheduler"]

"""One object's work: decide about it, write what was decided, and say so on the claim.

Raises KubeError where trying again may help, after the claim says what is wrong wherever that is for people to mend.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from opentelemetry import trace

from conductor_kube import AlreadyExists, Conflict, Forbidden, Invalid, KubeError, NotFound, NotServed
from conductor_model.claims import Claim, ClaimCondition, ClaimStatus
from conductor_model.concrete import Concrete
from conductor_model.conditions import condition
from conductor_model.kinds import CLAIM_MODELS, CONCRETE_MODELS
from conductor_model.refs import GroupKind, ObjectKey
from conductor_scheduler import status, usage
from conductor_scheduler.commit import Committer
from conductor_scheduler.decide import (
    BINDING_REFUSED,
    PROVISIONING_REFUSED,
    Bind,
    Keep,
    Provision,
    TakeBack,
    Vanished,
    Wait,
    committed,
    decide,
    nominated,
)
from conductor_scheduler.framework import PluginFailed, Refusal
from conductor_scheduler.metrics import Metrics
from conductor_scheduler.plugins.nomination import NAME as NOMINATION
from conductor_scheduler.policy import Policy
from conductor_scheduler.release import let_go, orphaned_refs, release, rewritten, unfinished
from conductor_scheduler.template import claim_key
from conductor_scheduler.usage import Accounted
from conductor_scheduler.view import Unreadable, View
from conductor_telemetry import claim_root_context, context_from, current_traceparent

log = logging.getLogger(__name__)
tracer = trace.get_tracer("conductor-scheduler")

_MESSAGE_LENGTH = 1024
_REFUSAL_LENGTH = 512
PATIENCE = 60.0
"""Seconds for which a claim waits before a shared resource's room is kept for it."""
_REFUSALS = (Invalid, AlreadyExists, Forbidden, NotFound, NotServed)
"""Answers that say that a write was not made, and that somebody may have to do something about it."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """A candidate that the API server has refused for a claim."""

    refusal: Refusal
    generation: tuple[str, int] | None
    """Of which version of the candidate."""
    error: KubeError | None
    """Where trying again may help."""


class Settler:
    """Settles one object at a time per key; up to its first write, a settlement does not give way to any other."""

    def __init__(
        self,
        view: View,
        commit: Committer,
        policy: Policy,
        metrics: Metrics,
        *,
        now: Callable[[], datetime],
        mark: Callable[[ObjectKey], None],
    ) -> None:
        self.waiting: dict[ObjectKey, frozenset[str]] = {}
        """Claims that nothing fits at present, and the plugins that refused them something."""
        self._refused: dict[ObjectKey, dict[ObjectKey, _Refused]] = {}
        """Claim -> the candidates that the API server has refused for it."""
        self.traces: dict[ObjectKey, str] = {}
        """The traceparent of each claim's last message."""
        self._view = view
        self._commit = commit
        self.policy = policy
        self._metrics = metrics
        self._now = now
        self._mark = mark
        self._doubted: set[ObjectKey] = set()
        """Resources that a write to was sent, and nothing is known of its outcome."""
        self._unsure: dict[ObjectKey, tuple[str, ObjectKey]] = {}
        """Claim -> its uid, and the resource that may or may not have been created for it."""
        self._taking_back = asyncio.Lock()
        """One at a time: of several that break a limit together no more are taken back than needed."""

    def has_work(self, key: ObjectKey) -> bool:
        if key.group_kind in CLAIM_MODELS:
            claim = self._view.claims.get(key)
            known = key in self._view.unreadable or key in self._unsure
            return known or (claim is not None and not claim.being_deleted)
        if (found := self._accounted(key)) is not None:
            return self._commit.differs(found, usage.status(found, self._view, self.policy.scales))
        concrete = self._view.concretes.get(key)
        return key in self._doubted or (
            concrete is not None
            and not self._view.is_assumed(key)
            and (bool(orphaned_refs(concrete, self._view)) or unfinished(concrete) is not None)
        )

    def forget(self, key: ObjectKey) -> None:
        """The object is gone, whatever has its name now."""
        self.waiting.pop(key, None)
        self.traces.pop(key, None)
        self._refused.pop(key, None)
        self._end_nomination(key)

    def _accounted(self, key: ObjectKey) -> Accounted | None:
        return self._view.quotas.get(key) or self._view.classes.get(key)

    async def settle(self, key: ObjectKey) -> float:
        """Do what there is to do about an object. Returns for how many seconds there is then nothing to do about it."""
        if (found := self._accounted(key)) is not None:
            await self._commit.write_usage(found, usage.status(found, self._view, self.policy.scales))
            return usage.EVERY
        if key.group_kind not in CLAIM_MODELS:
            await self._settle_concrete(key)
            return 0.0
        if key in self._unsure:
            await self._find_out(key)
        if (unreadable := self._view.unreadable.get(key)) is not None:
            await self._refuse(unreadable)
        elif (claim := self._view.claims.get(key)) is not None:
            await self._settle_claim(claim)
        return 0.0

    async def _find_out(self, key: ObjectKey) -> None:
        """Whether the resource was created. Until that is known it counts, also when its claim is gone meanwhile."""
        uid, made = self._unsure[key]
        await self._commit.refresh(made)
        self._unsure.pop(key, None)
        self._view.end_reservation(uid)

    async def _settle_claim(self, claim: Claim) -> None:
        """Decide and carry out; and decide again as long as the API server refuses what was chosen."""
        current: Claim | None = claim
        while current is not None and current.uid == claim.uid and not current.being_deleted:
            if not await self._decide(current):
                return
            current = self._view.claims.get(claim.key)

    async def _decide(self, claim: Claim) -> bool:
        """Whether what was chosen was refused, so that the next best is to be tried."""
        bound = self._view.bound_to(claim.uid)
        if any(self._view.is_assumed(concrete.key) for concrete in bound):
            return False  # The outcome of its binding is being found out; that marks the claim again.
        try:
            decision = decide(claim, self._view, self.policy, self._refusals(claim), now=self._now())
        except PluginFailed as failure:
            await self._tell_of(failure, claim)
            raise  # It is tried again with growing pauses.
        self._metrics.attempts.labels(type(decision).__name__.lower()).inc()
        if not isinstance(decision, Wait):
            self.waiting.pop(claim.key, None)
            self._end_nomination(claim.key)
        match decision:
            case Wait():
                await self._wait(claim, decision)
            case Keep():
                await self._keep(claim, decision)
            case Bind():
                return await self._bind(claim, decision)
            case Provision():
                return await self._provision(claim, decision)
            case TakeBack():
                return await self._take_back(claim)
            case Vanished():
                await self._verify_vanished(claim, decision)
        return False

    async def _tell_of(self, failure: PluginFailed, claim: Claim) -> None:
        self.waiting[claim.key] = frozenset({failure.plugin})
        message = f"{failure}; it is asked again with growing pauses, and the scheduler's log says more"
        await self._report(claim, status.pending(claim, "PluginFailed", message, self._now()))

    async def _wait(self, claim: Claim, decision: Wait) -> None:
        self.waiting[claim.key] = decision.refused_by
        self._nominate(claim)
        refused = self._refused.get(claim.key, {})
        passing = {key: each for key, each in refused.items() if each.error is not None}
        for key in passing:
            del refused[key]
        message = decision.message[:_MESSAGE_LENGTH]
        await self._report(claim, status.pending(claim, decision.reason, message, self._now()))
        for each in passing.values():
            if each.error is not None:
                raise each.error  # Trying again may help, and nothing else fits.

    def _nominate(self, claim: Claim) -> None:
        """Keep a shared resource's room for a claim that has waited long."""
        created = claim.metadata.creation_timestamp
        if created is None or (self._now() - created).total_seconds() < PATIENCE:
            return
        wanted = nominated(claim, self._view, self.policy)
        if wanted is None or self._view.nominations.get(wanted) != claim.key:
            self._end_nomination(claim.key)
        if wanted is not None:
            self._view.nominations[wanted] = claim.key

    def _end_nomination(self, claim: ObjectKey) -> None:
        """Whom the nomination kept out looks again."""
        kept = [key for key, nominee in self._view.nominations.items() if nominee == claim]
        for key in kept:
            del self._view.nominations[key]
        if kept:
            for key in [key for key, refused_by in self.waiting.items() if NOMINATION in refused_by]:
                self._mark(key)

    def _refusals(self, claim: Claim) -> dict[ObjectKey, Refusal]:
        """What the API server has refused for the claim, of what has not changed since."""
        refused = self._refused.get(claim.key, {})
        for key in [key for key, each in refused.items() if each.generation != self._generation(key)]:
            del refused[key]
        return {key: each.refusal for key, each in refused.items()}

    def _generation(self, key: ObjectKey) -> tuple[str, int] | None:
        found = self._view.get(key)
        return (found.uid, found.metadata.generation) if found is not None else None

    def _refuse_candidate(self, claim: Claim, key: ObjectKey, reason: str, error: KubeError) -> None:
        """Remember it, so that the next best is chosen: until the candidate changes, or, when trying again may help,
        until nothing else is left.
        """
        again = None if isinstance(error, Invalid) and reason == PROVISIONING_REFUSED else error
        refusal = Refusal(reason, f"refused by the API server: {error.message}"[:_REFUSAL_LENGTH])
        self._refused.setdefault(claim.key, {})[key] = _Refused(refusal, self._generation(key), again)

    async def _bind(self, claim: Claim, decision: Bind) -> bool:
        concrete, asking = decision.concrete, self._view.as_read(claim)
        self._view.assume(committed(asking, concrete))
        async with self._span(claim, "bind", decision):
            try:
                bound = await self._commit.bind(asking, concrete, current_traceparent())
            except KubeError as error:
                self._doubted.add(concrete.key)
                self._mark(concrete.key)
                if isinstance(error, Invalid):
                    self._refuse_candidate(claim, concrete.key, BINDING_REFUSED, error)
                    await self._find_out_binding(concrete.key)
                    return True
                raise
            self._metrics.bound.labels("existing").inc()
            await self._report(claim, status.bound(claim, bound, status.chosen(decision), self._now()))
        return False

    async def _provision(self, claim: Claim, decision: Provision) -> bool:
        self._view.reserve(claim.uid, decision.draft.concrete)
        async with self._span(claim, "provision", decision):
            try:
                bound = await self._commit.provision(claim, decision.draft, current_traceparent())
            except _REFUSALS as error:
                self._view.end_reservation(claim.uid)
                self._refuse_candidate(claim, decision.source.key, PROVISIONING_REFUSED, error)
                return True
            except KubeError:
                self._unsure[claim.key] = (claim.uid, decision.draft.key)
                raise
            self._view.end_reservation(claim.uid)
            self._metrics.bound.labels("provisioned").inc()
            await self._report(claim, status.bound(claim, bound, status.chosen(decision), self._now()))
        return False

    async def _keep(self, claim: Claim, decision: Keep) -> None:
        for surplus in decision.surplus:
            log.warning("%s is bound to %s too: letting that go", claim.key, surplus.key)
            await self._commit.carry_out(surplus, let_go(surplus, claim), self._now())
        await self._report(claim, status.bound(claim, decision.concrete, None, self._now()))

    async def _take_back(self, claim: Claim) -> bool:
        """Say first that the claim has nothing: of a claim that was told otherwise meanwhile that is a Conflict.

        Whoever still believes to lead can then not tell it any more, for what was read before has changed.
        """
        async with self._taking_back:
            # Another that was taken back meanwhile may have been enough.
            decision = decide(claim, self._view, self.policy, now=self._now())
            if isinstance(decision, TakeBack):
                await self._let_go_late(claim, decision)
        return True

    async def _let_go_late(self, claim: Claim, decision: TakeBack) -> None:
        desired = status.pending(claim, decision.reason, decision.message, self._now())
        await self._commit.write_status(claim, desired)
        for late in self._view.bound_to(claim.uid):
            if late is not self._view.concretes.get(late.key) or self._view.is_assumed(late.key):
                continue  # It has changed since: it is decided upon again.
            log.warning("%s: %s: letting it go", claim.key, decision.message)
            action = let_go(late, claim)
            self._view.assume(rewritten(late, action, self._now()))
            try:
                await self._commit.carry_out(late, action, self._now())
            except KubeError:
                self._doubted.add(late.key)
                self._mark(late.key)
                raise

    async def _verify_vanished(self, claim: Claim, decision: Vanished) -> None:
        bound = decision.bound
        group, _, _ = bound.api_version.partition("/")
        key = ObjectKey(GroupKind(group, bound.kind), bound.namespace, bound.name)
        if key.group_kind not in CONCRETE_MODELS:
            return
        found = await self._commit.refresh(key)
        if key in self._view.unreadable:
            log.warning("%s: %s cannot be read, so nothing is concluded from it", claim.key, key)
            return
        if self._view.bound_to(claim.uid):
            self._mark(claim.key)
            return
        if found is not None and found.uid == bound.uid:
            reason, message = "ReferenceRemoved", f"{bound.name} no longer carries this claim's reference"
        else:
            reason, message = "ResourceGone", f"{bound.kind} {bound.namespace}/{bound.name} no longer exists"
        await self._report(claim, status.lost(claim, reason, message, self._now()))

    async def _find_out_binding(self, key: ObjectKey) -> None:
        """What came of a write to a resource, whose outcome is not known or was a refusal."""
        await self._commit.refresh(key)
        self._doubted.discard(key)
        self._view.withdraw(key)

    async def _settle_concrete(self, key: ObjectKey) -> None:
        if key in self._doubted:
            await self._find_out_binding(key)
        concrete = self._view.concretes.get(key)
        if concrete is not None:
            await self._release_orphans(concrete)
        await self._finish(key)

    async def _release_orphans(self, concrete: Concrete) -> None:
        """Release what belongs to claims that the API server says are gone."""
        gone = set[str]()
        for ref in orphaned_refs(concrete, self._view):
            claim = claim_key(ref)
            if claim is not None and ref.uid and await self._commit.gone(claim, ref.uid):
                gone.add(ref.uid)
        current = self._view.concretes.get(concrete.key)
        if current is None:
            return
        # What was found out is about the references as they are now, if they are still there.
        gone &= {ref.uid for ref in orphaned_refs(current, self._view) if ref.uid}
        if not gone:
            return
        action = release(current, frozenset(gone))
        with tracer.start_as_current_span(f"release {current.kind}", attributes=_place(current)):
            log.info(
                "%s: its claim is gone: %s", current.key, "deleting it" if action.delete else "releasing it"
            )
            await self._commit.carry_out(current, action, self._now())
        self._metrics.released.labels(current.spec.rebind_policy.value).inc()

    async def _finish(self, key: ObjectKey) -> None:
        """What an earlier leader did not come to, or what an administrator has written, is done."""
        concrete = self._view.concretes.get(key)
        if concrete is None or self._view.is_assumed(key):
            return
        action = unfinished(concrete)
        if action is not None:
            log.info("%s: its references or its finalizer do not agree with what is to be", key)
            await self._commit.carry_out(concrete, action, self._now())

    async def _refuse(self, unreadable: Unreadable) -> None:
        """A claim that the models refuse: say so on it, with the field. A binding that it has stands."""
        found, said = unreadable.object, unreadable.claim_status
        if self._view.bound_to(found.uid) or said.bound_resource is not None:
            log.warning("%s is bound and cannot be read any more: %s", found.key, unreadable.problem)
            return
        claim = Claim(api_version=found.api_version, kind=found.kind, metadata=found.metadata, status=said)
        message = f"the spec is not valid: {unreadable.problem}"[:_MESSAGE_LENGTH]
        await self._report(claim, status.pending(claim, "InvalidSpec", message, self._now()))

    async def _report(self, claim: Claim, desired: ClaimStatus) -> None:
        try:
            written = await self._commit.write_status(claim, desired)
        except Conflict:
            # Somebody else wrote something else on the claim: what was decided is still to be said.
            current = self._view.claims.get(claim.key)
            if current is None or current.uid != claim.uid:
                raise
            written = await self._commit.write_status(current, desired)
        if written:
            scheduled = condition(desired.conditions, ClaimCondition.SCHEDULED)
            log.info("%s: %s: %s", claim.key, desired.phase, scheduled.message if scheduled else "")

    @asynccontextmanager
    async def _span(self, claim: Claim, name: str, decision: Bind | Provision) -> AsyncIterator[None]:
        traceparent = self.traces.get(claim.key)
        context = context_from(traceparent) if traceparent is not None else claim_root_context(claim.uid)
        chosen = decision.concrete.key if isinstance(decision, Bind) else decision.draft.key
        attributes: dict[str, str | int] = {
            **_place(claim),
            "conductor.chosen": str(chosen),
            "conductor.candidates": decision.tally.total,
        }
        with tracer.start_as_current_span(f"{name} {claim.kind}", context=context, attributes=attributes):
            yield


def _place(found: Claim | Concrete) -> dict[str, str]:
    return {
        "k8s.namespace.name": found.metadata.namespace,
        "conductor.kind": found.kind,
        "conductor.name": found.metadata.name,
        "conductor.uid": found.uid,
    }

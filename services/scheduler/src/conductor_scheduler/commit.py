"""Writes decisions to the API. A binding is committed by one write: the claim's reference in ``spec.claimRefs``.

Every write is guarded by the version that the decision was made on, and made only while this replica leads; the answer
goes into the view at once, so that the next decision sees it. Who loses a race gets Conflict, and the view what won.
Nothing is destroyed on a belief: ``gone`` asks the API server first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from conductor_kube import AlreadyExists, Conflict, KubeClient, NotFound, StatusWriter, says
from conductor_model.annotations import AVAILABLE_AGAIN, TRACEPARENT
from conductor_model.claims import Claim, ClaimStatus
from conductor_model.concrete import ClaimRef, Concrete
from conductor_model.kinds import BY_GROUP_KIND
from conductor_model.meta import KubeObject, Model
from conductor_model.refs import ObjectKey, ResourceType
from conductor_scheduler.release import Rewrite, finalizers, rewritten
from conductor_scheduler.status import as_applied
from conductor_scheduler.template import Draft, claim_ref
from conductor_scheduler.usage import Accounted
from conductor_scheduler.view import View

FIELD_MANAGER = "conductor-scheduler"


class NotLeading(Exception):
    """This replica's lease may have passed to another: it must not write."""


class Committer:
    """The scheduler's hand on the API server."""

    def __init__(self, kube: KubeClient, view: View, leading: Callable[[], bool]) -> None:
        self._kube = kube
        self._statuses = StatusWriter(kube, field_manager=FIELD_MANAGER)
        self._view = view
        self._leading = leading

    async def bind(self, claim: Claim, concrete: Concrete, traceparent: str | None) -> Concrete:
        """Put the reference of the claim as it is read into the resource.

        Raises Conflict when the resource has changed meanwhile.
        """
        kept = (ref for ref in concrete.spec.claim_refs if ref is not concrete.ref_of(claim.key))
        annotations = {} if traceparent is None else {TRACEPARENT: traceparent}
        refs = (*kept, ClaimRef.model_validate(claim_ref(claim)))
        return await self._write_refs(concrete, refs, annotations)

    async def provision(self, claim: Claim, draft: Draft, traceparent: str | None) -> Concrete:
        """Create the resource. One of that name that already carries this claim is the same decision, taken before.

        Raises AlreadyExists when the name is taken by anything else, Conflict when what had it has just gone.
        """
        self._check_lead()
        key = draft.key
        try:
            data = await self._kube.create(
                draft.type, key.namespace, draft.traced(traceparent), field_manager=FIELD_MANAGER
            )
        except AlreadyExists as error:
            if await self.refresh(key) is None:
                raise Conflict(f"{key.name} has just gone", what=error.what) from error
            existing = self._view.concretes.get(key)
            if existing is None or existing.being_deleted or existing not in self._view.bound_to(claim.uid):
                raise
            return existing
        self._view.observe(key, data)
        return self._view.concretes[key]

    async def carry_out(self, concrete: Concrete, action: Rewrite, now: datetime) -> None:
        """Write the references anew, and delete the resource if that follows.

        Raises Conflict when it has changed meanwhile.
        """
        wanted = rewritten(concrete, action, now)
        annotations = {AVAILABLE_AGAIN: None} if action.drop_confirmation else {}
        unchanged = (
            wanted.spec.claim_refs == concrete.spec.claim_refs
            and wanted.metadata.finalizers == concrete.metadata.finalizers
        )
        try:
            if annotations or not unchanged:
                concrete = await self._write_refs(concrete, wanted.spec.claim_refs, annotations)
            if action.delete and not concrete.being_deleted:
                await self._delete(concrete, now)
        except NotFound:
            self._view.forget(concrete.key)
        except Conflict:
            await self.refresh(concrete.key)
            raise

    async def write_status(self, claim: Claim, desired: ClaimStatus) -> bool:
        """Mirror a decision on the claim. True when something was written; a claim that is gone needs no status.

        Raises Conflict when the claim has changed meanwhile, or is another one of that name.
        """
        return await self._apply_status(claim, claim.status, as_applied(desired))

    @staticmethod
    def differs(found: Accounted, wanted: Mapping[str, Any]) -> bool:
        """Whether the status of a quota or a class is to be written."""
        return not says(_as_json(found.status), wanted)

    async def write_usage(self, found: Accounted, wanted: Mapping[str, Any]) -> bool:
        """Say on a quota or a class what is used. As ``write_status`` otherwise."""
        return await self._apply_status(found, found.status, wanted)

    async def _apply_status(self, found: KubeObject, observed: Model, wanted: Mapping[str, Any]) -> bool:
        key = found.key
        if says(_as_json(observed), wanted):
            return False
        self._check_lead()
        try:
            data = await self._statuses.apply_to(_type(key), key, wanted, found.metadata.resource_version)
        except (Conflict, NotFound):
            if await self.refresh(key) is None:
                return False
            raise
        self._view.observe(key, data)
        return True

    async def gone(self, key: ObjectKey, uid: str) -> bool:
        """Whether the API server itself says that the object with this uid is no more. Its answer goes to the view."""
        found = await self.refresh(key)
        return found is None or found.uid != uid

    async def refresh(self, key: ObjectKey) -> KubeObject | None:
        """The object as it is now, in the view and returned; None when the API server says that it does not exist.

        NotFound counts only for a kind that is served: the client tells a missing kind apart.
        """
        try:
            data = await self._kube.get(_type(key), key.namespace, key.name)
        except NotFound:
            self._view.forget(key)
            return None
        self._view.observe(key, data)
        return self._view.get(key)

    async def _write_refs(
        self, concrete: Concrete, refs: tuple[ClaimRef, ...], annotations: Mapping[str, str | None]
    ) -> Concrete:
        """The references, and the finalizer that follows from them, in one write."""
        self._check_lead()
        metadata: dict[str, Any] = {"resourceVersion": concrete.metadata.resource_version}
        if annotations:
            metadata["annotations"] = dict(annotations)
        # Always: what is decided upon may carry a finalizer that is only assumed, and whose write is lost.
        metadata["finalizers"] = list(finalizers(concrete, refs)) or None
        key = concrete.key
        data = await self._kube.merge_patch(
            _type(key),
            key.namespace,
            key.name,
            {"metadata": metadata, "spec": {"claimRefs": [_dump_ref(ref) for ref in refs]}},
            field_manager=FIELD_MANAGER,
        )
        self._view.observe(key, data)
        return self._view.concretes[key]

    async def _delete(self, concrete: Concrete, now: datetime) -> None:
        self._check_lead()
        key, metadata = concrete.key, concrete.metadata
        await self._kube.delete(
            _type(key),
            key.namespace,
            key.name,
            uid=concrete.uid,
            resource_version=metadata.resource_version,
        )
        # Until the watcher tells: it is not to be deleted twice, nor bound.
        deleted = metadata.model_copy(update={"deletion_timestamp": now})
        self._view.put(key, concrete.model_copy(update={"metadata": deleted}))

    def _check_lead(self) -> None:
        if not self._leading():
            raise NotLeading


def _as_json(model: Model) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _type(key: ObjectKey) -> ResourceType:
    return BY_GROUP_KIND[key.group_kind].type


def _dump_ref(ref: ClaimRef) -> dict[str, Any]:
    return ref.model_dump(mode="json", by_alias=True, exclude_defaults=True)

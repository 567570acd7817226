"""Brings a claim's connection objects into the state that they should have, one API write for each that is not.

Promises: an object that is not the claim's own is never changed; objects are written in the order Secret, ConfigMap,
Service; a process that dies between any two writes leaves nothing that the next attempt does not put right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conductor_bus import Transient
from conductor_kube import AlreadyExists, Forbidden, Invalid, KubeClient, NotFound
from conductor_kube.builtin import SECRETS
from conductor_model.claims import Claim
from conductor_model.connection import Connection
from conductor_model.kinds import BY_GROUP_KIND
from conductor_model.meta import Model, ObjectMeta
from conductor_secrets_writer.drift import drift_patch
from conductor_secrets_writer.instruments import Instruments, Outcome
from conductor_secrets_writer.objects import (
    ConnectionObject,
    ObjectName,
    connection_objects,
    inventory_of,
    remembering,
)
from conductor_secrets_writer.ownership import Ownership, owner_of, ownership

FIELD_MANAGER = "conductor-secrets-writer"


@dataclass(frozen=True, slots=True)
class NameConflict:
    """Somebody else's object has the name of a connection object."""

    name: ObjectName
    owner: str | None
    """Kind and name of its controlling owner, if it has one."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server refuses to store an object, and repeating the request at once would not help."""

    name: ObjectName
    message: str


@dataclass(frozen=True, slots=True)
class BeingCollected:
    """An object that is being deleted, or that a claim made which this one may be the successor of, has the name."""

    name: ObjectName


@dataclass(frozen=True, slots=True)
class Placed:
    """The object says what it should. ``recorded``: what the Secret that was there knew to have been made."""

    recorded: frozenset[ObjectName] = frozenset()


Placement = Placed | NameConflict | Refusal | BeingCollected


@dataclass(frozen=True, slots=True)
class Published:
    """What became of each object, and the claim's own objects that are left behind under former names."""

    placements: tuple[Placement, ...]
    left_behind: frozenset[ObjectName]


class _Identity(Model):
    metadata: ObjectMeta


@dataclass(frozen=True, slots=True)
class _Existing:
    metadata: ObjectMeta
    content: Mapping[str, Any] = field(repr=False)


class ConnectionPublisher:
    """Writes connection objects; it remembers nothing.

    Its methods raise ``conductor_kube.KubeError`` as the API server answers, and ``Transient`` when an object was
    changed by somebody else meanwhile.
    """

    def __init__(self, client: KubeClient, instruments: Instruments) -> None:
        self._client = client
        self._instruments = instruments

    async def publish(self, claim: Claim, connection: Connection) -> Published:
        """Create what is missing, correct what differs, and say what stands in the way."""
        secret, *others = connection_objects(claim, connection)
        former = await self._under_former_secret(claim)
        placements = [await self._place(claim, each) for each in (remembering(secret, former), *others)]
        recorded = former.union(*(each.recorded for each in placements if isinstance(each, Placed)))
        return Published(tuple(placements), recorded - {secret.name, *(each.name for each in others)})

    async def remove(self, claim: Claim, connection: Connection, left_behind: frozenset[ObjectName]) -> None:
        """Delete what is left under former names, then forget it."""
        for name in sorted(left_behind):
            existing = await self._read(claim, name)
            if existing is not None and ownership(existing.metadata, claim) is Ownership.OURS:
                await self._delete(claim, name, existing)
        secret = connection_objects(claim, connection)[0]
        existing = await self._read(claim, secret.name)
        if existing is not None and ownership(existing.metadata, claim) is Ownership.OURS:
            await self._correct(claim, secret, existing)

    async def _under_former_secret(self, claim: Claim) -> frozenset[ObjectName]:
        """The Secret that the status announces, if the spec calls it otherwise now, and what it records."""
        binding = claim.status.binding
        if binding is None or binding.name == claim.secret_name:
            return frozenset()
        name = ObjectName(SECRETS.gvk.kind, binding.name)
        former = await self._read(claim, name)
        if former is None or ownership(former.metadata, claim) is not Ownership.OURS:
            return frozenset()
        return inventory_of(former.metadata.annotations) | {name}

    async def _place(self, claim: Claim, desired: ConnectionObject) -> Placement:
        """A claim that was never Ready has no objects as a rule, so its are created unseen: one request each."""
        try:
            if claim.status.binding is None:
                try:
                    return await self._create(claim, desired)
                except AlreadyExists:
                    pass
            existing = await self._read(claim, desired.name)
            if existing is None:
                return await self._create(claim, desired)
            match ownership(existing.metadata, claim):
                case Ownership.FOREIGN:
                    owner = owner_of(existing.metadata)
                    return NameConflict(desired.name, f'{owner.kind} "{owner.name}"' if owner else None)
                case Ownership.EARLIER_CLAIM:
                    return await self._succeed(claim, desired, existing)
            if existing.metadata.deletion_timestamp is not None:
                return BeingCollected(desired.name)
            recorded = inventory_of(existing.metadata.annotations)
            wanted = remembering(desired, recorded) if desired.name.type == SECRETS else desired
            await self._correct(claim, wanted, existing)
            return Placed(recorded)
        except (Forbidden, Invalid) as error:
            self._instruments.wrote(desired.name.kind, Outcome.REFUSED)
            return Refusal(desired.name, error.message)
        except AlreadyExists as error:
            raise Transient(
                f"{desired.name} of {claim.key} was changed by somebody else meanwhile"
            ) from error

    async def _succeed(self, claim: Claim, desired: ConnectionObject, existing: _Existing) -> Placement:
        """In the place of an earlier claim's object, which nobody needs: this claim has the name now.

        The garbage collector would remove it too, but not always soon: it can miss that a claim has gone whose
        successor came at once. Which of the two claims is the earlier one, only the API server can say.
        """
        if not await self._is_current(claim):
            return BeingCollected(desired.name)
        await self._delete(claim, desired.name, existing)
        try:
            return await self._create(claim, desired)
        except AlreadyExists:
            return BeingCollected(desired.name)  # something holds it

    async def _is_current(self, claim: Claim) -> bool:
        type, metadata = BY_GROUP_KIND[claim.key.group_kind].type, claim.metadata
        try:
            raw = await self._client.get(type, metadata.namespace, metadata.name)
        except NotFound:
            return False
        current = _Identity.model_validate_json(raw).metadata
        return current.uid == claim.uid and current.deletion_timestamp is None

    async def _create(self, claim: Claim, desired: ConnectionObject) -> Placed:
        await self._client.create(
            desired.name.type, claim.metadata.namespace, desired.body, field_manager=FIELD_MANAGER
        )
        self._instruments.wrote(desired.name.kind, Outcome.CREATED)
        return Placed()

    async def _read(self, claim: Claim, name: ObjectName) -> _Existing | None:
        try:
            raw = await self._client.get(name.type, claim.metadata.namespace, name.name)
        except NotFound:
            return None
        return _Existing(_Identity.model_validate_json(raw).metadata, json.loads(raw))

    async def _correct(self, claim: Claim, desired: ConnectionObject, existing: _Existing) -> None:
        patch = drift_patch(desired, existing.content)
        if patch is None:
            return
        await self._client.merge_patch(
            desired.name.type,
            claim.metadata.namespace,
            desired.name.name,
            patch,
            field_manager=FIELD_MANAGER,
        )
        self._instruments.wrote(desired.name.kind, Outcome.PATCHED)

    async def _delete(self, claim: Claim, name: ObjectName, existing: _Existing) -> None:
        try:
            await self._client.delete(
                name.type, claim.metadata.namespace, name.name, uid=existing.metadata.uid
            )
        except NotFound:
            return
        self._instruments.wrote(name.kind, Outcome.DELETED)

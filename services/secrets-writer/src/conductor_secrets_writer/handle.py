"""Handles one claim: read what is known, decide, write what follows.

Level-triggered: a run looks at the claim and its resource as they are now, whatever message caused it. Running it
twice, late, or after a crash at any point comes to the same end.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from opentelemetry import trace
from pydantic import Field, ValidationError

from conductor_bus import Bus, Done, MalformedMessage, RequeueAfter, Result, Transient, Work
from conductor_kube import Conflict, EventRecorder, KubeClient, NotFound, StatusWriter
from conductor_kube.builtin import SECRETS
from conductor_model.claims import BoundResource, Claim
from conductor_model.concrete import Concrete
from conductor_model.connection import Connectable, Connection, CredentialsIncomplete
from conductor_model.kinds import BY_GROUP_KIND, CLAIM_MODELS, CONCRETE_MODELS
from conductor_model.meta import KubeObject, Model
from conductor_model.refs import GroupVersionKind, ObjectKey
from conductor_secrets_writer.config import Settings
from conductor_secrets_writer.decide import (
    AskTheApi,
    Decision,
    Nothing,
    Publish,
    Ready,
    ReadyReason,
    Report,
    Wait,
    available,
    decide,
    not_published,
)
from conductor_secrets_writer.instruments import Instruments, Outcome
from conductor_secrets_writer.memory import Inputs, RecentWrites
from conductor_secrets_writer.publish import ConnectionPublisher
from conductor_secrets_writer.status import write_ready
from conductor_secrets_writer.verdict import Collecting, InPlace, InTheWay, again, verdict_of

log = logging.getLogger(__name__)
_tracer = trace.get_tracer("conductor_secrets_writer")


class _SecretData(Model):
    data: dict[str, str] = Field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handler works with; time and chance come in from outside."""

    bus: Bus
    client: KubeClient
    status: StatusWriter
    events: EventRecorder
    publisher: ConnectionPublisher
    instruments: Instruments
    recent: RecentWrites
    settings: Settings
    now: Callable[[], datetime]
    spread: Callable[[], float]
    """A random number from -1 to 1: where in its jitter a resync falls."""


class ClaimHandler:
    """What the work queue calls for each claim."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, work: Work) -> Result:
        """Raises what the API server and the bus answer; the work queue knows what is worth another try."""
        if work.message is None or work.message.deleted or work.key.group_kind not in CLAIM_MODELS:
            return Done()
        message = work.message
        raw = self._parts.recent.newest(message.uid, message.resource_version, message.data)
        try:
            claim = CLAIM_MODELS[work.key.group_kind].model_validate_json(raw)
        except ValidationError as error:
            if not _is_object(raw):
                raise MalformedMessage(f"{work.key}: what was heard of it is no object") from None
            # The scheduler tells the claim's author; until the claim changes there is nothing to write for it.
            log.info("%s cannot be read: %d fields are wrong", work.key, error.error_count())
            return Done()
        try:
            return await self._handle(claim)
        except (NotFound, Conflict) as error:
            if await self._gone(claim):
                return Done()
            raise Transient(str(error)) from error

    async def _handle(self, claim: Claim) -> Result:
        match await self._decide(claim):
            case Nothing():
                return Done()
            case Wait(seconds):
                return RequeueAfter(seconds)
            case Report(ready):
                await self._report(claim, ready)
                return Done()
            case Publish() as publish:
                return await self._publish(claim, publish)
            case AskTheApi():
                raise AssertionError("the API server's answer is proof")

    async def _decide(self, claim: Claim) -> Decision:
        bound = claim.status.bound_resource
        concrete = await self._from_bus(bound) if bound is not None else None
        decision = self._decision(claim, concrete, proven=False)
        if bound is not None and isinstance(decision, AskTheApi):
            decision = self._decision(claim, await self._from_api(bound), proven=True)
        return decision

    def _decision(self, claim: Claim, concrete: Concrete | None, *, proven: bool) -> Decision:
        return decide(claim, concrete, proven=proven, now=self._parts.now(), settings=self._parts.settings)

    async def _from_bus(self, bound: BoundResource) -> Concrete | None:
        key = _key_of(bound)
        message = await self._parts.bus.latest(key) if key.group_kind in CONCRETE_MODELS else None
        return None if message is None or message.deleted else _concrete(key, message.data)

    async def _from_api(self, bound: BoundResource) -> Concrete | None:
        key = _key_of(bound)
        if key.group_kind not in CONCRETE_MODELS:
            return None
        try:
            raw = await self._parts.client.get(BY_GROUP_KIND[key.group_kind].type, key.namespace, key.name)
        except NotFound:
            return None
        return _concrete(key, raw)

    async def _publish(self, claim: Claim, publish: Publish) -> Result:
        settings = self._parts.settings
        concrete = publish.concrete
        inputs = Inputs.of(claim, concrete, publish.endpoint, publish.credentials)
        if self._parts.recent.published_from(claim.uid, inputs):
            return RequeueAfter(self._next_resync())
        with _tracer.start_as_current_span(f"publish connection {claim.kind}", attributes=_place(claim)):
            try:
                connection = await self._connection(claim, publish)
            except CredentialsIncomplete as problem:
                secret = f'Secret "{publish.credentials.secret_name}" of ' if publish.credentials else ""
                text = f"{secret}{concrete.kind} {concrete.metadata.name}: {problem}."
                await self._report(claim, not_published(claim, ReadyReason.CREDENTIALS_MISSING, text))
                return RequeueAfter(settings.unconfirmed)
            published = await self._parts.publisher.publish(claim, connection)
            match verdict_of(published, claim, self._parts.now(), settings):
                case Collecting():
                    return RequeueAfter(settings.collection_poll)
                case InTheWay(reason, message):
                    await self._warn(claim, not_published(claim, reason, message))
                    return RequeueAfter(again(claim, reason, self._parts.now(), settings))
                case InPlace():
                    await self._report(claim, available(claim))
            if published.left_behind:
                await self._parts.publisher.remove(claim, connection, published.left_behind)
        self._parts.recent.settled(claim.uid, inputs)
        return RequeueAfter(self._next_resync())

    async def _connection(self, claim: Claim, publish: Publish) -> Connection:
        concrete = publish.concrete
        credentials = (
            await self._credentials(concrete.metadata.namespace, publish.credentials.secret_name)
            if publish.credentials is not None
            else {}
        )
        return claim.connection_format.connection(
            Connectable(concrete.provider, publish.endpoint, concrete.connection_facts, credentials)
        )

    async def _credentials(self, namespace: str, secret_name: str) -> Mapping[str, bytes]:
        """They are read anew each time: they are never kept, and never come over the bus."""
        try:
            raw = await self._parts.client.get(SECRETS, namespace, secret_name)
        except NotFound:
            raise CredentialsIncomplete("it does not exist") from None
        encoded = _SecretData.model_validate_json(raw).data
        return {key: base64.b64decode(value) for key, value in encoded.items()}

    async def _report(self, claim: Claim, ready: Ready) -> bool:
        """True when the claim did not say so already."""
        now = self._parts.now()
        raw = await write_ready(self._parts.status, claim, ready, now)
        if raw is None:
            return False
        self._parts.instruments.wrote(claim.kind, Outcome.PATCHED)
        written = CLAIM_MODELS[claim.key.group_kind].model_validate_json(raw)
        self._parts.recent.wrote(claim.uid, written.metadata.resource_version, raw)
        log.info("%s: Ready is %s: %s", claim.key, ready.holds, ready.reason)
        created = claim.metadata.creation_timestamp
        if ready.holds and claim.status.binding is None and created is not None:
            self._parts.instruments.became_ready(claim.kind, (now - created).total_seconds())
        return True

    async def _warn(self, claim: Claim, ready: Ready) -> None:
        if await self._report(claim, ready):
            self._parts.events.emit(
                regarding=claim, type="Warning", reason=ready.reason, note=ready.message, action="Publish"
            )

    async def _gone(self, claim: Claim) -> bool:
        """Whether somebody took the claim, or its namespace, away meanwhile."""
        kind = BY_GROUP_KIND[claim.key.group_kind].type
        try:
            raw = await self._parts.client.get(kind, claim.metadata.namespace, claim.metadata.name)
        except NotFound:
            return True
        current = CLAIM_MODELS[claim.key.group_kind].model_validate_json(raw)
        return current.uid != claim.uid or current.being_deleted

    def _next_resync(self) -> float:
        settings = self._parts.settings
        return settings.resync * (1 + settings.resync_jitter * self._parts.spread())


def _key_of(bound: BoundResource) -> ObjectKey:
    kind = GroupVersionKind.parse(bound.api_version, bound.kind)
    return ObjectKey(kind.group_kind, bound.namespace, bound.name)


def _is_object(raw: bytes) -> bool:
    try:
        KubeObject.model_validate_json(raw)
    except ValidationError:
        return False
    return True


def _concrete(key: ObjectKey, raw: bytes) -> Concrete | None:
    """None for one that cannot be read: its provisioner says on it what is wrong."""
    try:
        return CONCRETE_MODELS[key.group_kind].model_validate_json(raw)
    except ValidationError as error:
        log.info("%s cannot be read: %d fields are wrong", key, error.error_count())
        return None


def _place(claim: Claim) -> dict[str, str]:
    return {
        "k8s.namespace.name": claim.metadata.namespace,
        "conductor.kind": claim.kind,
        "conductor.name": claim.metadata.name,
        "conductor.uid": claim.uid,
    }

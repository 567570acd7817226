"""Keeps ProviderConfigs for as long as objects live by them.

A finalizer stands on each before it is used. One that is being deleted goes when the API server, asked for all objects
of the provisioner's kinds in its namespace, shows none that lives by it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from pydantic import ValidationError

from conductor_bus import Done, RequeueAfter, Result, Work
from conductor_kube import Conflict, EventRecorder, KubeClient, NotFound, StatusWriter
from conductor_model.concrete import Concrete
from conductor_model.conditions import Condition, condition, with_condition
from conductor_model.kind import Kind
from conductor_model.providerconfig import PROVIDER_CONFIG, ProviderConfig, ProviderConfigCondition
from conductor_provisioner.configs import users_of

LOOK_SECONDS = 15.0
"""Between two looks for the last user of a ProviderConfig that is being deleted."""
_NAMED = 3

log = logging.getLogger(__name__)


class ConfigStore(Protocol):
    """What the keeper and the sweep do in the Kubernetes API."""

    async def current(self, config: ProviderConfig) -> ProviderConfig | None:
        """As it is now; None when it is gone, or another has its name."""
        ...

    async def set_finalizers(self, config: ProviderConfig, finalizers: Sequence[str]) -> None:
        """Raises Conflict unless it is still in the version given."""

    async def write_status(self, config: ProviderConfig, status: dict[str, Any]) -> None: ...

    def concretes(self, namespace: str | None) -> AsyncIterator[Concrete]:
        """All objects of the provisioner's kinds that there are, by the API server's word."""
        ...

    def warn(self, config: ProviderConfig, reason: str, note: str) -> None: ...


class Keeper:
    """Handles ProviderConfigs of one provider."""

    def __init__(self, provider: str, finalizer: str, store: ConfigStore, now: Any) -> None:
        self._provider = provider
        self._finalizer = finalizer
        self._store = store
        self._now = now

    async def handle(self, work: Work) -> Result:
        """One look at one ProviderConfig. Raises a retryable error to have it handed over again."""
        if work.message is None or work.message.deleted:
            return Done()
        try:
            config = ProviderConfig.model_validate_json(work.message.data)
        except ValidationError:
            log.warning("%s cannot be read", work.key)
            return Done()
        if config.spec.provider != self._provider:
            return Done()
        protected = self._finalizer in config.metadata.finalizers
        if config.being_deleted:
            return await self._let_go(config) if protected else Done()
        if not protected:
            await self._store.set_finalizers(config, [*config.metadata.finalizers, self._finalizer])
        return Done()

    async def _let_go(self, config: ProviderConfig) -> Result:
        current = await self._store.current(config)
        if current is None or not current.being_deleted:
            return Done()
        concretes = [each async for each in self._store.concretes(config.metadata.namespace)]
        users = users_of(current, concretes)
        if not users:
            rest = [each for each in current.metadata.finalizers if each != self._finalizer]
            await self._store.set_finalizers(current, rest)
            return Done()
        named = ", ".join(f"{each.kind} {each.metadata.name}" for each in users[:_NAMED])
        more = f" and {len(users) - _NAMED} more" if len(users) > _NAMED else ""
        in_use = Condition(
            type=ProviderConfigCondition.IN_USE,
            status="True",
            reason="InUse",
            message=f"It was deleted, and stays until these are gone: {named}{more}",
            observed_generation=current.metadata.generation,
        )
        before = condition(current.status.conditions, in_use.type)
        await self._store.write_status(current, changed(current, in_use, self._now()))
        if before is None or before.status != "True":
            self._store.warn(current, in_use.reason, in_use.message)
        return RequeueAfter(LOOK_SECONDS)


def changed(config: ProviderConfig, new: Condition, now: datetime, **fields: Any) -> dict[str, Any]:
    """The status with the condition, and with further fields by their Python names."""
    conditions = with_condition(config.status.conditions, new, now)
    status = config.status.model_copy(update={"conditions": conditions, **fields})
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


class KubeConfigStore:
    """``ConfigStore`` on the real API server."""

    def __init__(
        self, client: KubeClient, kinds: Sequence[Kind], events: EventRecorder, *, field_manager: str
    ) -> None:
        self._client = client
        self._kinds = kinds
        self._events = events
        self._field_manager = field_manager
        self._writer = StatusWriter(client, field_manager=field_manager)

    async def current(self, config: ProviderConfig) -> ProviderConfig | None:
        meta = config.metadata
        try:
            data = await self._client.get(PROVIDER_CONFIG, meta.namespace, meta.name)
        except NotFound:
            return None
        current = ProviderConfig.model_validate_json(data)
        return current if current.uid == config.uid else None

    async def set_finalizers(self, config: ProviderConfig, finalizers: Sequence[str]) -> None:
        meta = config.metadata
        patch = {
            "metadata": {
                "uid": meta.uid,
                "resourceVersion": meta.resource_version,
                "finalizers": list(finalizers),
            }
        }
        try:
            await self._client.merge_patch(
                PROVIDER_CONFIG, meta.namespace, meta.name, patch, field_manager=self._field_manager
            )
        except NotFound:
            log.debug("%s is gone", config.key)

    async def write_status(self, config: ProviderConfig, status: dict[str, Any]) -> None:
        observed = config.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            await self._writer.apply_status(
                PROVIDER_CONFIG,
                config.key,
                config.uid,
                status,
                observed,
                resource_version=config.metadata.resource_version,
            )
        except (NotFound, Conflict):
            log.debug("%s is gone, or another one", config.key)

    async def concretes(self, namespace: str | None) -> AsyncIterator[Concrete]:
        for kind in self._kinds:
            async for page in self._client.list(kind.type, namespace):
                for item in page.items:
                    yield Concrete.model_validate_json(item.raw)

    def warn(self, config: ProviderConfig, reason: str, note: str) -> None:
        self._events.emit(regarding=config, type="Warning", reason=reason, note=note, action="Reconcile")

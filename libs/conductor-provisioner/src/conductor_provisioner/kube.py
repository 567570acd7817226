"""``cluster.Cluster`` on the real API server."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import Field

from conductor_kube import AlreadyExists, Conflict, EventRecorder, KubeClient, NotFound, StatusWriter
from conductor_kube.builtin import SECRETS
from conductor_model.annotations import (
    ACCOUNT,
    CONCRETE_UID_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PROVISIONER_FINALIZER,
    ROTATED,
)
from conductor_model.concrete import Concrete, ConcreteStatus
from conductor_model.meta import KubeObject, Model, ObjectMeta
from conductor_model.refs import ResourceType
from conductor_provisioner.cluster import Overtaken, StoredCredentials
from conductor_provisioner.driver import SecretData
from conductor_provisioner.parse import parse_concrete

ConcreteT = TypeVar("ConcreteT", bound=Concrete)

log = logging.getLogger(__name__)


class _Header(Model):
    metadata: ObjectMeta


class _Secret(KubeObject):
    data: dict[str, str] = Field(default_factory=dict, repr=False)


class KubeCluster(Generic[ConcreteT]):
    """Reads and writes objects of one kind, and their Secrets, as the provisioner's service account."""

    def __init__(
        self,
        type: ResourceType,
        model: type[ConcreteT],
        client: KubeClient,
        events: EventRecorder,
        *,
        field_manager: str,
    ) -> None:
        self._type = type
        self._model = model
        self._client = client
        self._writer = StatusWriter(client, field_manager=field_manager)
        self._events = events
        self._field_manager = field_manager

    async def confirm(self, concrete: ConcreteT) -> None:
        meta = concrete.metadata
        try:
            data = await self._client.get(self._type, meta.namespace, meta.name)
        except NotFound as error:
            raise Overtaken(f"{concrete.key} is gone") from error
        now = _Header.model_validate_json(data).metadata
        if (now.uid, now.resource_version) != (meta.uid, meta.resource_version):
            raise Overtaken(f"{concrete.key} has changed")

    async def add_finalizer(self, concrete: ConcreteT) -> ConcreteT:
        finalizers = [*concrete.metadata.finalizers, PROVISIONER_FINALIZER]
        return parse_concrete(self._model, await self._set_finalizers(concrete, finalizers)).concrete

    async def remove_finalizer(self, concrete: ConcreteT) -> None:
        rest = [each for each in concrete.metadata.finalizers if each != PROVISIONER_FINALIZER]
        await self._set_finalizers(concrete, rest)

    async def credentials(self, namespace: str, secret_name: str) -> StoredCredentials | None:
        try:
            return stored_credentials(await self._client.get(SECRETS, namespace, secret_name))
        except NotFound:
            return None

    async def store_credentials(
        self, concrete: ConcreteT, secret_name: str, data: SecretData, rotated: str | None, account: str
    ) -> StoredCredentials:
        namespace = concrete.metadata.namespace
        body = {
            "apiVersion": SECRETS.gvk.api_version,
            "kind": SECRETS.gvk.kind,
            "metadata": {
                "name": secret_name,
                "namespace": namespace,
                "labels": {MANAGED_BY_LABEL: MANAGED_BY, CONCRETE_UID_LABEL: concrete.uid},
                "annotations": {ACCOUNT: account, **({ROTATED: rotated} if rotated is not None else {})},
            },
            "type": "Opaque",
            "data": _encoded(data),
        }
        try:
            made = await self._client.create(SECRETS, namespace, body, field_manager=self._field_manager)
            return stored_credentials(made)
        except AlreadyExists:
            # Ours from before a crash, or somebody else's: its label tells.
            return stored_credentials(await self._client.get(SECRETS, namespace, secret_name))

    async def replace_credentials(
        self, concrete: ConcreteT, stored: StoredCredentials, data: SecretData, rotated: str | None
    ) -> StoredCredentials:
        metadata: dict[str, Any] = {"uid": stored.secret_uid, "resourceVersion": stored.revision}
        if rotated is not None:
            metadata["annotations"] = {ROTATED: rotated}
        return stored_credentials(
            await self._client.merge_patch(
                SECRETS,
                concrete.metadata.namespace,
                stored.secret_name,
                {"metadata": metadata, "data": _encoded(data)},
                field_manager=self._field_manager,
            )
        )

    async def delete_credentials(self, namespace: str, stored: StoredCredentials) -> None:
        try:
            await self._client.delete(SECRETS, namespace, stored.secret_name, uid=stored.secret_uid)
        except NotFound:
            log.debug("Secret %s/%s is gone already", namespace, stored.secret_name)

    async def write_status(self, concrete: ConcreteT, status: ConcreteStatus) -> ObjectMeta | None:
        try:
            data = await self._writer.apply_status(
                self._type,
                concrete.key,
                concrete.uid,
                _document(status),
                _document(concrete.status),
                resource_version=concrete.metadata.resource_version,
            )
        except (NotFound, Conflict) as error:
            raise Overtaken(f"{concrete.key} is gone, or another one") from error
        return _Header.model_validate_json(data).metadata if data is not None else None

    def warn(self, concrete: ConcreteT, reason: str, note: str) -> None:
        self._events.emit(regarding=concrete, type="Warning", reason=reason, note=note, action="Reconcile")

    async def _set_finalizers(self, concrete: ConcreteT, finalizers: list[str]) -> bytes:
        meta = concrete.metadata
        patch: Mapping[str, Any] = {
            "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": finalizers}
        }
        try:
            return await self._client.merge_patch(
                self._type, meta.namespace, meta.name, patch, field_manager=self._field_manager
            )
        except (NotFound, Conflict) as error:
            raise Overtaken(f"{concrete.key} has changed") from error


def _document(status: ConcreteStatus) -> Mapping[str, Any]:
    """Of every field, also of those without a value: they are ours to remove."""
    given = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: given.get(name) for name in status.model_dump(by_alias=True)}


def stored_credentials(data: bytes) -> StoredCredentials:
    """A Secret as the API server sends it."""
    secret = _Secret.model_validate_json(data)
    return StoredCredentials(
        secret_name=secret.metadata.name,
        secret_uid=secret.metadata.uid,
        revision=secret.metadata.resource_version,
        made_for=secret.metadata.labels.get(CONCRETE_UID_LABEL),
        data=decoded(secret.data),
        rotated=secret.metadata.annotations.get(ROTATED),
        account=secret.metadata.annotations.get(ACCOUNT),
    )


def decoded(entries: Mapping[str, str]) -> SecretData:
    """Of a Secret's ``data``, without what is no text: nothing takes that as a name or a password."""
    found: dict[str, str] = {}
    for key, value in entries.items():
        try:
            found[key] = base64.b64decode(value).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return SecretData(found)


def _encoded(data: SecretData) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}

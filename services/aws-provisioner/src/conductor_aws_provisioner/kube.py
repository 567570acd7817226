"""``cluster.Cluster`` on the real API server."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from conductor_aws_provisioner.cluster import Overtaken, StoredCredentials
from conductor_aws_provisioner.external import MasterCredentials
from conductor_aws_provisioner.parse import parse_instance
from conductor_kube import AlreadyExists, Conflict, EventRecorder, KubeClient, NotFound, StatusWriter
from conductor_kube.builtin import SECRETS
from conductor_model.annotations import (
    CONCRETE_UID_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PROVISIONER_FINALIZER,
)
from conductor_model.kinds import RDS_INSTANCE
from conductor_model.meta import KubeObject, Model, ObjectMeta
from conductor_model.rds import RDSInstance, RDSInstanceStatus

FIELD_MANAGER = "conductor-aws-provisioner"

log = logging.getLogger(__name__)


class _Header(Model):
    metadata: ObjectMeta


class _Secret(KubeObject):
    data: dict[str, str] = Field(default_factory=dict, repr=False)


class KubeCluster:
    """Reads and writes as the provisioner's service account."""

    def __init__(self, client: KubeClient, writer: StatusWriter, events: EventRecorder) -> None:
        self._client = client
        self._writer = writer
        self._events = events

    async def confirm(self, instance: RDSInstance) -> None:
        meta = instance.metadata
        try:
            data = await self._client.get(RDS_INSTANCE, meta.namespace, meta.name)
        except NotFound as error:
            raise Overtaken(f"{instance.key} is gone") from error
        now = _Header.model_validate_json(data).metadata
        if (now.uid, now.resource_version) != (meta.uid, meta.resource_version):
            raise Overtaken(f"{instance.key} has changed")

    async def add_finalizer(self, instance: RDSInstance) -> RDSInstance:
        finalizers = [*instance.metadata.finalizers, PROVISIONER_FINALIZER]
        return parse_instance(await self._set_finalizers(instance, finalizers)).instance

    async def remove_finalizer(self, instance: RDSInstance) -> None:
        rest = [each for each in instance.metadata.finalizers if each != PROVISIONER_FINALIZER]
        await self._set_finalizers(instance, rest)

    async def credentials(self, namespace: str, secret_name: str) -> StoredCredentials | None:
        try:
            return _stored(await self._client.get(SECRETS, namespace, secret_name))
        except NotFound:
            return None

    async def store_credentials(
        self, instance: RDSInstance, secret_name: str, credentials: MasterCredentials
    ) -> StoredCredentials:
        namespace = instance.metadata.namespace
        body = {
            "apiVersion": SECRETS.gvk.api_version,
            "kind": SECRETS.gvk.kind,
            "metadata": {
                "name": secret_name,
                "namespace": namespace,
                "labels": {MANAGED_BY_LABEL: MANAGED_BY, CONCRETE_UID_LABEL: instance.uid},
            },
            "type": "Opaque",
            "data": {
                "username": base64.b64encode(credentials.username.encode()).decode(),
                "password": base64.b64encode(credentials.password.encode()).decode(),
            },
        }
        try:
            return _stored(await self._client.create(SECRETS, namespace, body, field_manager=FIELD_MANAGER))
        except AlreadyExists:
            # Ours from before a crash, or somebody else's: its label tells.
            return _stored(await self._client.get(SECRETS, namespace, secret_name))

    async def delete_credentials(self, namespace: str, stored: StoredCredentials) -> None:
        try:
            await self._client.delete(SECRETS, namespace, stored.secret_name, uid=stored.secret_uid)
        except NotFound:
            log.debug("Secret %s/%s is gone already", namespace, stored.secret_name)

    async def write_status(self, instance: RDSInstance, status: RDSInstanceStatus) -> ObjectMeta | None:
        try:
            data = await self._writer.apply_status(
                RDS_INSTANCE,
                instance.key,
                instance.uid,
                _document(status),
                _document(instance.status),
                resource_version=instance.metadata.resource_version,
            )
        except (NotFound, Conflict) as error:
            raise Overtaken(f"{instance.key} is gone, or another one") from error
        return _Header.model_validate_json(data).metadata if data is not None else None

    def warn(self, instance: RDSInstance, reason: str, note: str) -> None:
        self._events.emit(regarding=instance, type="Warning", reason=reason, note=note, action="Reconcile")

    async def _set_finalizers(self, instance: RDSInstance, finalizers: list[str]) -> bytes:
        meta = instance.metadata
        patch: Mapping[str, Any] = {
            "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": finalizers}
        }
        try:
            return await self._client.merge_patch(
                RDS_INSTANCE, meta.namespace, meta.name, patch, field_manager=FIELD_MANAGER
            )
        except (NotFound, Conflict) as error:
            raise Overtaken(f"{instance.key} has changed") from error


def _document(status: RDSInstanceStatus) -> Mapping[str, Any]:
    """Of every field, also of those without a value: they are ours to remove."""
    given = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: given.get(name) for name in status.model_dump(by_alias=True)}


def _stored(data: bytes) -> StoredCredentials:
    secret = _Secret.model_validate_json(data)
    username, password = _decoded(secret, "username"), _decoded(secret, "password")
    complete = username is not None and password is not None
    return StoredCredentials(
        secret_name=secret.metadata.name,
        secret_uid=secret.metadata.uid,
        revision=secret.metadata.resource_version,
        made_for=secret.metadata.labels.get(CONCRETE_UID_LABEL),
        credentials=MasterCredentials(username or "", password or "") if complete else None,
    )


def _decoded(secret: _Secret, key: str) -> str | None:
    """None also for what is no text: no database takes it as a password."""
    try:
        return base64.b64decode(secret.data[key]).decode() or None
    except (KeyError, binascii.Error, UnicodeDecodeError):
        return None

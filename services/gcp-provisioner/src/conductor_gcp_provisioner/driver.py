"""The driver for Cloud SQL instances.

Whatever changes an instance is a long-running operation, one at a time. Its name is put into the status, so that
whoever takes over follows it. If the process died before that, the instance itself says that it is busy, or Google's
list of its operations does: no second one is begun beside it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from conductor_gcp_provisioner.admin import Admin
from conductor_gcp_provisioner.decide import (
    PORTS,
    changes_of,
    drift_of,
    new_instance,
    root_username,
    successor_of,
    unfit_name,
)
from conductor_gcp_provisioner.errors import (
    DENIED,
    DOES_NOT_EXIST,
    IN_PROGRESS,
    Conflict,
    NotFound,
)
from conductor_gcp_provisioner.identity import identity
from conductor_gcp_provisioner.instance import FAILED, PENDING_CREATE, Instance, Operation
from conductor_gcp_provisioner.labels import (
    CLUSTER_LABEL,
    UID_LABEL,
    label_value,
    ownership,
    without_owner,
)
from conductor_gcp_provisioner.settings import GoogleSettings
from conductor_model.cloudsql import CloudSQLInstanceSpec, CloudSQLInstanceStatus, DatabaseEngine
from conductor_model.concrete import Endpoint
from conductor_model.quantity import Quantity
from conductor_provisioner.driver import (
    Account,
    CredentialsFrom,
    Driver,
    Observation,
    Ownership,
    Resource,
    SecretData,
    Tagged,
)
from conductor_provisioner.errors import NameRetired, Refused, Terminal, Transient

CloudSQLResource = Resource[CloudSQLInstanceSpec, CloudSQLInstanceStatus]
CloudSQLObservation = Observation[CloudSQLInstanceStatus]

_CREATE, _DELETE = "CREATE", "DELETE"
_OF_USERS = frozenset({"CREATE_USER", "UPDATE_USER"})
_MAX_TEXT = 1000


class CloudSQLDriver:
    """``conductor_provisioner.Driver`` for the instances of one project."""

    credentials_from = CredentialsFrom.CONDUCTOR
    recreates = False

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    async def observe(self, resource: CloudSQLResource) -> CloudSQLObservation:
        self._here(resource)
        # The operation first: if it has ended, what is looked at afterwards shows its effect.
        operation = await self._followed(resource.status.operation)
        instance = await self._find(resource.external_name)
        if instance is None:
            return self._absent(resource, operation)
        if operation is None:
            operation = await self._unrecorded(resource, instance)
        return self._seen(resource, instance, operation)

    async def create(self, resource: CloudSQLResource) -> CloudSQLObservation:
        name, spec = resource.external_name, resource.spec
        unfit = unfit_name(self._admin.project, name)
        if unfit is not None:
            raise Terminal("InsertInstance", name, "InvalidName", unfit)
        await self._refuse_to_repeat_at_once(resource)
        username, password = _login(resource.credentials)
        is_root = username == root_username(spec)
        # Nobody is to use the engine's own user beside the one that is asked for.
        body = new_instance(name, spec, resource.owner, password if is_root else secrets.token_urlsafe(32))
        try:
            operation = await self._admin.insert(body)
        except Conflict as error:
            return await self._taken(resource, error)
        if operation.done and operation.error is not None:
            raise _failed("InsertInstance", name, operation.error)
        return Observation(
            exists=True,
            busy=True,
            message=f"Cloud SQL instance {name} is being created",
            credentials_applied=is_root,
            details=self._details(PENDING_CREATE, operation=operation),
        )

    async def update(self, resource: CloudSQLResource, observed: CloudSQLObservation) -> CloudSQLObservation:
        name = resource.external_name
        error = observed.details.get("operation_error")
        if error is not None and resource.status.operation is not None:
            # It has just failed: told now, and tried again when it is looked at next.
            raise _failed("PatchInstance", name, error)
        if not observed.credentials_applied:
            operation = await self._give_password(resource)
            usable = operation.done or resource.status.provisioned_at is not None
            applied = replace(observed, credentials_applied=True, ready=observed.ready and usable)
            return _under_way(applied, operation)
        changes = changes_of(resource.spec, resource.owner, await self._admin.get(name))
        if not changes:
            return observed
        return _under_way(observed, await self._admin.patch(name, changes))

    async def delete(self, resource: CloudSQLResource, observed: CloudSQLObservation) -> None:
        name = resource.external_name
        if resource.spec.deletion_protection:
            raise Terminal(
                "DeleteInstance",
                name,
                "DeletionProtected",
                "it is not deleted while spec.deletionProtection is true: set it to false to let it go",
                reason="DeletionProtected",
            )
        try:
            instance = await self._admin.get(name)
            if instance.settings.get("deletionProtectionEnabled"):
                await self._admin.patch(name, {"settings": {"deletionProtectionEnabled": False}})
            else:
                days = resource.spec.final_backup_retention_days
                await self._admin.delete(name, final_backup_days=None if instance.state in FAILED else days)
        except NotFound:
            return  # the next look says whether it is gone
        except Conflict as error:
            if error.code not in IN_PROGRESS:
                raise
            # Its deletion perhaps, or what must end before it.

    async def release(self, resource: CloudSQLResource, observed: CloudSQLObservation) -> None:
        """Take our labels off, and the others not. Raises Transient until they are off: a patch takes a while."""
        name = resource.external_name
        instance = await self._admin.get(name)
        labels = without_owner(instance.labels)
        if labels == instance.labels:
            return
        if instance.state in FAILED:
            raise Terminal(
                "PatchInstance", name, instance.state, "Google changes no labels of such an instance"
            )
        operation = await self._admin.patch(name, {"settings": {"userLabels": labels}})
        if operation.error is not None:
            raise _failed("PatchInstance", name, operation.error)
        if not operation.done:
            raise Transient(
                "PatchInstance", name, "UnderWay", "the labels of this object are being taken off"
            )

    async def tagged(self, cluster_id: str) -> AsyncIterator[Tagged]:
        """Filtered here: a list with a filter would say nothing of what it could not look into."""
        wanted = label_value(cluster_id)
        async for instance in self._admin.instances():
            if instance.labels.get(CLUSTER_LABEL) == wanted:
                yield Tagged(
                    external_name=instance.name,
                    uid=instance.labels.get(UID_LABEL, ""),
                    description=f"Cloud SQL instance {self._admin.project}:{instance.region}:{instance.name}",
                )

    def _here(self, resource: CloudSQLResource) -> None:
        """Not finding it here would prove nothing if it was made elsewhere."""
        made_in = resource.status.project
        if made_in is not None and made_in != self._admin.project:
            raise Refused(
                "GetInstance",
                resource.external_name,
                "Elsewhere",
                f"it was made in project {made_in}, and this provisioner works in {self._admin.project}: give it that "
                "project. Nothing is changed or deleted meanwhile",
                reason="Elsewhere",
            )

    async def _find(self, name: str) -> Instance | None:
        """None only if Google says so: of the instance by name, or of all that are in the project."""
        doubt: NotFound | Refused
        try:
            return await self._admin.get(name)
        except NotFound as error:
            if error.code == DOES_NOT_EXIST:
                return None
            doubt = error
        except Refused as error:
            if error.code not in DENIED:
                raise
            doubt = error
        async for instance in self._admin.instances():
            if instance.name == name:
                raise doubt
        return None

    async def _followed(self, name: str | None) -> Operation | None:
        """The operation of this name; None for none, and for one that Google has forgotten."""
        if name is None:
            return None
        try:
            return await self._admin.operation(name)
        except NotFound:
            return None

    async def _unrecorded(self, resource: CloudSQLResource, instance: Instance) -> Operation | None:
        """An operation whose name did not reach the status: looked for where something is to be done or explained."""
        if instance.state == "FAILED" and resource.status.operation_error is None:
            return next((each for each in await self._operations(instance.name) if each.error), None)
        to_do = not resource.credentials_applied or bool(drift_of(resource.spec, resource.owner, instance))
        if instance.busy or not to_do:
            return None
        return next((each for each in await self._operations(instance.name) if not each.done), None)

    async def _operations(self, instance: str) -> list[Operation]:
        try:
            return await self._admin.operations(instance)
        except NotFound:
            return []

    async def _taken(self, resource: CloudSQLResource, error: Conflict) -> CloudSQLObservation:
        """The name is not free: the instance is there by now, or will be, or was and keeps its name for a while."""
        instance = await self._find(resource.external_name)
        if instance is not None:
            return self._seen(resource, instance, None)
        if error.code in IN_PROGRESS:
            raise error
        operations = await self._operations(resource.external_name)
        creates = [each for each in operations if each.type == _CREATE and each.error is None]
        deleted = any(
            each.type == _DELETE and each.done and each.error is None for each in operations
        ) and all(each.done for each in creates)
        if creates and not deleted:
            raise error  # it is there, or about to be, though it is not shown yet
        raise NameRetired(
            error.action,
            error.target,
            error.code,
            error.message,
            successor=successor_of(resource.external_name),
        )

    async def _refuse_to_repeat_at_once(self, resource: CloudSQLResource) -> None:
        """What was just tried and failed is told first, and tried again when it is looked at next."""
        operation = await self._followed(resource.status.operation)
        if operation is not None and operation.done and operation.error is not None:
            raise _failed("InsertInstance", resource.external_name, operation.error)

    async def _give_password(self, resource: CloudSQLResource) -> Operation:
        name = resource.external_name
        username, password = _login(resource.credentials)
        hosts = await self._admin.usernames(name)
        if username in hosts:
            return await self._admin.set_password(name, username, hosts[username], password)
        host = "%" if resource.spec.engine is DatabaseEngine.MYSQL else ""
        return await self._admin.insert_user(name, username, host, password)

    def _absent(self, resource: CloudSQLResource, operation: Operation | None) -> CloudSQLObservation:
        name = resource.external_name
        if operation is not None and not operation.done:
            return Observation(
                exists=False,
                busy=True,
                message=f"Cloud SQL instance {name} is being created",
                details=self._details(None, operation=operation),
            )
        error = operation.error if operation is not None else resource.status.operation_error
        details = {} if resource.status.project is None else self._details(None, error=error)
        return Observation(exists=False, message=error or "", details=details)

    def _seen(
        self, resource: CloudSQLResource, instance: Instance, operation: Operation | None
    ) -> CloudSQLObservation:
        spec, status = resource.spec, resource.status
        under_way = operation is not None and not operation.done
        error = operation.error if operation is not None else status.operation_error
        of_users = operation is not None and operation.type in _OF_USERS
        applied = resource.credentials_applied and not (of_users and error is not None)
        drift = drift_of(spec, resource.owner, instance)
        if applied and not drift and instance.state not in FAILED:
            error = None
        host = instance.host(private=spec.ip_configuration.private_network is not None)
        first_user = of_users and under_way and status.provisioned_at is None
        size = instance.settings.get("dataDiskSizeGb")
        ca = instance.ca_certificate
        return Observation(
            exists=True,
            ownership=_whose(resource, instance),
            busy=instance.busy or under_way,
            failed=instance.state in FAILED,
            ready=instance.serving and host is not None and not first_user,
            message=_message(instance, error),
            endpoint=Endpoint(host=host, port=PORTS[spec.engine]) if host is not None else None,
            drift=drift,
            engine_version=instance.engine_version,
            capacity={"storage": Quantity.parse(f"{int(size)}Gi")} if size else {},
            credentials=SecretData({"certificates": ca}) if ca is not None else None,
            credentials_applied=applied,
            details={
                **self._details(instance.state, operation=operation if under_way else None, error=error),
                "connection_name": instance.connection_name,
            },
        )

    def _details(
        self, state: str | None, *, operation: Operation | None = None, error: str | None = None
    ) -> Mapping[str, Any]:
        return {
            "project": self._admin.project,
            "instance_state": state,
            "operation": (operation.name or None) if operation is not None else None,
            "operation_error": error[:_MAX_TEXT] if error else None,
        }


class CloudSQLDriverFactory:
    """``conductor_provisioner.DriverFactory``: a driver for a ProviderConfig's project, or for the environment's."""

    def __init__(self, environment: GoogleSettings) -> None:
        self._environment = environment

    async def open(self, account: Account) -> CloudSQLDriver:
        """Raises Refused where it is not known who we are, or in which project."""
        endpoint = account.endpoint or self._environment.endpoint
        role = getattr(account.settings.get("auth"), "role", None)
        who = await asyncio.to_thread(identity, endpoint, account.secret, role)
        project = account.account or self._environment.project or who.project
        if project is None:
            raise Refused(
                "Open",
                "Cloud SQL",
                "NoProject",
                "the project is not known: name it in a ProviderConfig, or set CONDUCTOR_GCP_PROJECT",
            )
        return CloudSQLDriver(await asyncio.to_thread(Admin, project, account.calls, who, endpoint))

    async def close(self, driver: Driver[CloudSQLInstanceSpec, CloudSQLInstanceStatus]) -> None:
        """Nothing is held open between calls."""


def _whose(resource: CloudSQLResource, instance: Instance) -> Ownership:
    """By its labels. One that is being made may not show them yet; it is busy, so that it is left alone either way."""
    if instance.state == PENDING_CREATE and not instance.labels:
        return Ownership.OURS
    return ownership(resource.owner, instance.labels)


def _login(credentials: SecretData | None) -> tuple[str, str]:
    if credentials is None:
        raise Transient(
            "Authenticate", "the instance", "NoCredentials", "there are no credentials for it yet"
        )
    return credentials["username"], credentials["password"]


def _under_way(observed: CloudSQLObservation, operation: Operation) -> CloudSQLObservation:
    if operation.done and operation.error is not None:
        raise Transient("Operation", operation.name, "OperationFailed", operation.error)
    details = {
        **observed.details,
        "operation": None if operation.done else operation.name or None,
        "operation_error": None,
    }
    return replace(observed, busy=not operation.done, details=details)


def _failed(action: str, name: str, error: str) -> Terminal:
    return Terminal(action, name, "OperationFailed", error, reason="OperationFailed")


def _message(instance: Instance, error: str | None) -> str:
    state = ", ".join((instance.state, *instance.suspension_reasons))
    text = f"Cloud SQL instance {instance.name} is {'stopped by its owner' if instance.stopped else state}"
    return f"{text}: {error}" if error is not None else text

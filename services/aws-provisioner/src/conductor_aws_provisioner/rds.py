"""The driver for Amazon RDS over boto3.

boto3 blocks, so its calls run in the threads of ``Account.calls``; nothing waits in one of them but a call under way.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from conductor_aws_provisioner import db_states
from conductor_aws_provisioner.decide import (
    Delete,
    Modify,
    corrections_of,
    deletion_of,
    drift_of,
    elsewhere,
    new_instance,
)
from conductor_aws_provisioner.external import NOTHING, Configuration, MasterCredentials, Observed
from conductor_aws_provisioner.names import ownership_of
from conductor_aws_provisioner.session import AwsSession, account_id, check_account, sorted_error
from conductor_model.concrete import Endpoint
from conductor_model.quantity import Quantity
from conductor_model.rds import RDSInstanceSpec, RDSInstanceStatus
from conductor_provisioner import (
    Account,
    CredentialsFrom,
    Observation,
    Ownership,
    Refused,
    Resource,
    SecretData,
    Tagged,
)
from conductor_provisioner.driver import CLUSTER_TAG, UID_TAG

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_rds.type_defs import TagTypeDef

PENDING_SECONDS = 10.0
"""After which a change that RDS has accepted, and not begun, is looked at again."""
_ACCOUNT_IN_ARN = 4

_PARAMETERS: Mapping[str, str] = {
    "instance_type": "DBInstanceClass",
    "allocated_storage": "AllocatedStorage",
    "multizone": "MultiAZ",
    "backup_retention_period": "BackupRetentionPeriod",
    "deletion_protection": "DeletionProtection",
    "security_groups": "VpcSecurityGroupIds",
    "parameter_group": "DBParameterGroupName",
    "publicly_accessible": "PubliclyAccessible",
    "storage_type": "StorageType",
    "iops": "Iops",
    "engine_version": "EngineVersion",
}
"""The parameters of CreateDBInstance and ModifyDBInstance, which call these the same."""

_NOT_FOUND = frozenset({"DBInstanceNotFound", "DBInstanceNotFoundFault"})

_T = TypeVar("_T")
_Wanted = Resource[RDSInstanceSpec, RDSInstanceStatus]
_Seen = Observation[RDSInstanceStatus]


@dataclass(frozen=True, slots=True, kw_only=True)
class RDSObservation(Observation[RDSInstanceStatus]):
    """With the instance as RDS describes it."""

    instance: Observed


class RDSDriver:
    """``driver.Driver`` for the DB instances of one account and region."""

    credentials_from = CredentialsFrom.CONDUCTOR
    recreates = False

    def __init__(self, account: Account, session: AwsSession) -> None:
        self._calls = account.calls
        self._session = session
        self._client: RDSClient = session.client("rds")
        self._account = account.account

    @property
    def region(self) -> str:
        """Where it looks: what is elsewhere is neither there nor gone."""
        return self._client.meta.region_name

    async def observe(self, resource: _Wanted) -> _Seen:
        name, arn = resource.external_name, resource.status.arn
        self._refuse_elsewhere(name, arn)
        found = await self._call("DescribeDBInstances", name, lambda: self._describe(name))
        if found is None and arn is not None and self._account is None:
            self._account = await self._call("GetCallerIdentity", "AWS", lambda: account_id(self._session))
        self._refuse_elsewhere(name, arn)
        if found is None:
            return Observation(exists=False, details={"instance_status": None})
        return _seen(resource, found)

    async def create(self, resource: _Wanted) -> _Seen:
        new = new_instance(resource.external_name, resource.spec, resource.owner)
        credentials = _master(resource)
        request = {
            "DBInstanceIdentifier": new.identifier,
            "Engine": new.engine,
            "MasterUsername": credentials.username,
            "MasterUserPassword": credentials.password,
            "StorageEncrypted": new.storage_encrypted,
            "CopyTagsToSnapshot": True,
            "Tags": _tag_list(new.tags),
            **_parameters(new.configuration),
            **({"DBSubnetGroupName": new.subnet_group} if new.subnet_group is not None else {}),
            **({"KmsKeyId": new.kms_key_id} if new.kms_key_id is not None else {}),
        }
        made = await self._call(
            "CreateDBInstance",
            new.identifier,
            lambda: self._known(self._client.create_db_instance(**request)["DBInstance"]),
            hidden=credentials.password,
        )
        return _seen(replace(resource, credentials_applied=True), made)

    async def update(self, resource: _Wanted, observed: _Seen) -> _Seen:
        name = resource.external_name
        found = observed.instance if isinstance(observed, RDSObservation) else None
        if found is None:
            return await self.observe(resource)
        new = None if resource.credentials_applied else _master(resource)
        corrections = corrections_of(resource.spec, resource.owner, new, found)
        if corrections.tags:
            arn, tags = found.arn, _tag_list(corrections.tags)
            await self._call(
                "AddTagsToResource",
                arn,
                lambda: self._client.add_tags_to_resource(ResourceName=arn, Tags=tags),
            )
            found = replace(found, tags={**found.tags, **corrections.tags})
        if corrections.modify is None:
            return _seen(resource, found)
        modified = await self._modify(name, corrections.modify)
        applied = resource.credentials_applied or corrections.modify.credentials is not None
        answer = replace(modified, tags=found.tags)
        return _seen(replace(resource, credentials_applied=applied), answer)

    async def delete(self, resource: _Wanted, observed: _Seen) -> None:
        name = resource.external_name
        if not isinstance(observed, RDSObservation):
            return
        request = deletion_of(resource.spec, observed.instance)
        if isinstance(request, Modify):
            await self._modify(name, request)
            return
        await self._delete(name, request)

    async def release(self, resource: _Wanted, observed: _Seen) -> None:
        """Take our tags off: another object may be given it then."""
        if not isinstance(observed, RDSObservation):
            return
        arn, keys = observed.instance.arn, sorted(resource.owner.tags)
        await self._call(
            "RemoveTagsFromResource",
            arn,
            lambda: self._client.remove_tags_from_resource(ResourceName=arn, TagKeys=keys),
        )

    async def tagged(self, cluster_id: str) -> AsyncIterator[Tagged]:
        """The DB instances with our cluster's tag."""
        marker: str | None = ""
        while marker is not None:
            found, marker = await self._call("DescribeDBInstances", "all", partial(self._page, marker))
            for each in found:
                if each.tags.get(CLUSTER_TAG) == cluster_id:
                    uid = each.tags.get(UID_TAG, "")
                    yield Tagged(each.identifier, uid, f"DB instance {each.arn}, {each.status}")

    def _page(self, marker: str) -> tuple[list[Observed], str | None]:
        """Instances, and where the next page begins."""
        client = self._client
        answer = client.describe_db_instances(Marker=marker) if marker else client.describe_db_instances()
        return [_observed(each) for each in answer["DBInstances"]], answer.get("Marker") or None

    def _describe(self, name: str) -> Observed | None:
        try:
            answer = self._client.describe_db_instances(DBInstanceIdentifier=name)
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_FOUND:
                return None
            raise
        return self._known(answer["DBInstances"][0])

    async def _modify(self, name: str, request: Modify) -> Observed:
        changes, credentials = request.changes, request.credentials
        parameters = {
            "DBInstanceIdentifier": name,
            "ApplyImmediately": True,
            **_parameters(changes),
            **({"AllowMajorVersionUpgrade": True} if changes.engine_version is not None else {}),
            **({"MasterUserPassword": credentials.password} if credentials is not None else {}),
        }
        return await self._call(
            "ModifyDBInstance",
            name,
            lambda: self._known(self._client.modify_db_instance(**parameters)["DBInstance"]),
            hidden=credentials.password if credentials is not None else None,
        )

    async def _delete(self, name: str, request: Delete) -> None:
        last = (
            {"SkipFinalSnapshot": True}
            if request.snapshot is None
            else {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": request.snapshot.identifier}
        )

        def delete() -> None:
            try:
                self._client.delete_db_instance(DBInstanceIdentifier=name, **last)
            except ClientError as error:
                # Somebody else's deletion was quicker.
                if error.response["Error"]["Code"] not in _NOT_FOUND:
                    raise

        await self._call("DeleteDBInstance", name, delete)

    def _refuse_elsewhere(self, name: str, arn: str | None) -> None:
        problem = elsewhere(name, arn, self.region, self._account)
        if problem is not None:
            raise Refused("DescribeDBInstances", name, "Elsewhere", problem, reason="Elsewhere")

    def _known(self, answer: Mapping[str, Any]) -> Observed:
        observed = _observed(answer)
        self._account = self._account or observed.arn.split(":")[_ACCOUNT_IN_ARN]
        return observed

    async def _call(
        self, action: str, target: str, call: Callable[[], _T], *, hidden: str | None = None
    ) -> _T:
        """One call, with its errors sorted and ``hidden`` left out."""

        def sorting() -> _T:
            try:
                return call()
            except (ClientError, BotoCoreError) as error:
                # The cause is cut off: its text is what `hidden` was taken out of.
                raise sorted_error(action, target, error, hidden) from None

        return await self._calls.blocking(action, target, sorting)


class RDSDrivers:
    """``driver.DriverFactory`` for RDS."""

    async def open(self, account: Account) -> RDSDriver:
        """Raises Refused for an account that is not the expected one, or whose credentials are not there."""
        session = AwsSession(account)
        driver = RDSDriver(account, session)
        if account.account is not None:
            await check_account(account, session)
        return driver

    async def close(self, driver: Any) -> None:
        """Nothing is held: a call under way ends by itself, within its timeout."""


def _seen(resource: _Wanted, found: Observed) -> RDSObservation:
    status = found.status
    settled = status in db_states.SETTLED
    ready = status in db_states.SERVING and found.endpoint is not None
    failed = status in db_states.FAILED
    hint = ": see its events in the RDS console" if failed else ""
    storage = found.current.allocated_storage
    ownership = ownership_of(resource.owner, found.tags)
    poll_after = None
    if settled:
        poll_after = PENDING_SECONDS if found.pending != NOTHING else None if ready else math.inf
    return RDSObservation(
        exists=True,
        ownership=ownership,
        busy=not settled,
        failed=failed,
        ready=ready,
        message=f"DB instance {found.identifier} is {status}{hint}",
        endpoint=found.endpoint,
        drift=_drift(resource, ownership, found),
        engine_version=found.current.engine_version,
        capacity={"storage": Quantity.parse(f"{storage}Gi")} if storage else {},
        credentials_applied=resource.credentials_applied,
        details={"instance_status": status, "arn": found.arn},
        poll_after=poll_after,
        instance=found,
    )


def _drift(resource: _Wanted, ownership: Ownership, found: Observed) -> Any:
    if ownership is Ownership.ANOTHERS:
        return ()
    return drift_of(resource.spec, resource.owner, resource.credentials, found)


def _master(resource: _Wanted) -> MasterCredentials:
    credentials = resource.credentials or SecretData({})
    return MasterCredentials(credentials["username"], credentials["password"])


def _parameters(configuration: Configuration) -> dict[str, Any]:
    return {
        _PARAMETERS[name]: sorted(value) if isinstance(value, frozenset) else value
        for name, value in configuration.asked_for.items()
    }


def _tag_list(tags: Mapping[str, str]) -> list[TagTypeDef]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _observed(answer: Mapping[str, Any]) -> Observed:
    """Of a DBInstance of the API; a field that RDS leaves out is None, or its documented default."""
    endpoint = answer.get("Endpoint") or {}
    host, port = endpoint.get("Address"), endpoint.get("Port")
    pending = answer.get("PendingModifiedValues") or {}
    groups = answer.get("DBParameterGroups") or []
    return Observed(
        identifier=answer["DBInstanceIdentifier"],
        arn=answer["DBInstanceArn"],
        status=answer["DBInstanceStatus"],
        engine=answer["Engine"],
        master_username=answer.get("MasterUsername", ""),
        tags={tag["Key"]: tag.get("Value", "") for tag in answer.get("TagList") or []},
        endpoint=Endpoint(host=host, port=port) if host and port else None,
        storage_encrypted=answer.get("StorageEncrypted", False),
        subnet_group=(answer.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
        current=Configuration(
            instance_type=answer.get("DBInstanceClass"),
            allocated_storage=answer.get("AllocatedStorage"),
            multizone=answer.get("MultiAZ", False),
            backup_retention_period=answer.get("BackupRetentionPeriod"),
            deletion_protection=answer.get("DeletionProtection", False),
            security_groups=frozenset(
                group["VpcSecurityGroupId"] for group in answer.get("VpcSecurityGroups") or []
            ),
            parameter_group=groups[0]["DBParameterGroupName"] if groups else None,
            publicly_accessible=answer.get("PubliclyAccessible", False),
            storage_type=answer.get("StorageType"),
            iops=answer.get("Iops"),
            engine_version=answer.get("EngineVersion"),
        ),
        pending=Configuration(
            instance_type=pending.get("DBInstanceClass"),
            allocated_storage=pending.get("AllocatedStorage"),
            multizone=pending.get("MultiAZ"),
            backup_retention_period=pending.get("BackupRetentionPeriod"),
            storage_type=pending.get("StorageType"),
            iops=pending.get("Iops"),
            engine_version=pending.get("EngineVersion"),
        ),
    )

"""The driver for Amazon RDS over boto3.

boto3 blocks, so its calls run in a pool of few threads; nothing waits in one of them but a call under way. Retries
belong to the reconciler, which survives a crash, and not to botocore. After a throttled answer no call leaves before
the delay has passed, whichever object it is for: AWS counts calls by account.

Region and credentials come from boto3's default chain, and the endpoint from AWS_ENDPOINT_URL if it is set.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from opentelemetry import trace

from conductor_aws_provisioner.errors import Answer, AwsError, Refused, Throttled, Transient, sort
from conductor_aws_provisioner.external import (
    Configuration,
    FinalSnapshot,
    MasterCredentials,
    NewInstance,
    Observed,
)
from conductor_aws_provisioner.metrics import Metrics
from conductor_model.concrete import Endpoint

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_rds.type_defs import TagTypeDef

MAX_CALLS = 16
"""Calls under way at once: the threads, and the connections that they share."""
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 30
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


class RDSDriver:
    """``external.Driver`` for the DB instances of one account and region."""

    def __init__(self, client: RDSClient, metrics: Metrics, tracer: trace.Tracer) -> None:
        self._client = client
        self._metrics = metrics
        self._tracer = tracer
        self._threads = ThreadPoolExecutor(MAX_CALLS, thread_name_prefix="rds")
        self._quiet_until = 0.0
        self._account: str | None = None

    @classmethod
    def open(cls, metrics: Metrics, tracer: trace.Tracer, *, region: str | None = None) -> RDSDriver:
        """A driver configured by the environment; ``region``, if given, wins. Raises Refused when there is none."""
        _keep_request_bodies_out_of_logs()
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            max_pool_connections=MAX_CALLS,
            retries={"total_max_attempts": 1, "mode": "standard"},
            user_agent_extra="conductor-aws-provisioner",
        )
        try:
            return cls(boto3.client("rds", region_name=region, config=config), metrics, tracer)
        except NoRegionError as error:
            hint = "set AWS_REGION, or a region in the AWS configuration file"
            raise Refused("open", "Amazon RDS", "NoRegion", f"{error} {hint}") from error

    @property
    def region(self) -> str:
        return self._client.meta.region_name

    @property
    def account(self) -> str | None:
        return self._account

    def close(self) -> None:
        """Let no further call start. One under way ends by itself, within its timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def observe(self, identifier: str) -> Observed | None:
        def call() -> Observed | None:
            try:
                answer = self._client.describe_db_instances(DBInstanceIdentifier=identifier)
            except ClientError as error:
                if error.response["Error"]["Code"] in _NOT_FOUND:
                    return None
                raise
            return self._seen(answer["DBInstances"][0])

        return await self._call("DescribeDBInstances", identifier, call)

    async def create(self, new: NewInstance, credentials: MasterCredentials) -> Observed:
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
        return await self._call(
            "CreateDBInstance",
            new.identifier,
            lambda: self._seen(self._client.create_db_instance(**request)["DBInstance"]),
            hidden=credentials.password,
        )

    async def modify(
        self, identifier: str, changes: Configuration, credentials: MasterCredentials | None
    ) -> Observed:
        request = {
            "DBInstanceIdentifier": identifier,
            "ApplyImmediately": True,
            **_parameters(changes),
            **({"AllowMajorVersionUpgrade": True} if changes.engine_version is not None else {}),
            **({"MasterUserPassword": credentials.password} if credentials is not None else {}),
        }
        return await self._call(
            "ModifyDBInstance",
            identifier,
            lambda: self._seen(self._client.modify_db_instance(**request)["DBInstance"]),
            hidden=credentials.password if credentials is not None else None,
        )

    async def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        await self._call(
            "AddTagsToResource",
            arn,
            lambda: self._client.add_tags_to_resource(ResourceName=arn, Tags=_tag_list(tags)),
        )

    async def delete(self, identifier: str, snapshot: FinalSnapshot | None) -> None:
        last = (
            {"SkipFinalSnapshot": True}
            if snapshot is None
            else {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": snapshot.identifier}
        )
        await self._call(
            "DeleteDBInstance",
            identifier,
            lambda: self._client.delete_db_instance(DBInstanceIdentifier=identifier, **last),
        )

    def _seen(self, answer: Mapping[str, Any]) -> Observed:
        observed = _observed(answer)
        self._account = observed.arn.split(":")[_ACCOUNT_IN_ARN]
        return observed

    async def _call(
        self, action: str, identifier: str, call: Callable[[], _T], *, hidden: str | None = None
    ) -> _T:
        """One call in a thread of its own, in a span of its own, with its errors sorted and ``hidden`` left out."""
        quiet = self._quiet_until - monotonic()
        if quiet > 0:
            raise Throttled(action, identifier, "Throttled", "waiting as AWS asked", retry_after=quiet)
        region = self._client.meta.region_name
        attributes = {"aws.region": region, "aws.rds.db_identifier": identifier}
        started = perf_counter()
        outcome = "Cancelled"
        with self._tracer.start_as_current_span(
            f"rds {action}", kind=trace.SpanKind.CLIENT, attributes=attributes
        ) as span:
            try:
                result = await asyncio.get_running_loop().run_in_executor(self._threads, call)
                outcome = "OK"
                return result
            except (ClientError, BotoCoreError) as error:
                sorted_error = _sorted(action, identifier, error, hidden)
                outcome = sorted_error.code
                span.set_attribute("error.type", outcome)
                if isinstance(sorted_error, Throttled):
                    self._quiet_until = max(self._quiet_until, monotonic() + sorted_error.retry_after)
                # The cause is cut off: its text is what `hidden` was taken out of.
                raise sorted_error from None
            finally:
                self._metrics.external_call(action, outcome, perf_counter() - started)


def _sorted(action: str, identifier: str, error: ClientError | BotoCoreError, hidden: str | None) -> AwsError:
    def clean(text: str) -> str:
        return text.replace(hidden, "***") if hidden else text

    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        metadata = error.response.get("ResponseMetadata")
        return sort(
            action,
            identifier,
            Answer(
                code=details.get("Code", "Unknown"),
                message=clean(details.get("Message", str(error))),
                http_status=metadata["HTTPStatusCode"] if metadata else 0,
                headers=metadata["HTTPHeaders"] if metadata else {},
            ),
        )
    kind = Refused if isinstance(error, NoCredentialsError) else Transient
    return kind(action, identifier, type(error).__name__, clean(str(error)))


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


def _keep_request_bodies_out_of_logs() -> None:
    """At DEBUG, botocore and urllib3 log request bodies, and a create's carries the master password."""
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.INFO)

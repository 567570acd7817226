"""The drivers of RDS and S3 keep a driver's promises, against moto with instances that take their time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import pytest

from conductor_aws_provisioner.rds import RDSDriver, RDSDrivers
from conductor_aws_provisioner.s3 import S3Driver, S3Drivers
from conductor_aws_provisioner.s3_user import BUCKET_TAG
from conductor_aws_provisioner.session import AwsSession
from conductor_dev import moto_faults
from conductor_dev.aws import REGION, Moto
from conductor_model import rds, s3bucket
from conductor_model.bucket import ACCESS_KEY_ID
from conductor_provisioner import Account
from conductor_provisioner.conformance import Conformance, Fault, StandIn, Subject
from conductor_provisioner.driver import Owner, SecretData

FOR_EVER = 100_000.0
FAULTS = {Fault.THROTTLED: moto_faults.Fault.THROTTLED, Fault.OUTAGE: moto_faults.Fault.OUTAGE, None: None}
T = TypeVar("T")


class Rds(StandIn):
    """moto, by boto3 and by what conductor_dev adds to it."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self._rds = moto.rds()
        moto.set_rds_delay(FOR_EVER)

    async def settle(self) -> None:
        await self._ask(self._settle)

    async def external(self) -> Sequence[str]:
        found = await self._ask(self._rds.describe_db_instances)
        return [each["DBInstanceIdentifier"] for each in found["DBInstances"]]

    async def vanish(self, name: str) -> None:
        def vanish() -> None:
            self._settle()
            self._rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
            self._settle()

        await self._ask(vanish)

    async def alter(self, name: str) -> str:
        def alter() -> None:
            self._rds.modify_db_instance(
                DBInstanceIdentifier=name, BackupRetentionPeriod=1, ApplyImmediately=True
            )
            self._settle()

        await self._ask(alter)
        return "backupRetentionPeriod"

    async def foreign(self, name: str, owner: Owner | None) -> None:
        def make() -> None:
            self._rds.create_db_instance(
                DBInstanceIdentifier=name,
                DBInstanceClass="db.t3.small",
                Engine="mysql",
                AllocatedStorage=20,
                MasterUsername="conductor",
                MasterUserPassword="theirs-alone",
                Tags=[{"Key": key, "Value": value} for key, value in (owner.tags if owner else {}).items()],
            )
            self._settle()

        await self._ask(make)

    async def fault(self, fault: Fault | None) -> None:
        await self._ask(lambda: self._moto.set_fault(FAULTS[fault]))

    async def accepts(self, name: str, credentials: SecretData) -> bool:
        user, password = credentials["username"], credentials["password"]
        return await self._ask(lambda: self._moto.opens(name, user, password))

    def _settle(self) -> None:
        self._moto.set_rds_delay(0)
        self._moto.set_rds_delay(FOR_EVER)

    @staticmethod
    async def _ask(question: Callable[[], T]) -> T:
        return await asyncio.to_thread(question)


class S3(StandIn):
    """moto, where buckets and users come and go at once."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self._s3, self._iam = moto.client("s3"), moto.client("iam")

    async def settle(self) -> None:
        pass

    async def external(self) -> Sequence[str]:
        found = await self._ask(self._s3.list_buckets)
        return [each["Name"] for each in found["Buckets"]]

    async def residue(self) -> Sequence[str]:
        """Users whose bucket is not there."""
        buckets = await self.external()

        def ask() -> list[str]:
            names = [each["UserName"] for each in self._iam.list_users()["Users"]]
            tags = {name: self._iam.list_user_tags(UserName=name)["Tags"] for name in names}
            return [
                name
                for name in names
                if not any(tag["Key"] == BUCKET_TAG and tag["Value"] in buckets for tag in tags[name])
            ]

        return await self._ask(ask)

    async def vanish(self, name: str) -> None:
        await self._ask(lambda: self._s3.delete_bucket(Bucket=name))

    async def alter(self, name: str) -> str:
        await self._ask(lambda: self._s3.delete_public_access_block(Bucket=name))
        return "blockPublicAccess"

    async def foreign(self, name: str, owner: Owner | None) -> None:
        tags = [{"Key": key, "Value": value} for key, value in (owner.tags if owner else {}).items()]

        def make() -> None:
            self._s3.create_bucket(Bucket=name)
            if tags:
                self._s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})

        await self._ask(make)

    async def fault(self, fault: Fault | None) -> None:
        await self._ask(lambda: self._moto.set_fault(FAULTS[fault]))

    async def accepts(self, name: str, credentials: SecretData) -> bool:
        """Whether the key is one of the bucket's user, who may use the bucket."""

        def ask() -> bool:
            users = [each["UserName"] for each in self._iam.list_users()["Users"]]
            return any(
                key["AccessKeyId"] == credentials[ACCESS_KEY_ID] and key["Status"] == "Active"
                for user in users
                if name
                in str(self._iam.get_user_policy(UserName=user, PolicyName="bucket")["PolicyDocument"])
                for key in self._iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
            )

        return await self._ask(ask)

    @staticmethod
    async def _ask(question: Callable[[], T]) -> T:
        return await asyncio.to_thread(question)


class OneSession(AwsSession):
    """A client takes boto3 a fifth of a second to make, and holds nothing that a process could forget."""

    @cache  # noqa: B019 - it lives as long as the test
    def client(self, service: str, *, region: str | None = None) -> Any:
        return super().client(service, region=region)


class Drivers(RDSDrivers):
    """Of processes that share a session."""

    def __init__(self) -> None:
        self._session: OneSession | None = None

    async def open(self, account: Account) -> RDSDriver:
        self._session = self._session or OneSession(account)
        return RDSDriver(account, self._session)


class BucketDrivers(S3Drivers):
    """Of processes that share a session."""

    def __init__(self) -> None:
        self._session: OneSession | None = None

    async def open(self, account: Account) -> S3Driver:
        self._session = self._session or OneSession(account)
        return S3Driver(account, self._session)


@pytest.mark.integration
class TestRDS(Conformance):
    @pytest.fixture
    def subject(self, moto: Moto) -> Subject:
        return Subject(
            driver="RDSInstance",
            kind=rds.KIND,
            factory=Drivers(),
            stand_in=Rds(moto),
            account={
                "region": REGION,
                "endpoint": moto.url,
                "secret": SecretData({"accessKeyId": "testing", "secretAccessKey": "testing"}),
            },
            spec={
                "engine": "mysql",
                "instance-type": "db.t3.micro",
                "allocatedStorage": 20,
                "backupRetentionPeriod": 7,
                "skipFinalSnapshot": True,
            },
            changed={"allocatedStorage": 30},
            invalid={"parameterGroup": "there-is-none"},
            sample=4,
        )


@pytest.mark.integration
class TestS3(Conformance):
    @pytest.fixture
    def subject(self, moto: Moto) -> Subject:
        return Subject(
            driver="S3Bucket",
            kind=s3bucket.KIND,
            factory=BucketDrivers(),
            stand_in=S3(moto),
            account={
                "region": REGION,
                "endpoint": moto.url,
                "secret": SecretData({"accessKeyId": "testing", "secretAccessKey": "testing"}),
            },
            spec={"versioning": True},
            changed={"versioning": False, "tags": {"team": "a"}},
            invalid={
                "encryption": "SSE-KMS",
                "kmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/in-another-region",
            },
            sample=6,
        )

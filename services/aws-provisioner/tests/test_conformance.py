"""The RDS driver keeps a driver's promises, against moto with instances that take their time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import pytest

from conductor_aws_provisioner.rds import RDSDriver, RDSDrivers
from conductor_aws_provisioner.session import AwsSession
from conductor_dev import moto_faults
from conductor_dev.aws import REGION, Moto
from conductor_model.rds import KIND
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


class OneSession(AwsSession):
    """A client takes boto3 a fifth of a second to make, and holds nothing that a process could forget."""

    @cache  # noqa: B019 - it lives as long as the test
    def client(self, service: str) -> Any:
        return super().client(service)


class Drivers(RDSDrivers):
    """Of processes that share a session."""

    def __init__(self) -> None:
        self._session: OneSession | None = None

    async def open(self, account: Account) -> RDSDriver:
        self._session = self._session or OneSession(account)
        return RDSDriver(account, self._session)


@pytest.mark.integration
class TestRDS(Conformance):
    @pytest.fixture
    def subject(self, moto: Moto) -> Subject:
        return Subject(
            driver="RDSInstance",
            kind=KIND,
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

"""The conformance suite on the Cloud SQL driver, against the stand-in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from conductor_dev.cloudsql.client import CloudSqlClient
from conductor_dev.cloudsql.faults import Fault as CloudFault
from conductor_dev.cloudsql.faults import Trouble, throttling
from conductor_dev.cloudsql.instances import Call, insert
from conductor_dev.cloudsql.server import CloudSqlApi, served
from conductor_gcp_provisioner.driver import CloudSQLDriverFactory
from conductor_gcp_provisioner.labels import owner_labels
from conductor_gcp_provisioner.settings import GoogleSettings
from conductor_model.cloudsql import KIND
from conductor_provisioner.conformance import Conformance, Fault, StandIn, Subject
from conductor_provisioner.driver import Owner, SecretData

from .conftest import PROJECT
from .dialects import PREFIX, Dialect, Late, Terse

SPEC: Mapping[str, Any] = {
    "databaseVersion": "MYSQL_8_0",
    "tier": "db-n1-standard-1",
    "region": "us-west2",
    "diskSize": 20,
}


class CloudSqlStandIn(StandIn):
    """The stand-in's state, taken by the hand."""

    def __init__(self, cloud: CloudSqlApi, project: str) -> None:
        self._cloud = cloud
        self._name = project

    async def settle(self) -> None:
        self._cloud.project(self._name).settle(0)

    async def external(self) -> Sequence[str]:
        return list(self._cloud.project(self._name).instances)

    async def vanish(self, name: str) -> None:
        self._cloud.project(self._name).remove(name)

    async def alter(self, name: str) -> str:
        self._cloud.project(self._name).instance(name).settings["tier"] = "db-n1-highmem-2"
        return "tier"

    async def foreign(self, name: str, owner: Owner | None) -> None:
        project = self._cloud.project(self._name)
        labels = dict(owner_labels(owner)) if owner is not None else {}
        body = {
            "name": name,
            "region": SPEC["region"],
            "databaseVersion": SPEC["databaseVersion"],
            "settings": {
                "tier": SPEC["tier"],
                "dataDiskSizeGb": str(SPEC["diskSize"]),
                "userLabels": labels,
            },
        }
        insert(Call(project, {}, {}, body))
        project.settle(0)

    async def fault(self, fault: Fault | None) -> None:
        self._cloud.faults.faults.clear()
        if fault is Fault.THROTTLED:
            self._cloud.faults.faults.append(throttling(times=None, retry_after=3))
        elif fault is Fault.OUTAGE:
            self._cloud.faults.faults.append(CloudFault(Trouble.REFUSE, times=None))

    async def accepts(self, name: str, credentials: SecretData) -> bool:
        instance = self._cloud.project(self._name).instance(name)
        host = "%" if instance.is_mysql else ""
        known = instance.passwords.get((credentials["username"], host))
        return known is not None and known == credentials["password"]


class TestCloudSQL(Conformance):
    @pytest.fixture
    def subject(self, cloud: CloudSqlApi, google: CloudSqlClient) -> Subject:
        return subject_at(google.url, "CloudSQLInstance", cloud)


class _Elsewhere(Conformance):
    """Nothing but the endpoint is another."""

    dialect: type[Dialect]

    @pytest.fixture
    def subject(self, cloud: CloudSqlApi) -> Iterator[Subject]:
        with served(self.dialect(cloud)) as url:
            name = f"CloudSQLInstance, {self.dialect.__name__.lower()} API"
            yield subject_at(f"{url}{PREFIX}", name, cloud, sample=6)


class TestCloudSQLThatSaysLittle(_Elsewhere):
    dialect = Terse


class TestCloudSQLThatIsLate(_Elsewhere):
    dialect = Late


def subject_at(url: str, driver: str, cloud: CloudSqlApi, sample: int | None = None) -> Subject:
    return Subject(
        driver=driver,
        kind=KIND,
        factory=CloudSQLDriverFactory(GoogleSettings()),
        stand_in=CloudSqlStandIn(cloud, PROJECT),
        spec=SPEC,
        changed={"tier": "db-n1-standard-2"},
        invalid={"tier": "db-huge"},
        account={"account": PROJECT, "endpoint": url},
        sample=sample,
    )

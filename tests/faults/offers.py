"""What the administrator offers: a class of databases in each of three clouds, and what is there of them outside.

Each offer looks into its cloud itself, with clients of its own: neither the faults nor the throttling of the services'
calls are theirs.
"""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from base64 import b64decode
from collections import Counter
from typing import Any, ClassVar

import boto3
import psycopg
from plan import Place
from psycopg import sql

from conductor_dev.api import SECRET, Json
from conductor_dev.cloudsql.faults import Fault, Trouble, throttling
from conductor_dev.environment import NAMESPACE, Environment
from conductor_dev.gcp import PROJECT
from conductor_dev.moto_faults import Fault as AwsFault
from conductor_model.kinds import (
    CLOUDSQL_INSTANCE,
    MYSQL_INSTANCE,
    POSTGRESQL_INSTANCE,
    PROVIDER_CONFIG,
    RDS_INSTANCE,
    RESOURCE_CLASS,
    SQL_DATABASE,
)
from conductor_model.refs import ResourceType

UID_TAG = "conductor.io/concrete-uid"
UID_LABEL = "conductor-concrete-uid"
NOBODY = "nobody"
_LOGIN_WITHIN = 30
_ALL_BUT_OURS = "*.[!l]*"
"""All methods but those that list, by which the suite looks on."""


class Offer(ABC):
    """A class, the kinds of its claims and its resources, and its cloud."""

    place: Place
    claim: ResourceType
    resource: ResourceType
    template: ClassVar[Json]
    version: str
    capabilities: ClassVar[Json] = {"capacity": {"storage": "20Gi"}}

    def __init__(self, env: Environment) -> None:
        self.env = env

    def manifest(self) -> Json:
        """The ResourceClass."""
        return {
            "apiVersion": RESOURCE_CLASS.gvk.api_version,
            "kind": RESOURCE_CLASS.gvk.kind,
            "metadata": {"name": self.place, "namespace": NAMESPACE},
            "capabilities": self.capabilities,
            "rebindPolicy": "Delete",
            "template": {
                "apiVersion": self.resource.gvk.api_version,
                "kind": self.resource.gvk.kind,
                "spec": self.template,
            },
        }

    def prepare(self) -> None:
        """Makes the class, and what must be there beside it."""
        self.env.api.create(RESOURCE_CLASS, NAMESPACE, self.manifest())

    @abstractmethod
    def outside(self) -> Counter[str]:
        """Uid of the resource that it says it stands for -> how many databases, of all that the cloud has."""

    @abstractmethod
    def opens(self, resource: Json, secret: Json) -> bool:
        """Whether an application can log in with what the claim's Secret holds."""

    @abstractmethod
    def change(self, days: int) -> Json:
        """A change of the spec that the cloud is to show."""

    def shows(self, resource: Json) -> bool:
        """Whether the cloud has what the spec says where ``change`` changes it."""
        return True

    def throttle(self, calls: int) -> None:
        """The services' next so many calls are refused as too many."""
        raise NotImplementedError(f"{self.place} lets everybody call as often as they like")

    @abstractmethod
    def fail(self) -> None:
        """The cloud answers nobody but us, until ``mend``."""

    def slow_down(self, seconds: float) -> None:
        """Creating, changing and deleting take so long from now on."""
        raise NotImplementedError(f"{self.place} takes no longer for anything")

    @abstractmethod
    def mend(self) -> None:
        """It works, and at once."""


class Rds(Offer):
    place = Place.AWS
    claim = MYSQL_INSTANCE
    resource = RDS_INSTANCE
    version = ">= 5.7"
    template: ClassVar[Json] = {
        "engine": "mysql",
        "version": "8.0",
        "instance-type": "db.t3.micro",
        "skipFinalSnapshot": True,
    }

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        given = {**env.moto.service_environment, "AWS_ACCESS_KEY_ID": "checker"}
        client: Any = boto3.client
        self._client = client(
            "rds",
            endpoint_url=given["AWS_ENDPOINT_URL"],
            region_name=given["AWS_REGION"],
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        )

    def outside(self) -> Counter[str]:
        pages = self._client.get_paginator("describe_db_instances").paginate()
        tags = (
            {tag["Key"]: tag["Value"] for tag in each["TagList"]}
            for page in pages
            for each in page["DBInstances"]
        )
        return Counter(each.get(UID_TAG, NOBODY) for each in tags)

    def opens(self, resource: Json, secret: Json) -> bool:
        return self.env.moto.opens(resource["status"]["externalName"], secret["username"], secret["password"])

    def change(self, days: int) -> Json:
        return {"backupRetentionPeriod": days}

    def shows(self, resource: Json) -> bool:
        wanted = resource["spec"].get("backupRetentionPeriod")
        [found] = self._client.describe_db_instances(DBInstanceIdentifier=resource["status"]["externalName"])[
            "DBInstances"
        ]
        return wanted is None or found["BackupRetentionPeriod"] == wanted

    def throttle(self, calls: int) -> None:
        self.env.moto.throttle(calls)

    def fail(self) -> None:
        self.env.moto.set_fault(AwsFault.OUTAGE, services_only=True)

    def slow_down(self, seconds: float) -> None:
        self.env.moto.set_rds_delay(seconds)

    def mend(self) -> None:
        self.env.moto.set_fault(None)
        self.env.moto.throttle(0)
        self.env.moto.set_rds_delay(0)


class CloudSql(Offer):
    place = Place.GCP
    claim = MYSQL_INSTANCE
    resource = CLOUDSQL_INSTANCE
    version = ">= 5.7"
    template: ClassVar[Json] = {
        "databaseVersion": "MYSQL_8_0",
        "tier": "db-n1-standard-1",
        "region": "us-west2",
    }

    def outside(self) -> Counter[str]:
        found: list[Json] = self.env.cloudsql.client("instances.list").get("items", [])
        return Counter(each["settings"].get("userLabels", {}).get(UID_LABEL, NOBODY) for each in found)

    def opens(self, resource: Json, secret: Json) -> bool:
        session = {
            "project": PROJECT,
            "instance": resource["status"]["externalName"],
            "user": secret["username"],
            "host": "%",
            "password": secret["password"],
        }
        accepted: bool = self.env.cloudsql.client.steer("sessions", session)["accepted"]
        return accepted

    def change(self, days: int) -> Json:
        return {"backup": {"enabled": True, "retainedBackups": days}}

    def throttle(self, calls: int) -> None:
        self._trouble(throttling(_ALL_BUT_OURS, times=calls))

    def fail(self) -> None:
        self._trouble(Fault(Trouble.REFUSE, _ALL_BUT_OURS, times=None))

    def slow_down(self, seconds: float) -> None:
        self.env.cloudsql.set_operation_seconds(seconds)

    def mend(self) -> None:
        self.env.cloudsql.client.steer("faults", method="DELETE")
        self.env.cloudsql.set_operation_seconds(0)

    def _trouble(self, fault: Fault) -> None:
        self.env.cloudsql.client.steer("faults", [vars(fault)])


class Server(Offer):
    """A PostgreSQL server that somebody runs."""

    place = Place.SERVER
    claim = POSTGRESQL_INSTANCE
    resource = SQL_DATABASE
    capabilities: ClassVar[Json] = {}
    version = ">= 14"
    template: ClassVar[Json] = {
        "engine": "postgres",
        "version": "18",
        "providerConfigRef": {"name": "server"},
    }

    def __init__(self, env: Environment, port: int) -> None:
        super().__init__(env)
        self._port = port
        """Of the proxy that everybody but us goes through."""

    def prepare(self) -> None:
        super().prepare()
        admin, password = "administrator", secrets.token_urlsafe(16)
        with self.env.postgres.connect() as connection:
            made = sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}")
            connection.execute(made.format(sql.Identifier(admin), sql.Literal(password)))
        metadata = {"name": "server", "namespace": NAMESPACE}
        credentials = {"username": admin, "password": password}
        self.env.api.create(
            SECRET,
            NAMESPACE,
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": credentials},
        )
        config = {
            "provider": "sql",
            "auth": {"source": "Secret", "secretRef": {"name": "server"}},
            # Kubernetes takes no loopback address for a Service's endpoint.
            "server": {"engine": "postgres", "host": "localhost", "port": self._port},
        }
        self.env.api.create(
            PROVIDER_CONFIG,
            NAMESPACE,
            {
                "apiVersion": PROVIDER_CONFIG.gvk.api_version,
                "kind": PROVIDER_CONFIG.gvk.kind,
                "metadata": metadata,
                "spec": config,
            },
        )

    def outside(self) -> Counter[str]:
        marked = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname !~ '^(template|postgres$)'"
        with self.env.postgres.connect() as connection:
            marks = [mark for (mark,) in connection.execute(marked).fetchall()]
        return Counter(json.loads(mark).get(UID_TAG, NOBODY) if mark else NOBODY for mark in marks)

    def roles(self) -> int:
        """How many roles there are that are not the server's own nor the administrator's."""
        counted = "SELECT count(*) FROM pg_roles WHERE rolname !~ '^(pg_|postgres$|administrator$)'"
        with self.env.postgres.connect() as connection:
            found = connection.execute(counted).fetchone()
        assert found is not None
        return int(found[0])

    def opens(self, resource: Json, secret: Json) -> bool:
        try:
            self.env.postgres.connect(
                secret["database"],
                user=secret["username"],
                password=secret["password"],
                connect_timeout=_LOGIN_WITHIN,
            ).close()
        except psycopg.OperationalError:
            return False
        return True

    def change(self, days: int) -> Json:
        return {"connectionLimit": days * 10}

    def shows(self, resource: Json) -> bool:
        wanted = resource["spec"].get("connectionLimit")
        with self.env.postgres.connect() as connection:
            limits = connection.execute(
                "SELECT datconnlimit FROM pg_database WHERE datname = %s",
                (resource["status"]["externalName"],),
            ).fetchall()
        return wanted is None or limits == [(wanted,)]

    def fail(self) -> None:
        self.env.postgres.kill()

    def mend(self) -> None:
        if not self.env.postgres.part.alive:
            self.env.postgres.start()


def plain(secret: Json) -> Json:
    """A Secret's data as text."""
    return {key: b64decode(value).decode() for key, value in secret.get("data", {}).items()}

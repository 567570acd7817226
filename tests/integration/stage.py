"""What the integration tests act with: claims, resources and classes on a running Conductor, and what the cloud holds."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from conductor_dev.api import NAMESPACE, SECRET, Json
from conductor_dev.environment import Environment
from conductor_dev.services import ServiceProcess
from conductor_dev.waiting import wait_until
from conductor_model.kinds import MYSQL_INSTANCE, POSTGRESQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS
from conductor_model.refs import ResourceType

SYSTEM = "conductor-system"
SERVICES = ("watcher", "scheduler", "aws-provisioner", "sql-provisioner", "secrets-writer")


@dataclass
class Stage:
    """One test's part of the session's environment: a namespace for its claims, names that nobody else uses."""

    env: Environment
    namespace: str
    tag: str = field(default_factory=lambda: uuid.uuid4().hex[:6])
    _made: list[tuple[ResourceType, str]] = field(default_factory=list)

    @classmethod
    def open(cls, env: Environment) -> Self:
        # What an earlier test retained stays in the account on purpose.
        env.moto.reset()
        stage = cls(env, f"team-{uuid.uuid4().hex[:8]}")
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stage.namespace}}
        env.api.create(NAMESPACE, None, body)
        return stage

    # What developers and administrators do.

    def claim(self, name: str, *, kind: ResourceType = MYSQL_INSTANCE, **spec: Any) -> Json:
        body = {
            "apiVersion": kind.gvk.api_version,
            "kind": kind.gvk.kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }
        return self.env.api.create(kind, self.namespace, body)

    def offer_class(self, name: str = "standard", *, policy: str = "Delete", **template: Any) -> str:
        """A class for MySQL, under a name of this test's own, which is returned."""
        full = f"{name}-{self.tag}"
        body = {
            "apiVersion": RESOURCE_CLASS.gvk.api_version,
            "kind": "ResourceClass",
            "metadata": {"name": full, "namespace": SYSTEM},
            "capabilities": {"capacity": {"storage": "20Gi"}},
            "rebindPolicy": policy,
            "template": {
                "apiVersion": RDS_INSTANCE.gvk.api_version,
                "kind": "RDSInstance",
                "spec": {
                    "engine": "mysql",
                    "version": "8.0",
                    "instance-type": "db.t3.micro",
                    "skipFinalSnapshot": True,
                    **template,
                },
            },
        }
        self.env.api.create(RESOURCE_CLASS, SYSTEM, body)
        self._made.append((RESOURCE_CLASS, full))
        return full

    def offer_rds(
        self,
        name: str = "rds",
        *,
        policy: str = "Retain",
        ready: bool = True,
        annotations: dict[str, str] | None = None,
        **spec: Any,
    ) -> str:
        """A static resource, under a name of this test's own, which is returned."""
        full = f"{name}-{self.tag}"
        body = {
            "apiVersion": RDS_INSTANCE.gvk.api_version,
            "kind": "RDSInstance",
            "metadata": {"name": full, "namespace": SYSTEM, "annotations": annotations or {}},
            "spec": {
                "engine": "mysql",
                "version": "8.0",
                "instance-type": "db.t3.micro",
                "rebindPolicy": policy,
                "resourceClass": f"static-{self.tag}",
                "skipFinalSnapshot": True,
                "capabilities": {"capacity": {"storage": "20Gi"}},
                **spec,
            },
        }
        self.env.api.create(RDS_INSTANCE, SYSTEM, body)
        self._made.append((RDS_INSTANCE, full))
        if ready:
            self.wait_resource(full, lambda found: condition(found, "Ready")["status"] == "True")
        return full

    # What runs.

    def service(self, name: str) -> ServiceProcess:
        return next(each for each in self.env.services if each.service.name == name)

    # What they see.

    def wait_claim(
        self,
        name: str,
        predicate: Callable[[Json], object],
        *,
        kind: ResourceType = MYSQL_INSTANCE,
        timeout: float = 60,
    ) -> Json:
        return self.env.api.wait_for(kind, self.namespace, name, predicate, timeout=timeout)

    def wait_ready(self, name: str, *, kind: ResourceType = MYSQL_INSTANCE, timeout: float = 60) -> Json:
        return self.wait_claim(
            name, lambda found: condition(found, "Ready")["status"] == "True", kind=kind, timeout=timeout
        )

    def wait_all_ready(self, count: int, *, timeout: float = 120) -> list[Json]:
        def all_ready() -> list[Json] | None:
            claims = self.claims()
            ready = [each for each in claims if condition(each, "Ready")["status"] == "True"]
            return claims if len(ready) == count else None

        return wait_until(f"{count} claims are Ready in {self.namespace}", all_ready, timeout=timeout)

    def wait_resource(self, name: str, predicate: Callable[[Json], object], *, timeout: float = 60) -> Json:
        return self.env.api.wait_for(RDS_INSTANCE, SYSTEM, name, predicate, timeout=timeout)

    def claims(self, kind: ResourceType = MYSQL_INSTANCE) -> list[Json]:
        return self.env.api.list(kind, self.namespace)

    def resources(self) -> list[Json]:
        """The resources that this test made, or that were made for its claims."""
        mine = {name for kind, name in self._made if kind is RDS_INSTANCE}
        return [
            each
            for each in self.env.api.list(RDS_INSTANCE, SYSTEM)
            if each["metadata"]["name"] in mine or self.namespace in _claim_namespaces(each)
        ]

    def secret(self, name: str) -> dict[str, str]:
        found = self.env.api.get(SECRET, self.namespace, name)
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    # What the cloud holds.

    def db_instances(self) -> dict[str, dict[str, str]]:
        """Every DB instance of the account with its tags, by a real boto3 call."""
        pages = self.env.aws.rds().get_paginator("describe_db_instances").paginate()
        return {
            each["DBInstanceIdentifier"]: {tag["Key"]: tag["Value"] for tag in each["TagList"]}
            for page in pages
            for each in page["DBInstances"]
        }

    def instances_of(self, resources: Iterable[Json]) -> dict[str, list[str]]:
        """The identifiers of the DB instances that carry each resource's uid in their tags."""
        found = self.db_instances()
        return {
            resource["metadata"]["name"]: [
                identifier
                for identifier, tags in found.items()
                if tags.get("conductor.io/concrete-uid") == resource["metadata"]["uid"]
            ]
            for resource in resources
        }

    # Cleaning up.

    def delete_claim(self, name: str, kind: ResourceType = MYSQL_INSTANCE) -> None:
        self.env.api.delete(kind, self.namespace, name)

    def delete_all_claims(self) -> None:
        for kind in (MYSQL_INSTANCE, POSTGRESQL_INSTANCE):
            for each in self.claims(kind):
                self.delete_claim(each["metadata"]["name"], kind)

    def close(self) -> None:
        """Leave nothing: claims, classes and resources of this test, with the DB instances of those with Delete."""
        for name in SERVICES:
            if not self.service(name).alive:
                self.service(name).start()
        self.env.moto.set_rds_delay(0)
        self.delete_all_claims()
        for kind, name in self._made:
            self.env.api.delete(kind, SYSTEM, name)
        wait_until("the test's resources are gone", lambda: not self._leftovers(), timeout=60)
        self.env.api.delete(NAMESPACE, None, self.namespace)

    def _leftovers(self) -> list[Json]:
        """What is left; what a test had Released is deleted on the way."""
        left = self.resources()
        for each in left:
            released = any("releasedAt" in ref for ref in each["spec"].get("claimRefs", []))
            if released and "deletionTimestamp" not in each["metadata"]:
                self.env.api.delete(RDS_INSTANCE, SYSTEM, each["metadata"]["name"])
        return left


def condition(found: Json, kind: str) -> dict[str, str]:
    """The condition of this type; one with the status "" when there is none yet."""
    for each in found.get("status", {}).get("conditions", []):
        if each["type"] == kind:
            return dict(each)
    return {"type": kind, "status": "", "reason": "", "message": ""}


def _claim_namespaces(resource: Json) -> set[str]:
    return {ref["namespace"] for ref in resource["spec"].get("claimRefs", [])}

"""A claim and the RDSInstance it is bound to: as models for the pure tests, on a real API server for the others."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from conductor_bus import Bus, BusConfig, Result, Work
from conductor_dev.api import CONFIG_MAP, SECRET, SERVICE, Json, KubeApi, objects_in
from conductor_dev.broker import Nats
from conductor_dev.controlplane import ControlPlane
from conductor_kube import EventRecorder, KubeClient, StatusWriter
from conductor_kube.builtin import ENDPOINT_SLICES
from conductor_model.databases import MySQLInstance
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE
from conductor_model.rds import RDSInstance
from conductor_model.refs import ObjectKey, ResourceType
from conductor_secrets_writer.config import Settings
from conductor_secrets_writer.handle import ClaimHandler, Parts
from conductor_secrets_writer.instruments import Instruments
from conductor_secrets_writer.memory import RecentWrites
from conductor_secrets_writer.publish import FIELD_MANAGER, ConnectionPublisher

BOUND_AT = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
RBAC_KINDS = {
    "Namespace",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
}

ClaimMaker = Callable[..., MySQLInstance]
ConcreteMaker = Callable[..., RDSInstance]


@pytest.fixture
def long_bound() -> datetime:
    """A time at which every grace is over."""
    return BOUND_AT + timedelta(hours=1)


@pytest.fixture
def make_claim() -> ClaimMaker:
    """A bound claim; keyword arguments replace parts of its metadata, spec and status."""

    def make(
        *,
        metadata: dict[str, Any] | None = None,
        spec: dict[str, Any] | None = None,
        status: dict[str, Any] | None = None,
        ready: str | None = None,
    ) -> MySQLInstance:
        since = BOUND_AT.isoformat()
        conditions = [{"type": "Bound", "status": "True", "reason": "Bound", "lastTransitionTime": since}]
        if ready is not None:
            conditions.append({"type": "Ready", "status": ready, "reason": "X", "lastTransitionTime": since})
        return MySQLInstance.model_validate(
            {
                "apiVersion": "storage.conductor.io/v1alpha1",
                "kind": "MySQLInstance",
                "metadata": {
                    "name": "orders",
                    "namespace": "shop",
                    "uid": "claim-1",
                    "generation": 3,
                    "creationTimestamp": since,
                    **(metadata or {}),
                },
                "spec": spec or {},
                "status": {
                    "conditions": conditions,
                    "boundResource": {
                        "apiVersion": "database.aws.conductor.io/v1alpha1",
                        "kind": "RDSInstance",
                        "namespace": "conductor-system",
                        "name": "rds-1",
                        "uid": "concrete-1",
                    },
                    **(status or {}),
                },
            }
        )

    return make


@pytest.fixture
def make_concrete() -> ConcreteMaker:
    """A ready RDSInstance that carries the claim's reference."""

    def make(
        *,
        metadata: dict[str, Any] | None = None,
        status: dict[str, Any] | None = None,
        ref: dict[str, Any] | None = None,
    ) -> RDSInstance:
        reference = {
            "apiVersion": "storage.conductor.io/v1alpha1",
            "kind": "MySQLInstance",
            "namespace": "shop",
            "name": "orders",
            "uid": "claim-1",
            **(ref or {}),
        }
        return RDSInstance.model_validate(
            {
                "apiVersion": "database.aws.conductor.io/v1alpha1",
                "kind": "RDSInstance",
                "metadata": {
                    "name": "rds-1",
                    "namespace": "conductor-system",
                    "uid": "concrete-1",
                    **(metadata or {}),
                },
                "spec": {"engine": "mysql", "instance-type": "db.t3.small", "claimRefs": [reference]},
                "status": {
                    "phase": "Bound",
                    "conditions": [{"type": "Ready", "status": "True", "reason": "Available"}],
                    "endpoint": {"host": "rds-1.example.com", "port": 3306},
                    "credentials": {"secretName": "rds-1-credentials", "revision": "7"},
                    **(status or {}),
                },
            }
        )

    return make


@dataclass
class Database:
    """A concrete resource on the API server, with its credentials."""

    name: str = "rds-1"
    password: str = field(default_factory=lambda: f"p/w {secrets.token_hex(8)}")
    host: str = "rds-1.example.com"

    @property
    def secret_name(self) -> str:
        return f"{self.name}-credentials"


class World:
    """Everything around the secrets-writer: users, scheduler, provisioner and watcher are played by the test.

    The API server and the broker are real. The service's own requests come with its ServiceAccount's rights.
    """

    def __init__(self, api: KubeApi, client: KubeClient, bus: Bus, namespace: str) -> None:
        self.api = api
        self.client = client
        self.bus = bus
        self.namespace = namespace
        self.settings = Settings(grace=0.0, resync_jitter=0.0)
        self.registry = CollectorRegistry()
        self.events = EventRecorder(client, controller=FIELD_MANAGER)
        self.handler = self.make_handler(client)

    def make_handler(self, client: KubeClient) -> ClaimHandler:
        """A replica that was just started: it remembers nothing."""
        self.registry = CollectorRegistry()
        instruments = Instruments(self.registry)
        return ClaimHandler(
            Parts(
                bus=self.bus,
                client=client,
                status=StatusWriter(client, field_manager=FIELD_MANAGER),
                events=self.events,
                publisher=ConnectionPublisher(client, instruments),
                instruments=instruments,
                recent=RecentWrites(lambda: 0.0),
                settings=self.settings,
                now=lambda: datetime.now(UTC),
                spread=lambda: 0.0,
            )
        )

    def restart(self) -> None:
        self.handler = self.make_handler(self.client)

    # What a developer does.

    def create_claim(self, name: str = "orders", *, connection: dict[str, str] | None = None) -> Json:
        return self.api.create(
            MYSQL_INSTANCE,
            self.namespace,
            {
                "apiVersion": MYSQL_INSTANCE.gvk.api_version,
                "kind": "MySQLInstance",
                "metadata": {"name": name},
                "spec": {"connection": connection or {}},
            },
        )

    def claim(self, name: str = "orders") -> Json:
        return self.api.get(MYSQL_INSTANCE, self.namespace, name)

    # What the provisioner does.

    def create_database(self, database: Database, *, claim: Json | None = None) -> Json:
        refs = [self.reference(claim)] if claim is not None else []
        found = self.api.create(
            RDS_INSTANCE,
            self.namespace,
            {
                "apiVersion": RDS_INSTANCE.gvk.api_version,
                "kind": "RDSInstance",
                "metadata": {"name": database.name},
                "spec": {"engine": "mysql", "instance-type": "db.t3.small", "claimRefs": refs},
            },
        )
        self.write_credentials(database)
        self.write_database_status(database)
        return found

    def write_credentials(self, database: Database) -> None:
        data = {"username": "root", "password": database.password}
        self.api.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": database.secret_name, "namespace": self.namespace},
                "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
            }
        )

    def write_database_status(
        self, database: Database, *, ready: str = "True", reason: str = "Available"
    ) -> None:
        revision = self.api.get(SECRET, self.namespace, database.secret_name)["metadata"]["resourceVersion"]
        self.api.merge_patch(
            RDS_INSTANCE,
            self.namespace,
            database.name,
            {
                "status": {
                    "phase": "Bound",
                    "conditions": [
                        {
                            "type": "Ready",
                            "status": ready,
                            "reason": reason,
                            "lastTransitionTime": "2026-11-21T12:00:00Z",
                        }
                    ],
                    "endpoint": {"host": database.host, "port": 3306},
                    "credentials": {"secretName": database.secret_name, "revision": revision},
                }
            },
            subresource="status",
        )

    # What the scheduler does.

    @staticmethod
    def reference(claim: Json) -> Json:
        metadata = claim["metadata"]
        return {
            "apiVersion": claim["apiVersion"],
            "kind": claim["kind"],
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        }

    def mirror_binding(self, claim: Json, concrete: Json) -> None:
        metadata = concrete["metadata"]
        self.api.merge_patch(
            MYSQL_INSTANCE,
            self.namespace,
            claim["metadata"]["name"],
            {
                "status": {
                    "phase": "Bound",
                    "boundResource": {
                        "apiVersion": concrete["apiVersion"],
                        "kind": concrete["kind"],
                        "namespace": metadata["namespace"],
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                    },
                }
            },
            subresource="status",
        )

    def bound_claim(self, database: Database, name: str = "orders", **spec: Any) -> Json:
        claim = self.create_claim(name, **spec)
        self.mirror_binding(claim, self.create_database(database, claim=claim))
        return claim

    # What the watcher does.

    async def tell(self, type: ResourceType, name: str) -> None:
        found = self.api.get(type, self.namespace, name)
        metadata = found["metadata"]
        await self.bus.publisher("/test").publish(
            ObjectKey(type.group_kind, self.namespace, name),
            metadata["uid"],
            metadata["resourceVersion"],
            json.dumps(found).encode(),
            expected_sequence=None,
        )

    # What the service does.

    async def handle(self, name: str = "orders") -> Result:
        """Tell the present state of claim and databases, then have the claim handled."""
        for found in self.api.list(RDS_INSTANCE, self.namespace):
            await self.tell(RDS_INSTANCE, found["metadata"]["name"])
        await self.tell(MYSQL_INSTANCE, name)
        return await self.handle_untold(name)

    async def handle_untold(self, name: str = "orders") -> Result:
        key = ObjectKey(MYSQL_INSTANCE.group_kind, self.namespace, name)
        message = await self.bus.latest(key)
        assert message is not None
        return await self.handler(Work(key, message, message))

    # What there is.

    def secret(self, name: str = "orders") -> dict[str, str]:
        found = self.api.get(SECRET, self.namespace, name)
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    def config_map(self, name: str = "orders") -> dict[str, str]:
        data: dict[str, str] = self.api.get(CONFIG_MAP, self.namespace, name)["data"]
        return data

    def service(self, name: str = "orders") -> Json:
        return self.api.get(SERVICE, self.namespace, name)

    def ready(self, name: str = "orders") -> Json:
        conditions = self.claim(name).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == "Ready"), {})

    def connection_objects(self) -> set[tuple[str, str]]:
        """Kind and name of every connection object in the namespace, whoever made it."""
        found = set()
        for type in (SECRET, CONFIG_MAP, SERVICE, ENDPOINT_SLICES):
            for each in self.api.list(type, self.namespace):
                name = each["metadata"]["name"]
                if not name.endswith("-credentials") and name != "kube-root-ca.crt":
                    found.add((type.gvk.kind, name))
        return found

    def versions(self) -> dict[tuple[str, str], str]:
        return {
            (type.gvk.kind, each["metadata"]["name"]): each["metadata"]["resourceVersion"]
            for type in (SECRET, CONFIG_MAP, SERVICE, ENDPOINT_SLICES, MYSQL_INSTANCE)
            for each in self.api.list(type, self.namespace)
        }


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """The API server with the rights that the manifests give."""
    manifest = ROOT / "deploy" / "manifests" / "conductor.yaml"
    rights = [each for each in objects_in(manifest) if each["kind"] in RBAC_KINDS]
    control_plane.api.apply(rights)
    return control_plane


@pytest.fixture(scope="session")
def service_kubeconfig(cluster: ControlPlane) -> Path:
    """With the secrets-writer's own rights, and no others."""
    return cluster.kubeconfig_for_service_account("conductor-system", "conductor-secrets-writer")


@pytest.fixture
def bus_config() -> BusConfig:
    """Streams of the test's own on the shared broker."""
    return BusConfig.from_environment({"CONDUCTOR_BUS_PREFIX": f"t{secrets.token_hex(6)}"})


@pytest.fixture
async def world(
    cluster: ControlPlane, service_kubeconfig: Path, nats_server: Nats, bus_config: BusConfig, namespace: str
) -> AsyncIterator[World]:
    bus = await Bus.connect(nats_server.url, name="test", config=bus_config)
    client = await KubeClient.open(user_agent="test", kubeconfig=str(service_kubeconfig))
    try:
        await bus.ensure()
        found = World(cluster.api, client, bus, namespace)
        yield found
        await found.events.close()
    finally:
        await client.close()
        await bus.close()


@pytest.fixture
def make_database() -> type[Database]:
    return Database

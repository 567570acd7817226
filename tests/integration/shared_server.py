"""A PostgreSQL server that somebody runs, offered as a class of databases."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from psycopg import sql
from stage import SYSTEM, Stage

from conductor_dev.api import SECRET, Json
from conductor_dev.waiting import wait_until
from conductor_model.kinds import POSTGRESQL_INSTANCE, PROVIDER_CONFIG, RESOURCE_CLASS, SQL_DATABASE


@dataclass
class SharedServer:
    """The environment's PostgreSQL server as a class of databases, in this test's own names."""

    stage: Stage
    class_name: str
    config: str
    admin: str
    admin_password: str

    def claim(self, name: str) -> None:
        self.stage.claim(
            name, kind=POSTGRESQL_INSTANCE, resourceClass=self.class_name, masterUsername="masteruser"
        )

    def ready(self, name: str) -> dict[str, str]:
        """What the claim's Secret holds, once an application can connect."""
        self.stage.wait_ready(name, kind=POSTGRESQL_INSTANCE)
        return self.stage.secret(name)

    def database_of(self, name: str) -> Json:
        bound = self.stage.env.api.get(POSTGRESQL_INSTANCE, self.stage.namespace, name)["status"][
            "boundResource"
        ]
        return self.stage.env.api.get(SQL_DATABASE, bound["namespace"], bound["name"])

    def all_databases(self) -> list[Json]:
        found = self.stage.env.api.list(SQL_DATABASE, SYSTEM)
        return [each for each in found if each["spec"].get("resourceClass") == self.class_name]

    def on_the_server(self) -> set[str]:
        with self.stage.env.postgres.connect() as connection:
            rows = connection.execute("SELECT datname FROM pg_database UNION SELECT rolname FROM pg_roles")
            return {name for (name,) in rows.fetchall()}


@pytest.fixture
def server(stage: Stage) -> Iterator[SharedServer]:
    api, tag = stage.env.api, stage.tag
    made = SharedServer(stage, f"shared-{tag}", f"server-{tag}", f"admin_{tag}", secrets.token_urlsafe(16))
    with stage.env.postgres.connect() as connection:
        statement = sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}")
        connection.execute(statement.format(sql.Identifier(made.admin), sql.Literal(made.admin_password)))
    api.create(
        SECRET,
        SYSTEM,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": made.config, "namespace": SYSTEM},
            "stringData": {"username": made.admin, "password": made.admin_password},
        },
    )
    api.create(
        PROVIDER_CONFIG,
        SYSTEM,
        {
            "apiVersion": PROVIDER_CONFIG.gvk.api_version,
            "kind": "ProviderConfig",
            "metadata": {"name": made.config, "namespace": SYSTEM},
            "spec": {
                "provider": "sql",
                "auth": {"source": "Secret", "secretRef": {"name": made.config}},
                "server": {
                    "engine": "postgres",
                    "host": "localhost",  # Kubernetes takes no loopback address for a Service's endpoint
                    "port": stage.env.postgres.port,
                },
            },
        },
    )
    api.create(
        RESOURCE_CLASS,
        SYSTEM,
        {
            "apiVersion": RESOURCE_CLASS.gvk.api_version,
            "kind": "ResourceClass",
            "metadata": {"name": made.class_name, "namespace": SYSTEM},
            "supportedResources": ["PostgreSQLInstance.v1alpha1.storage.conductor.io"],
            "rebindPolicy": "Delete",
            "template": {
                "apiVersion": SQL_DATABASE.gvk.api_version,
                "kind": "SQLDatabase",
                "spec": {"engine": "postgres", "providerConfigRef": {"name": made.config}},
            },
        },
    )
    yield made
    stage.delete_all_claims()
    wait_until("the databases are gone", lambda: not made.all_databases(), timeout=60)
    for kind, name in (
        (RESOURCE_CLASS, made.class_name),
        (PROVIDER_CONFIG, made.config),
        (SECRET, made.config),
    ):
        api.delete(kind, SYSTEM, name)

"""PostgreSQLInstance claims on one server that somebody runs: each with a database and users of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from stage import SYSTEM, Stage

from conductor_dev.api import CONFIG_MAP, SECRET, Json
from conductor_dev.waiting import wait_until
from conductor_model.kinds import POSTGRESQL_INSTANCE, PROVIDER_CONFIG, RESOURCE_CLASS, SQL_DATABASE

pytestmark = pytest.mark.integration


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


def connect(connection: dict[str, str]) -> psycopg.Connection:
    """Through nothing but what a claim's Secret says."""
    return psycopg.connect(connection["uri"], autocommit=True, connect_timeout=30)


def test_claims_share_a_server_and_none_can_open_anothers_database(server: SharedServer) -> None:
    names = ("one", "two", "three")
    for name in names:
        server.claim(name)
    found = {name: server.ready(name) for name in names}
    assert len({each["database"] for each in found.values()}) == len(names)
    assert len({each["username"] for each in found.values()}) == len(names)
    for name, mine in found.items():
        assert mine["username"].startswith("masteruser_")
        with connect(mine) as connection:
            connection.execute("CREATE TABLE greetings (text TEXT)")
            connection.execute("INSERT INTO greetings VALUES (%s)", (name,))
            assert connection.execute("SELECT text FROM greetings").fetchall() == [(name,)]
        for other in found.values():
            if other is not mine:
                with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                    psycopg.connect(mine["uri"], dbname=other["database"], connect_timeout=30)


def test_the_databases_name_is_in_secret_and_config_map(server: SharedServer) -> None:
    server.claim("db")
    secret = server.ready("db")
    concrete = server.database_of("db")
    assert secret["database"] == concrete["status"]["externalName"]
    assert secret["uri"].endswith(f"/{secret['database']}")
    config_map = server.stage.env.api.get(CONFIG_MAP, server.stage.namespace, "db")
    assert config_map["data"]["database"] == secret["database"]
    assert concrete["status"]["usedStorage"]
    assert concrete["status"]["username"] == secret["username"]


def test_a_rotation_reaches_the_claims_secret_and_breaks_no_connection(server: SharedServer) -> None:
    server.claim("db")
    before = server.ready("db")
    with connect(before) as in_use:
        in_use.execute("CREATE TABLE t (a INT)")
        name = server.database_of("db")["metadata"]["name"]
        annotation = {
            "metadata": {"annotations": {"conductor.io/rotate-requested-at": "2026-01-01T00:00:00Z"}}
        }
        server.stage.env.api.merge_patch(SQL_DATABASE, SYSTEM, name, annotation)

        def changed() -> dict[str, str] | None:
            now = server.stage.secret("db")
            return now if now["password"] != before["password"] else None

        after = wait_until("the claim's Secret has the new password", changed, timeout=60)
        assert after["username"] != before["username"]
        assert after["database"] == before["database"]
        with connect(after) as connection:
            connection.execute("INSERT INTO t VALUES (1)")
        assert in_use.execute("SELECT a FROM t").fetchall() == [(1,)]
    connect(before).close()  # for the grace


def test_nothing_is_left_of_a_database_when_its_claim_is_deleted(server: SharedServer) -> None:
    server.claim("db")
    secret = server.ready("db")
    assert {secret["database"], secret["username"]} <= server.on_the_server()
    server.stage.delete_claim("db", POSTGRESQL_INSTANCE)
    wait_until("the database is gone", lambda: not server.all_databases(), timeout=60)
    owner = secret["username"].rpartition("_")[0]
    left = {each for each in server.on_the_server() if each == secret["database"] or each.startswith(owner)}
    assert left == set()


def test_the_issued_password_is_in_no_log(server: SharedServer) -> None:
    server.claim("db")
    password = server.ready("db")["password"]
    logs = server.stage.env.logs.glob("*.log")
    assert [log.name for log in logs if password in log.read_text(errors="replace")] == []

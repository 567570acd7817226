"""PostgreSQLInstance claims on one server that somebody runs: each with a database and users of its own."""

from __future__ import annotations

import psycopg
import pytest
from shared_server import SharedServer
from stage import SYSTEM

from conductor_dev.api import CONFIG_MAP
from conductor_dev.waiting import wait_until
from conductor_model.kinds import POSTGRESQL_INSTANCE, SQL_DATABASE

pytestmark = pytest.mark.integration


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

"""Extensions are added by an administrator, in a database that belongs to somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg import sql

if TYPE_CHECKING:
    from .conftest import Stage

pytestmark = pytest.mark.integration


async def test_an_extension_is_there_for_applications_and_is_added_again_when_it_was_dropped(
    by_superuser: Stage,
) -> None:
    stage = by_superuser
    resource = await stage.settle(stage.resource(extensions=["vector"]))
    with stage.opened(resource) as connection:
        assert stage.engine.read(connection, "SELECT '[1,2]'::vector <-> '[1,3]'") == [(1.0,)]
    stage.engine.ask("DROP EXTENSION vector", database=resource.external_name)

    dropped = await stage.driver.observe(resource)
    assert [each.field for each in dropped.drift] == ["extensions"]

    await stage.settle(resource)
    with stage.opened(resource) as connection:
        assert stage.engine.read(connection, "SELECT '[1,2]'::vector") == [("[1,2]",)]
    await stage.remove(resource)


async def test_the_administrator_runs_nothing_that_a_databases_user_puts_before_what_the_system_has(
    by_superuser: Stage,
) -> None:
    stage = by_superuser
    resource = await stage.settle(stage.resource(extensions=["plpgsql"]))
    database = sql.Identifier(resource.external_name)
    with stage.opened(resource) as connection:
        connection.execute("CREATE SCHEMA trap")
        connection.execute("CREATE TABLE trap.caught (who text)")
        connection.execute(
            "CREATE FUNCTION trap.spring() RETURNS name LANGUAGE sql AS"
            " $$INSERT INTO trap.caught VALUES (current_user); SELECT 'plpgsql'::name$$"
        )
        connection.execute("CREATE VIEW trap.pg_extension AS SELECT trap.spring() AS extname")
        connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = trap, pg_catalog").format(database))

    await stage.driver.observe(resource)

    assert stage.engine.ask("SELECT who FROM trap.caught", database=resource.external_name) == []
    await stage.remove(resource)

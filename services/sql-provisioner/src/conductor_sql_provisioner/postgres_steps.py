"""The statements of each step on PostgreSQL. What takes more than one is one transaction, where there can be one."""

from __future__ import annotations

from typing import Any, LiteralString, assert_never

import psycopg
from psycopg import AsyncConnection, sql

from conductor_provisioner.errors import Terminal
from conductor_sql_provisioner.marks import Mark
from conductor_sql_provisioner.names import Names, Slot
from conductor_sql_provisioner.state import (
    AddExtensions,
    DisableUsers,
    DropDatabase,
    DropUsers,
    EnableUser,
    LetExpire,
    MakeDatabase,
    Reserve,
    Rewrite,
    Step,
    TakeDatabase,
)

Connection = AsyncConnection[tuple[Any, ...]]

_MEMBERSHIPS_HAVE_OPTIONS = 160000
_OWNER = """
SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba WHERE datname = %s
"""


async def carry_out(connection: Connection, step: Step, names: Names) -> None:
    match step:
        case Reserve():
            await _reserve(connection, names, step)
        case MakeDatabase():
            await _make(connection, names, step)
        case TakeDatabase():
            await _take(connection, names, step)
        case AddExtensions(extensions):
            async with connection.transaction():
                # Where they are put; what the system has is found before what is there.
                await connection.execute("SET LOCAL search_path TO public")
                for each in extensions:
                    name = sql.Identifier(each)
                    await _execute(connection, "CREATE EXTENSION IF NOT EXISTS {} CASCADE", name)
        case EnableUser():
            await _enable(connection, names, step)
        case LetExpire(slot, seconds):
            until = await row(connection, "SELECT (now() + make_interval(secs => %s))::text", (seconds,))
            user = sql.Identifier(names.user(slot))
            await _execute(connection, "ALTER ROLE {} VALID UNTIL {}", user, sql.Literal(*until))
        case DisableUsers():
            await _disable(connection, names, step)
        case Rewrite(mark):
            async with connection.transaction():
                await _comment(connection, "ROLE", names.owner, mark)
                await _comment(connection, "DATABASE", names.database, mark)
        case DropDatabase():
            database = sql.Identifier(names.database)
            await _execute(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", database)
        case DropUsers():
            roles = [sql.Identifier(each) for each in (*map(names.user, Slot), names.owner)]
            await _execute(connection, "DROP ROLE IF EXISTS {}", sql.SQL(", ").join(roles))
        case _:
            assert_never(step)


async def row(connection: Connection, query: LiteralString, values: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    """The one row that this query has."""
    found = await (await connection.execute(query, values)).fetchone()
    if found is None:
        raise psycopg.DataError("no row where there is always one")
    return found


async def _reserve(connection: Connection, names: Names, step: Reserve) -> None:
    owner = sql.Identifier(names.owner)
    async with connection.transaction():
        await _execute(connection, "CREATE ROLE {} NOLOGIN", owner)
        await _comment(connection, "ROLE", names.owner, step.mark)
        await _become_member(connection, owner)


async def _make(connection: Connection, names: Names, step: MakeDatabase) -> None:
    named = sql.Identifier(names.database), sql.Identifier(names.owner)
    parts: list[sql.Composable] = [sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(*named)]
    if step.character_set is not None:
        parts.append(sql.SQL("ENCODING {}").format(sql.Literal(step.character_set)))
    if step.collation is not None:
        locale = sql.Literal(step.collation)
        parts.append(sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(locale, locale))
    await connection.execute(sql.SQL(" ").join(parts))


async def _take(connection: Connection, names: Names, step: TakeDatabase) -> None:
    group = await _group(connection, names)
    database = sql.Identifier(names.database)
    limit = sql.Literal(-1 if step.connection_limit is None else step.connection_limit)
    async with connection.transaction():
        await _become_member(connection, group)
        await _comment(connection, "DATABASE", names.database, step.mark)
        await _comment(connection, "ROLE", names.owner, step.mark)
        await _execute(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", database)
        await _execute(connection, "ALTER DATABASE {} CONNECTION LIMIT {}", database, limit)


async def _enable(connection: Connection, names: Names, step: EnableUser) -> None:
    group, name = await _group(connection, names), names.user(step.slot)
    user = sql.Identifier(name)
    password = step.password["password"].encode()
    verifier = connection.pgconn.encrypt_password(password, name.encode(), b"scram-sha-256").decode()
    async with connection.transaction():
        there = await connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,))
        verb = sql.SQL("CREATE" if await there.fetchone() is None else "ALTER")
        enabled = "{} ROLE {} LOGIN PASSWORD {} VALID UNTIL 'infinity'"
        await _execute(connection, enabled, verb, user, sql.Literal(verifier))
        await _comment(connection, "ROLE", name, step.mark)
        await _execute(connection, "GRANT {} TO {} {}", group, user, _options(connection))
        await _become_member(connection, user)
        database = sql.Identifier(names.database)
        await _execute(connection, "ALTER ROLE {} IN DATABASE {} SET role = {}", user, database, group)


async def _disable(connection: Connection, names: Names, step: DisableUsers) -> None:
    users = [names.user(slot) for slot in step.slots]
    async with connection.transaction():
        for each in users:
            await _execute(connection, "ALTER ROLE {} NOLOGIN", sql.Identifier(each))
    if step.end_connections:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY(%s)", (users,)
        )


async def _execute(connection: Connection, statement: LiteralString, *parts: sql.Composable) -> None:
    await connection.execute(sql.SQL(statement).format(*parts))


async def _comment(connection: Connection, kind: LiteralString, name: str, mark: Mark) -> None:
    parts = sql.SQL(kind), sql.Identifier(name), sql.Literal(str(mark))
    await _execute(connection, "COMMENT ON {} {} IS {}", *parts)


async def _group(connection: Connection, names: Names) -> sql.Identifier:
    """The role that owns the database: ours, or of one that was adopted the one that has owned it.

    Raises Terminal for a role that can do more on the server than own things: our users act as it.
    """
    name, powerful = await row(connection, _OWNER, (names.database,))
    if powerful:
        raise Terminal(
            "Adopt",
            names.database,
            "OwnerTooPowerful",
            f"it belongs to {name}, who can do more than own it, and applications would act as {name}: "
            "give it to another role (ALTER DATABASE ... OWNER TO ..., REASSIGN OWNED)",
        )
    return sql.Identifier(name)


async def _become_member(connection: Connection, role: sql.Identifier) -> None:
    """Which a superuser need not be: owning, dropping and ending connections take the role's rights."""
    (superuser,) = await row(connection, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    if not superuser:
        await connection.execute(sql.SQL("GRANT {} TO CURRENT_USER {}").format(role, _options(connection)))


def _options(connection: Connection) -> sql.SQL:
    """From 16 on, what membership gives is said with each grant."""
    has = connection.info.server_version >= _MEMBERSHIPS_HAVE_OPTIONS
    return sql.SQL("WITH INHERIT TRUE, SET TRUE" if has else "")

"""PostgreSQL: how the driver looks and acts there.

The database, and all that is ever made in it, belongs to a role that nobody logs in as. Two users that are members of
it, and act as it from their first statement on, take turns: so that a rotation changes nobody's rights to anything.

We log in as an administrator who needs CREATEDB and CREATEROLE, and no more. What is created is quoted by psycopg.sql,
and passwords are sent as SCRAM verifiers: the server, its log and its list of running statements never see one.

Source: PostgreSQL's documentation, "Database Roles" and "Managing Databases"; error codes: its appendix A.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection

from conductor_model.providerconfig import TlsMode
from conductor_provisioner.driver import Calls
from conductor_provisioner.errors import NotLetIn, ProviderError, Refused, Terminal, Throttled, Transient
from conductor_sql_provisioner.marks import Mark
from conductor_sql_provisioner.names import Names, Slot
from conductor_sql_provisioner.postgres_steps import Connection, carry_out, row
from conductor_sql_provisioner.server import (
    CONNECT_TIMEOUT,
    TOO_MANY_CONNECTIONS,
    Address,
    Marked,
)
from conductor_sql_provisioner.state import AddExtensions, Found, FoundDatabase, FoundUser, Step

T = TypeVar("T")

_MAINTENANCE = "postgres"
"""The database that is there for connecting to in order to manage others."""
_KEPT_OPEN = 2
"""Connections that wait for the next call."""
_SSL_MODES = {
    None: "prefer",
    TlsMode.DISABLE: "disable",
    TlsMode.REQUIRE: "require",
    TlsMode.VERIFY_CA: "verify-ca",
    TlsMode.VERIFY_FULL: "verify-full",
}
_VERIFYING = frozenset({TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL})
_REFUSAL = re.compile(r"failed: [^\s:]+:  (.+)", re.DOTALL)
"""The server's own words in the text of a failed connection, for which libpq has no code. Two spaces, in any language."""
_FULL = re.compile("too many connections|connection slots")
"""Said only to whom it would have let in."""
_PASSING = re.compile("starting up|shutting down|recovery|not yet accepting")

_ROLES = """
SELECT rolname, rolcanlogin, CASE WHEN isfinite(rolvaliduntil) THEN rolvaliduntil END,
       shobj_description(oid, 'pg_authid')
FROM pg_roles WHERE rolname = ANY(%s)
"""
_DATABASE = """
SELECT shobj_description(oid, 'pg_database'), pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate,
       datconnlimit, has_database_privilege('public', oid, 'CONNECT'),
       CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) ELSE 0 END
FROM pg_database WHERE datname = %s
"""

_COMMENTS = """
SELECT datname, shobj_description(oid, 'pg_database'), true FROM pg_database
UNION ALL
SELECT rolname, shobj_description(oid, 'pg_authid'), false FROM pg_roles WHERE NOT rolcanlogin
"""


class PostgreSQLServer:
    def __init__(self, address: Address, calls: Calls) -> None:
        self._address = address
        self._calls = calls
        self._idle: list[Connection] = []
        self._files = TemporaryDirectory(prefix="conductor-sql-")
        self._authorities: Path | None = None
        if address.certificates is not None:
            self._authorities = Path(self._files.name) / "authorities.pem"
            self._authorities.write_text(address.certificates)

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()
        self._files.cleanup()

    async def look(self, names: Names) -> Found:
        async def look(connection: Connection) -> Found:
            users = {names.user(slot): slot for slot in Slot}
            now, version = await row(connection, "SELECT now(), current_setting('server_version')")
            roles = await (await connection.execute(_ROLES, ([names.owner, *users],))).fetchall()
            database = await (await connection.execute(_DATABASE, (names.database,))).fetchone()
            owner = next((role for role in roles if role[0] == names.owner), None)
            return Found(
                now,
                version,
                reserved=owner is not None,
                record=Mark.parse(owner[3]) if owner is not None else None,
                database=_found_database(database, names) if database is not None else None,
                users={
                    users[name]: FoundUser(Mark.parse(comment), enabled, expires)
                    for name, enabled, expires, comment in roles
                    if name in users
                },
            )

        return await self._call("Look", names.database, look)

    async def extensions(self, names: Names) -> frozenset[str]:
        async def look(connection: Connection) -> frozenset[str]:
            rows = await (await connection.execute("SELECT extname FROM pg_extension")).fetchall()
            return frozenset(name for (name,) in rows)

        return await self._call("ListExtensions", names.database, look, database=names.database)

    async def lets_in(self, names: Names, credentials: Mapping[str, str]) -> bool:
        user, password = credentials.get("username", ""), credentials.get("password", "")

        async def log_in() -> bool:
            try:
                connection = await self._open(names.database, user, password)
            except psycopg.OperationalError as error:
                words = _refusal(error)
                if words is None or _PASSING.search(words):
                    raise
                return _FULL.search(words) is not None
            async with connection:
                (owns,) = await row(
                    connection,
                    "SELECT pg_get_userbyid(datdba) = current_user FROM pg_database"
                    " WHERE datname = current_database()",
                )
                return bool(owns)

        return await self._sorted("LogIn", user, log_in)

    async def marked(self) -> tuple[Marked, ...]:
        async def look(connection: Connection) -> tuple[Marked, ...]:
            rows = await (await connection.execute(_COMMENTS)).fetchall()
            read = ((name, Mark.parse(comment), is_database) for name, comment, is_database in rows)
            return tuple(
                Marked(name, mark, is_database) for name, mark, is_database in read if mark is not None
            )

        return await self._call("ListMarks", self._address.endpoint.host, look)

    async def carry_out(self, step: Step, names: Names) -> None:
        async def act(connection: Connection) -> None:
            await carry_out(connection, step, names)

        where = names.database if isinstance(step, AddExtensions) else _MAINTENANCE
        await self._call(type(step).__name__, names.database, act, database=where)

    async def _call(
        self,
        action: str,
        target: str,
        work: Callable[[Connection], Awaitable[T]],
        database: str = _MAINTENANCE,
    ) -> T:
        async def call() -> T:
            async with self._connection(database) as connection:
                return await work(connection)

        return await self._sorted(action, target, call)

    async def _sorted(self, action: str, target: str, call: Callable[[], Awaitable[T]]) -> T:
        async def answered() -> T:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT + self._address.statement_timeout):
                    return await call()
            except TimeoutError:
                raise Transient(action, target, "Timeout", "the server does not answer") from None
            except psycopg.Error as error:
                # Without the statement, which psycopg keeps beside the server's words.
                raise sort(action, target, error) from None

        return await self._calls.awaiting(action, target, answered)

    @contextlib.asynccontextmanager
    async def _connection(self, database: str) -> AsyncIterator[Connection]:
        connection = await self._idle_one() if database == _MAINTENANCE else None
        if connection is None:
            connection = await self._open(database, self._address.username, self._address.password)
        try:
            yield connection
        except BaseException:
            await connection.close()
            raise
        if database == _MAINTENANCE and len(self._idle) < _KEPT_OPEN:
            self._idle.append(connection)
        else:
            await connection.close()

    async def _idle_one(self) -> Connection | None:
        """A connection of before that the server has not closed since."""
        while self._idle:
            connection = self._idle.pop()
            try:
                await connection.execute("SELECT 1")
            except psycopg.Error:
                await connection.close()
            else:
                return connection
        return None

    async def _open(self, database: str, user: str, password: str) -> Connection:
        endpoint = self._address.endpoint
        return await AsyncConnection.connect(
            host=endpoint.host,
            port=endpoint.port,
            dbname=database,
            user=user,
            password=password,
            sslmode=_SSL_MODES[self._address.tls],
            # Where nothing is to be verified, one would make libpq verify all the same.
            sslrootcert=str(self._authorities) if self._address.tls in _VERIFYING else "",
            gssencmode="disable",
            application_name="conductor",
            connect_timeout=CONNECT_TIMEOUT,
            # A database's owner may set another search path for it, and put views and functions of theirs before the
            # system's, which an administrator who looks would run.
            options=f"-c statement_timeout={self._address.statement_timeout}s -c search_path=pg_catalog",
            autocommit=True,
        )


def sort(action: str, target: str, error: psycopg.Error) -> ProviderError:
    """The error by what helps, with the server's words and without the statement."""
    code = error.sqlstate
    if code is None:
        refusal = _refusal(error)
        if refusal is not None and _FULL.search(refusal):
            return Throttled(action, target, "TooManyConnections", refusal, retry_after=TOO_MANY_CONNECTIONS)
        if refusal is not None and not _PASSING.search(refusal):
            return NotLetIn(action, target, "LoginRefused", refusal)
        words = str(error).strip() if isinstance(error, psycopg.OperationalError) else type(error).__name__
        return Transient(action, target, "Unreachable", words)
    message = error.diag.message_primary or type(error).__name__
    if error.diag.message_hint:
        message = f"{message} ({error.diag.message_hint})"
    if code.startswith("28") or code == "42501":
        return Refused(action, target, code, message)
    # Somebody else, or a call of ours whose answer was lost, was quicker: a look will tell.
    taken = {"42P04", "42710"}
    if code in taken or code == "55006" or code[:2] in {"08", "40", "53", "55", "57", "58", "XX"}:
        return Transient(action, target, code, message)
    return Terminal(action, target, code, message)


def _refusal(error: psycopg.Error) -> str | None:
    """What the server said to a login that it refused; None where it said nothing."""
    found = _REFUSAL.search(str(error)) if error.sqlstate is None else None
    return found.group(1).strip() if found is not None else None


def _found_database(row: tuple[Any, ...], names: Names) -> FoundDatabase:
    comment, owner, encoding, collate, limit, open_to_all, size = row
    return FoundDatabase(
        Mark.parse(comment),
        made_by_us=owner == names.owner,
        character_set=encoding,
        collation=collate,
        size=size,
        connection_limit=None if limit < 0 else limit,
        open_to_all=open_to_all,
    )

"""MySQL and MariaDB: how the driver looks there, and errors by what helps.

What is whose is written down in a table, before anything is made: no MySQL has comments on databases and users alike.
We log in as an administrator who may make databases and users and grant what applications get (docs/sql-databases.md).

Source: MySQL's reference manual, "Account Management Statements" and "Server Error Message Reference"; MariaDB's
knowledge base for what differs.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, TypeVar

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from conductor_model.providerconfig import TlsMode
from conductor_provisioner.driver import Calls
from conductor_provisioner.errors import NotLetIn, ProviderError, Refused, Terminal, Throttled, Transient
from conductor_sql_provisioner.marks import Mark, Stage
from conductor_sql_provisioner.mysql_steps import carry_out
from conductor_sql_provisioner.names import Names, Slot
from conductor_sql_provisioner.server import (
    CONNECT_TIMEOUT,
    TOO_MANY_CONNECTIONS,
    Address,
    Marked,
)
from conductor_sql_provisioner.state import Found, FoundDatabase, FoundUser, Step

T = TypeVar("T")

_NO_REGISTRY = frozenset({1049, 1146})
_NOT_LET_IN = frozenset({1044, 1045, 1049, 1820, 1862, 3118, 4151})
_FULL = frozenset({1040, 1203, 1226})
"""Too many connections: the last two are said only to whom it would have let in."""
_WRONG_LOGIN = frozenset({1045, 1698})
_NOT_ALLOWED = frozenset({1044, 1095, 1142, 1227, 1370, 1410, 1524, 3118, 4151})
_PASSING = frozenset({1007, 1008, 1053, 1094, 1205, 1213, 1290, 1396, 1836, 1927, 3024})
_SYNTAX = 1064
"""Its message quotes the statement."""
_CLIENT_ERRORS = range(2000, 3000)


class MySQLServer:
    def __init__(self, address: Address, calls: Calls) -> None:
        self._address = address
        self._calls = calls
        self._tls = _tls_of(address)

    async def close(self) -> None:
        """Every call has a connection of its own."""

    async def look(self, names: Names) -> Found:
        return await self._call("Look", names.database, lambda cursor: _look(cursor, names))

    async def extensions(self, names: Names) -> frozenset[str]:
        raise Terminal("ListExtensions", names.database, "NoExtensions", "extensions are PostgreSQL's")

    async def lets_in(self, names: Names, credentials: Mapping[str, str]) -> bool:
        user, password = credentials.get("username", ""), credentials.get("password", "")

        def log_in() -> bool:
            try:
                with closing(self._open(user, password, names.database)):
                    return True
            except pymysql.MySQLError as error:
                code = _code_of(error)
                if code in _FULL or code in _NOT_LET_IN:
                    return code in _FULL
                raise

        return await self._sorted("LogIn", user, log_in)

    async def marked(self) -> tuple[Marked, ...]:
        return await self._call("ListMarks", self._address.endpoint.host, _marked)

    async def carry_out(self, step: Step, names: Names) -> None:
        await self._call(type(step).__name__, names.database, lambda cursor: carry_out(cursor, step, names))

    async def _call(self, action: str, target: str, work: Callable[[Cursor], T]) -> T:
        def call() -> T:
            with (
                closing(self._open(self._address.username, self._address.password)) as connection,
                connection.cursor() as cursor,
            ):
                return work(cursor)

        return await self._sorted(action, target, call)

    async def _sorted(self, action: str, target: str, call: Callable[[], T]) -> T:
        def answered() -> T:
            try:
                return call()
            except pymysql.MySQLError as error:
                raise sort(action, target, error) from None

        return await self._calls.blocking(action, target, answered)

    def _open(self, user: str, password: str, database: str | None = None) -> Connection[Cursor]:
        endpoint = self._address.endpoint
        return pymysql.connect(
            host=endpoint.host,
            port=endpoint.port,
            user=user,
            password=password.encode(),  # as text it would be Latin-1
            database=database,
            ssl=self._tls,
            # Neither: encrypted if the server can.
            ssl_disabled=self._address.tls is TlsMode.DISABLE,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=self._address.statement_timeout,
            write_timeout=self._address.statement_timeout,
        )


def sort(action: str, target: str, error: pymysql.MySQLError) -> ProviderError:
    """The error by what helps, with the server's words."""
    code = _code_of(error)
    words = str(error.args[1]) if len(error.args) > 1 else type(error).__name__
    if code in _FULL:
        return Throttled(action, target, str(code), words, retry_after=TOO_MANY_CONNECTIONS)
    if code in _WRONG_LOGIN:
        return NotLetIn(action, target, str(code), words)
    if code in _NOT_ALLOWED:
        return Refused(action, target, str(code), words)
    if code is None or code in _PASSING or code in _CLIENT_ERRORS:
        return Transient(action, target, str(code or "Unreachable"), words)
    return Terminal(
        action, target, str(code), "the statement is not understood" if code == _SYNTAX else words
    )


def _code_of(error: pymysql.MySQLError) -> int | None:
    code = error.args[0] if error.args else None
    return code if isinstance(code, int) and code > 0 else None


def _tls_of(address: Address) -> ssl.SSLContext | None:
    if address.tls is None or address.tls is TlsMode.DISABLE:
        return None
    context = ssl.create_default_context(cadata=address.certificates)
    if address.tls is not TlsMode.VERIFY_FULL:
        context.check_hostname = False
    if address.tls is TlsMode.REQUIRE:
        context.verify_mode = ssl.CERT_NONE
    return context


def _look(cursor: Cursor, names: Names) -> Found:
    cursor.execute("SELECT UTC_TIMESTAMP(6), VERSION(), @@lower_case_table_names")
    now, version, folds = _one(cursor)
    rows = _rows(cursor, names)
    cursor.execute(
        "SELECT User, max_user_connections FROM mysql.user WHERE User IN %s AND Host = '%%'",
        ([names.user(slot) for slot in Slot],),
    )
    limits = {str(user): int(limit) for user, limit in cursor.fetchall()}
    record = rows.get(("record", names.owner))
    users = {}
    for slot in Slot:
        name = names.user(slot)
        if name in limits:
            mark, enabled, expires = rows.get(("user", name), (None, True, None))
            users[slot] = FoundUser(mark, enabled, expires)
    return Found(
        _utc(now),
        version,
        reserved=record is not None,
        record=record[0] if record is not None else None,
        database=_find_database(cursor, names, rows, max(limits.values(), default=0), bool(folds)),
        users=users,
    )


def _find_database(
    cursor: Cursor,
    names: Names,
    rows: Mapping[tuple[str, str], tuple[Mark | None, bool, datetime | None]],
    limit: int,
    folds: bool,
) -> FoundDatabase | None:
    cursor.execute(
        "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME"
        " FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s",
        (names.database,),
    )
    # The comparison above knows no case; whether names do, is the server's setting.
    found = [row for row in cursor.fetchall() if folds or row[0] == names.database]
    if not found:
        return None
    _, character_set, collation = found[0]
    cursor.execute(
        "SELECT COUNT(*), COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = %s",
        (names.database,),
    )
    tables, size = _one(cursor)
    record = rows.get(("record", names.owner), (None,))[0]
    mark = rows.get(("database", names.database), (None,))[0]
    return FoundDatabase(
        mark,
        made_by_us=tables == 0 and record is not None and record.stage in (Stage.MAKING, Stage.REMOVING),
        character_set=character_set,
        collation=collation,
        size=int(size),
        connection_limit=limit or None,
    )


def _rows(cursor: Cursor, names: Names) -> dict[tuple[str, str], tuple[Mark | None, bool, datetime | None]]:
    wanted = [names.owner, names.database, *map(names.user, Slot)]
    try:
        cursor.execute(
            "SELECT kind, name, mark, enabled, expires FROM conductor_registry.owned WHERE name IN %s",
            (wanted,),
        )
    except pymysql.MySQLError as error:
        if _code_of(error) in _NO_REGISTRY:
            return {}
        raise
    return {
        (kind, name): (Mark.parse(mark), bool(enabled), _utc(expires) if expires is not None else None)
        for kind, name, mark, enabled, expires in cursor.fetchall()
    }


def _marked(cursor: Cursor) -> tuple[Marked, ...]:
    try:
        cursor.execute(
            "SELECT name, mark, kind = 'database' FROM conductor_registry.owned WHERE kind <> 'user'"
        )
    except pymysql.MySQLError as error:
        if _code_of(error) in _NO_REGISTRY:
            return ()
        raise
    read = ((name, Mark.parse(text), bool(is_database)) for name, text, is_database in cursor.fetchall())
    return tuple(Marked(name, mark, is_database) for name, mark, is_database in read if mark is not None)


def _one(cursor: Cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    if row is None:
        raise pymysql.DataError("no row where there is always one")
    return row


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC)

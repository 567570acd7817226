"""The statements of each step on MySQL and MariaDB.

None can be taken back there, so that what is about to be made is written down first.
"""

from __future__ import annotations

import hashlib
from typing import assert_never

from pymysql.cursors import Cursor

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

REGISTRY = """
CREATE TABLE IF NOT EXISTS conductor_registry.owned (
    kind VARCHAR(16) NOT NULL,
    name VARCHAR(128) NOT NULL,
    mark TEXT NOT NULL,
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    expires DATETIME(6) NULL,
    PRIMARY KEY (kind, name)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
"""


def carry_out(cursor: Cursor, step: Step, names: Names) -> None:
    match step:
        case Reserve(mark):
            cursor.execute("CREATE DATABASE IF NOT EXISTS conductor_registry")
            cursor.execute(REGISTRY)
            _write(cursor, "record", names.owner, mark)
        case MakeDatabase():
            _make(cursor, names, step)
        case TakeDatabase(mark, limit):
            _write_marks(cursor, names, mark)
            cursor.execute("SELECT User FROM mysql.user WHERE User IN %s AND Host = '%%'", (_users(names),))
            for (user,) in cursor.fetchall():
                cursor.execute("ALTER USER %s@'%%' WITH MAX_USER_CONNECTIONS %s", (user, limit or 0))
        case AddExtensions():
            raise Terminal("AddExtensions", names.database, "NoExtensions", "extensions are PostgreSQL's")
        case EnableUser():
            _enable(cursor, names, step)
        case LetExpire(slot, seconds):
            cursor.execute(
                "UPDATE conductor_registry.owned SET expires = UTC_TIMESTAMP(6) + INTERVAL %s SECOND"
                " WHERE kind = 'user' AND name = %s",
                (seconds, names.user(slot)),
            )
        case DisableUsers():
            _disable(cursor, names, step)
        case Rewrite(mark):
            _write_marks(cursor, names, mark)
        case DropDatabase():
            cursor.execute(f"DROP DATABASE IF EXISTS {identifier(names.database)}")
            _forget(cursor, "database", names.database)
        case DropUsers():
            for user in _users(names):
                cursor.execute("DROP USER IF EXISTS %s@'%%'", (user,))
                _forget(cursor, "user", user)
            _forget(cursor, "record", names.owner)
        case _:
            assert_never(step)


def identifier(name: str) -> str:
    """Quoted. Source: MySQL reference manual, "Schema Object Names"."""
    return "`{}`".format(name.replace("`", "``"))


def pattern(database: str, *, wildcards: bool) -> str:
    """The database in a GRANT, where ``_`` and ``%`` stand for any characters, unless the server says otherwise."""
    if wildcards:
        for special in ("\\", "_", "%"):
            database = database.replace(special, f"\\{special}")
    return identifier(database)


def native_password_hash(password: str) -> str:
    """As ``mysql_native_password`` stores it, so that the statement holds no password."""
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()


def _make(cursor: Cursor, names: Names, step: MakeDatabase) -> None:
    parts, values = ["CREATE DATABASE " + identifier(names.database).replace("%", "%%")], list[str]()
    if step.character_set is not None:
        parts.append("CHARACTER SET %s")
        values.append(step.character_set)
    if step.collation is not None:
        parts.append("COLLATE %s")
        values.append(step.collation)
    cursor.execute(" ".join(parts), values)


def _enable(cursor: Cursor, names: Names, step: EnableUser) -> None:
    user, password = names.user(step.slot), step.password["password"]
    _write(cursor, "user", user, step.mark)
    cursor.execute("SELECT VERSION()")
    (version,) = cursor.fetchone() or ("",)
    # MySQL masks passwords in its logs, and has no statement for a hash of its default plugin that we could make.
    mariadb = "mariadb" in str(version).lower()
    by = "IDENTIFIED BY PASSWORD %s" if mariadb else "IDENTIFIED BY %s"
    secret = native_password_hash(password) if mariadb else password
    cursor.execute(f"CREATE USER IF NOT EXISTS %s@'%%' {by} ACCOUNT LOCK", (user, secret))
    cursor.execute(
        f"ALTER USER %s@'%%' {by} WITH MAX_USER_CONNECTIONS %s ACCOUNT UNLOCK",
        (user, secret, step.connection_limit or 0),
    )
    cursor.execute("SHOW VARIABLES LIKE 'partial_revokes'")
    setting = cursor.fetchone()
    on = pattern(names.database, wildcards=setting is None or setting[1] != "ON").replace("%", "%%")
    cursor.execute(f"GRANT ALL PRIVILEGES ON {on}.* TO %s@'%%'", (user,))


def _disable(cursor: Cursor, names: Names, step: DisableUsers) -> None:
    for slot in step.slots:
        user = names.user(slot)
        cursor.execute("ALTER USER IF EXISTS %s@'%%' ACCOUNT LOCK", (user,))
        cursor.execute(
            "UPDATE conductor_registry.owned SET enabled = FALSE WHERE kind = 'user' AND name = %s", (user,)
        )
        if step.end_connections:
            cursor.execute("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s", (user,))
            for (process,) in cursor.fetchall():
                cursor.execute("KILL %s", (process,))


def _write_marks(cursor: Cursor, names: Names, mark: Mark) -> None:
    cursor.execute("START TRANSACTION")
    _write(cursor, "database", names.database, mark)
    _write(cursor, "record", names.owner, mark)
    cursor.execute("COMMIT")


def _write(cursor: Cursor, kind: str, name: str, mark: Mark) -> None:
    cursor.execute(
        "INSERT INTO conductor_registry.owned (kind, name, mark) VALUES (%s, %s, %s)"
        " ON DUPLICATE KEY UPDATE mark = VALUES(mark), enabled = TRUE, expires = NULL",
        (kind, name, str(mark)),
    )


def _forget(cursor: Cursor, kind: str, name: str) -> None:
    cursor.execute("DELETE FROM conductor_registry.owned WHERE kind = %s AND name = %s", (kind, name))


def _users(names: Names) -> list[str]:
    return [names.user(slot) for slot in Slot]

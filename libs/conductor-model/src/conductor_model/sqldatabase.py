"""SQLDatabase: a database, with users of its own, on a PostgreSQL or MySQL server that somebody runs already.

The server is the one of its ProviderConfig. Many of them share it, and none can connect to another's.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from conductor_model.admission import Rule, Text, UserName, immutable
from conductor_model.capacity import Amount
from conductor_model.concrete import Concrete, ConcreteSpec, ConcreteStatus
from conductor_model.databases import MYSQL_INSTANCE, POSTGRESQL_INSTANCE
from conductor_model.kind import Column, concrete_kind, v1alpha1
from conductor_model.rds import VersionText
from conductor_model.refs import GroupKind
from conductor_model.version import EngineVersion

SQL_DATABASE = v1alpha1("database.sql.conductor.io", "SQLDatabase", "sqldatabases")
ROTATION_GRACE = 3600


class SQLEngine(StrEnum):
    """The families of servers. A MariaDB server is one of ``mysql``."""

    MYSQL = "mysql"
    POSTGRES = "postgres"


class OnDelete(StrEnum):
    """What becomes of the database when its object, and with it the external resource, is deleted."""

    DROP = "Drop"
    KEEP = "Keep"
    LOCK_USER = "LockUser"


DatabaseName = Annotated[str, StringConstraints(max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]
ExtensionName = Annotated[str, StringConstraints(max_length=63, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]
CharacterSet = Annotated[str, StringConstraints(max_length=32, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Collation = Annotated[str, StringConstraints(max_length=63, pattern=r"^[A-Za-z][A-Za-z0-9_.@-]*$")]


class SQLDatabaseSpec(ConcreteSpec):
    """The desired database."""

    admission_rules = (
        immutable("engine"),
        immutable("databaseName"),
        immutable("masterUsername"),
        immutable("characterSet"),
        immutable("collation"),
        Rule(
            "!has(self.extensions) || size(self.extensions) == 0 || self.engine == 'postgres'",
            "extensions are PostgreSQL's: they need engine postgres",
        ),
        Rule(
            "!has(self.credentialsSecretRef)",
            "credentialsSecretRef does not apply: the users of an SQLDatabase, and their passwords, are made for it",
        ),
    )

    engine: SQLEngine = Field(description="Engine of the server: postgres, or mysql, which MariaDB is too.")
    version: VersionText | None = Field(
        None, description="Version that the server must have, such as 16 or 10.11. Absent: any."
    )
    database_name: DatabaseName | None = Field(
        None, description="Name of the database. Absent: this object's name, made unique on the server."
    )
    master_username: UserName | None = Field(
        None,
        description="What the names of its users begin with. On a shared server they are made unique: the connection "
        'Secret has the whole name. Absent: "conductor".',
    )
    connection_limit: int | None = Field(
        None, ge=1, le=100_000, description="How many connections it may have at once. Absent: no limit."
    )
    extensions: tuple[ExtensionName, ...] = Field(
        (),
        max_length=32,
        description="PostgreSQL extensions to have in it. One that is removed from this list is not dropped.",
    )
    character_set: CharacterSet | None = Field(
        None, description="Character set: PostgreSQL's encoding, such as UTF8; MySQL's, such as utf8mb4."
    )
    collation: Collation | None = Field(
        None, description="How text is sorted: PostgreSQL's locale, such as C; MySQL's collation."
    )
    on_delete: OnDelete = Field(
        OnDelete.DROP,
        description="What happens to the database where rebindPolicy is Delete. Drop removes it and its users; Keep "
        "leaves both as they are; LockUser keeps the data and locks the users out.",
    )
    rotation_grace_seconds: int = Field(
        ROTATION_GRACE,
        ge=0,
        le=2_592_000,
        description="How long the old password goes on working after a rotation.",
    )


class SQLDatabaseStatus(ConcreteStatus):
    """The observed database."""

    username: Text | None = Field(None, description="The user that applications are given.")
    used_storage: Amount | None = Field(
        None, description="What it takes on the server's disk, rounded up to an eighth."
    )


class SQLDatabase(Concrete):
    """A database on a server that you run, which claims can be bound to."""

    spec: SQLDatabaseSpec
    status: SQLDatabaseStatus = Field(default_factory=SQLDatabaseStatus)

    provider: ClassVar[str] = "sql"

    @property
    def implements(self) -> frozenset[GroupKind]:
        claim = MYSQL_INSTANCE if self.spec.engine is SQLEngine.MYSQL else POSTGRESQL_INSTANCE
        return frozenset({claim.group_kind})

    @property
    def offered_version(self) -> EngineVersion | None:
        observed = super().offered_version
        if observed is not None or self.spec.version is None:
            return observed
        return EngineVersion.parse(self.spec.version)

    @property
    def master_username(self) -> str | None:
        return self.spec.master_username

    @property
    def connection_facts(self) -> Mapping[str, str]:
        """The server has many databases: applications are told which one is theirs."""
        return {"database": self.status.external_name} if self.status.external_name is not None else {}


KIND = concrete_kind(
    SQL_DATABASE,
    SQLDatabase,
    "sqldb",
    "sql",
    Column("Engine", ".spec.engine"),
    Column("Running", ".status.engineVersion"),
    Column("Used", ".status.usedStorage"),
    Column("User", ".status.username", priority=1),
)

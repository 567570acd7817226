"""The claim kinds for databases: MySQLInstance and PostgreSQLInstance.

``DatabaseClaim`` is what they share; an engine of its own is a subclass, a connection format and a ``Kind``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Set
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import Field

from conductor_model.admission import Rule, UserName, immutable_once_set
from conductor_model.claims import EndpointClaim, EndpointClaimSpec
from conductor_model.connection import Connectable, ConnectionFormat, ConnectionKey
from conductor_model.kind import Column, claim_kind, v1alpha1
from conductor_model.version import VersionConstraint

MYSQL_INSTANCE = v1alpha1("storage.conductor.io", "MySQLInstance", "mysqlinstances")
POSTGRESQL_INSTANCE = v1alpha1("storage.conductor.io", "PostgreSQLInstance", "postgresqlinstances")

_KEYS = (
    ConnectionKey("host", "Name or address of the server."),
    ConnectionKey("port", "Its port."),
    ConnectionKey("username", "The user to log in as."),
    ConnectionKey("password", "The user's password.", secret=True),
    ConnectionKey("database", "The database to open."),
    ConnectionKey("uri", "All of it in one: scheme://username:password@host:port/database.", secret=True),
    ConnectionKey("certificates", "The authorities to trust, as PEM, where the client's own do not suffice."),
)


def database_format(type: str, uri_scheme: str, default_database: str) -> ConnectionFormat:
    """Of a database engine; a resource that is one database of many names it in its ``database`` fact."""

    def values(source: Connectable) -> Mapping[str, str]:
        if source.endpoint is None:
            raise ValueError(f"a {type} database without an endpoint")
        host, port = source.endpoint.host, str(source.endpoint.port)
        username, password = source.credential("username"), source.credential("password")
        database = source.facts.get("database", default_database)
        # RFC 3986 section 3.2.1: user and password are percent-encoded.
        login = f"{quote(username, safe='')}:{quote(password, safe='')}"
        entries = {
            "host": host,
            "port": port,
            "username": username,
            "password": password,
            "database": database,
            "uri": f"{uri_scheme}://{login}@{_in_uri(host)}:{port}/{quote(database, safe='')}",
        }
        if "certificates" in source.credentials:
            entries["certificates"] = source.credential("certificates")
        return entries

    return ConnectionFormat(type, _KEYS, values)


def _in_uri(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host


class DatabaseClaimSpec(EndpointClaimSpec):
    """The wish for a database: engine version, requirements, and how to choose among what is offered."""

    admission_rules: ClassVar[tuple[Rule, ...]] = (immutable_once_set("masterUsername"),)

    version: VersionConstraint | None = Field(
        None, description='Acceptable engine versions: ">= 5.6", "5.7" (any 5.7.x), ">= 5.6, < 8".'
    )
    master_username: UserName | None = Field(None, description="Name of the database's administrative user.")


_VERSION_FIELDS = frozenset({"version", "databaseVersion"})
"""By which templates say a version: Google's names the engine, too, so that a claim's cannot take its place."""


class DatabaseClaim(EndpointClaim):
    """Any database claim, whatever its engine."""

    spec: DatabaseClaimSpec = Field(default_factory=DatabaseClaimSpec)

    @property
    def wanted_version(self) -> VersionConstraint | None:
        return self.spec.version

    def overrides(self, said: Set[str]) -> Mapping[str, Any]:
        """``masterUsername``, and the version where the template leaves it open and the claim names just one."""
        spec, found = self.spec, dict[str, Any]()
        if spec.master_username is not None:
            found["masterUsername"] = spec.master_username
        left_open = _VERSION_FIELDS.isdisjoint(said)
        if left_open and spec.version is not None and spec.version.exact is not None:
            found["version"] = str(spec.version.exact)
        return found


class MySQLInstance(DatabaseClaim):
    """A claim for a MySQL database, bound to a concrete resource that is offered or provisioned."""

    connection_format: ClassVar[ConnectionFormat] = database_format("mysql", "mysql", "mysql")


class PostgreSQLInstance(DatabaseClaim):
    """A claim for a PostgreSQL database, bound to a concrete resource that is offered or provisioned."""

    connection_format: ClassVar[ConnectionFormat] = database_format("postgresql", "postgresql", "postgres")


_VERSION = Column("Version", ".spec.version")

KINDS = (
    claim_kind(MYSQL_INSTANCE, MySQLInstance, "mysql", _VERSION),
    claim_kind(POSTGRESQL_INSTANCE, PostgreSQLInstance, "postgresql", _VERSION),
)

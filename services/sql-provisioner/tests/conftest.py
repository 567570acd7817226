"""Servers to work on, each with an administrator who may do what the documentation asks for, and no more."""

from __future__ import annotations

import contextlib
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import psycopg
import pymysql
import pytest
from psycopg import sql

from conductor_dev.mariadb import MariaDB
from conductor_dev.postgres import PostgreSQL
from conductor_model.concrete import Endpoint
from conductor_model.providerconfig import TlsMode
from conductor_model.sqldatabase import SQLDatabaseSpec, SQLDatabaseStatus, SQLEngine
from conductor_provisioner.conformance import NotSimulated
from conductor_provisioner.driver import Observation, Owner, Resource, SecretData
from conductor_sql_provisioner.driver import SQLDriver
from conductor_sql_provisioner.mysql import MySQLServer
from conductor_sql_provisioner.mysql_steps import REGISTRY
from conductor_sql_provisioner.postgres import PostgreSQLServer
from conductor_sql_provisioner.server import Address

T = TypeVar("T")
SQLResource = Resource[SQLDatabaseSpec, SQLDatabaseStatus]

ADMIN = "conductor_admin"
OF_A_DATABASE = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES, LOCK TABLES,"
    " EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER"
)


class Died(BaseException):
    """What a killed process does: nothing more, and nothing is told of it."""


@dataclass
class Recorded:
    """Passes calls on, and remembers them."""

    made: list[tuple[str, str]] = field(default_factory=list)
    allowed: int | None = None
    """So many calls are made; before the next one the process dies."""
    loses_answers: bool = False
    """Whether the last call allowed is made, too, and the process dies before its answer is there."""

    async def awaiting(self, action: str, target: str, call: Callable[[], Awaitable[T]]) -> T:
        if self.allowed is not None and len(self.made) >= self.allowed:
            if self.loses_answers and len(self.made) == self.allowed:
                self.made.append((action, target))
                await call()
            raise Died
        self.made.append((action, target))
        return await call()

    async def blocking(self, action: str, target: str, call: Callable[[], T]) -> T:
        async def awaited() -> T:
            return call()

        return await self.awaiting(action, target, awaited)

    @property
    def actions(self) -> list[str]:
        return [action for action, _ in self.made]


class Engine(ABC):
    """A real server, seen by its superuser and by applications."""

    kind: SQLEngine
    address: Address
    refused: type[Exception]
    """What a client raises when it is not let in."""
    errors: type[Exception]
    """What a client raises at all."""

    tls_port: int
    ca: str

    @abstractmethod
    def driver(self, calls: Recorded, address: Address | None = None) -> SQLDriver: ...

    @abstractmethod
    def ask(self, query: Any, *, database: str | None = None) -> list[tuple[Any, ...]]:
        """As the superuser."""

    @abstractmethod
    def open(self, credentials: Mapping[str, str], database: str) -> Any:
        """A connection as an application makes it; a context manager."""

    def read(self, connection: Any, query: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    @abstractmethod
    def databases(self) -> set[str]: ...

    @abstractmethod
    def users(self) -> set[str]: ...

    @abstractmethod
    def make(self, database: str) -> None:
        """A database of somebody else."""

    @abstractmethod
    def drop(self, database: str) -> None: ...

    @abstractmethod
    def set_password(self, user: str, password: str) -> None: ...

    @abstractmethod
    def limit(self, database: str, connections: int) -> None: ...

    @abstractmethod
    def mark(self, database: str, mark: str) -> None:
        """Somebody else's."""

    @abstractmethod
    def let_admin_in(self, let_in: bool) -> None:
        """Whether the server takes connections of our administrator."""

    @abstractmethod
    def age(self, user: str) -> None:
        """Lets the time be over for which the user's password works."""


class Postgres(Engine):
    kind = SQLEngine.POSTGRES
    refused = psycopg.OperationalError
    errors = psycopg.Error

    def __init__(self, server: PostgreSQL) -> None:
        self.server = server
        password = secrets.token_urlsafe(16)
        statement = sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}")
        self.ask(statement.format(sql.Identifier(ADMIN), sql.Literal(password)))
        self.ask("CREATE ROLE legacy NOLOGIN")
        self.ask(sql.SQL("GRANT legacy TO {} WITH ADMIN OPTION").format(sql.Identifier(ADMIN)))
        self.address = Address(self.kind, Endpoint(host=server.host, port=server.port), ADMIN, password)

        self.tls_port, self.ca = server.tls_port, server.ca

    def driver(self, calls: Recorded, address: Address | None = None) -> SQLDriver:
        at = address or self.address
        return SQLDriver(at, PostgreSQLServer(at, calls), new_password=new_password)

    def ask(self, query: Any, *, database: str | None = None) -> list[tuple[Any, ...]]:
        with self.server.connect(database or "postgres") as connection:
            done = connection.execute(query)
            return done.fetchall() if done.description else []

    def open(self, credentials: Mapping[str, str], database: str) -> Any:
        return self.server.connect(database, user=credentials["username"], password=credentials["password"])

    def databases(self) -> set[str]:
        return {name for (name,) in self.ask("SELECT datname FROM pg_database")}

    def users(self) -> set[str]:
        return {name for (name,) in self.ask("SELECT rolname FROM pg_roles")}

    def make(self, database: str) -> None:
        self.ask(sql.SQL("CREATE DATABASE {} OWNER legacy").format(sql.Identifier(database)))

    def drop(self, database: str) -> None:
        self.ask(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))

    def set_password(self, user: str, password: str) -> None:
        self.ask(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(password)))

    def limit(self, database: str, connections: int) -> None:
        name, limit = sql.Identifier(database), sql.Literal(connections)
        self.ask(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, limit))

    def mark(self, database: str, mark: str) -> None:
        self.ask(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), sql.Literal(mark)))

    def let_admin_in(self, let_in: bool) -> None:
        admin, limit = sql.Identifier(ADMIN), sql.Literal(-1 if let_in else 0)
        self.ask(sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(admin, limit))
        if not let_in:
            ended = "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE usename = {}"
            self.ask(sql.SQL(ended).format(sql.Literal(ADMIN)))

    def age(self, user: str) -> None:
        self.ask(sql.SQL("ALTER ROLE {} VALID UNTIL '2000-01-01'").format(sql.Identifier(user)))


class Maria(Engine):
    kind = SQLEngine.MYSQL
    refused = pymysql.OperationalError
    errors = pymysql.MySQLError

    def __init__(self, server: MariaDB) -> None:
        self.server = server
        password = secrets.token_urlsafe(16)
        self.ask(f"CREATE USER {ADMIN}@'%' IDENTIFIED BY '{password}'")
        self.ask(f"GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO {ADMIN}@'%'")
        self.ask(f"GRANT {OF_A_DATABASE}, DELETE HISTORY ON *.* TO {ADMIN}@'%' WITH GRANT OPTION")
        self.address = Address(self.kind, Endpoint(host=server.host, port=server.port), ADMIN, password)

        self.tls_port, self.ca = server.port, server.ca

    def driver(self, calls: Recorded, address: Address | None = None) -> SQLDriver:
        at = address or self.address
        return SQLDriver(at, MySQLServer(at, calls), new_password=new_password)

    def ask(self, query: Any, *, database: str | None = None) -> list[tuple[Any, ...]]:
        with self.server.connect(database) as connection:
            return self.read(connection, query)

    def open(self, credentials: Mapping[str, str], database: str) -> Any:
        return self.server.connect(database, user=credentials["username"], password=credentials["password"])

    def databases(self) -> set[str]:
        return {name for (name,) in self.ask("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")}

    def users(self) -> set[str]:
        return {name for (name,) in self.ask("SELECT User FROM mysql.user")}

    def make(self, database: str) -> None:
        self.ask("CREATE DATABASE `{}`".format(database.replace("`", "``")))

    def drop(self, database: str) -> None:
        self.ask("DROP DATABASE `{}`".format(database.replace("`", "``")))

    def set_password(self, user: str, password: str) -> None:
        self.ask(f"ALTER USER '{user}'@'%' IDENTIFIED BY '{password}'")

    def limit(self, database: str, connections: int) -> None:
        marks = self.ask("SELECT name, mark FROM conductor_registry.owned WHERE kind = 'user'")
        all_marks = dict(self.ask("SELECT name, mark FROM conductor_registry.owned"))
        uid = json.loads(all_marks[database])["conductor.io/concrete-uid"]
        for user, mark in marks:
            if uid in mark:
                self.ask(f"ALTER USER '{user}'@'%' WITH MAX_USER_CONNECTIONS {connections}")

    def mark(self, database: str, mark: str) -> None:
        written = "INSERT INTO conductor_registry.owned (kind, name, mark) VALUES ('database', '{}', '{}')"
        self.ask("CREATE DATABASE IF NOT EXISTS conductor_registry")
        self.ask(REGISTRY)
        self.ask(written.format(database, mark))

    def let_admin_in(self, let_in: bool) -> None:
        if not let_in:
            raise NotSimulated("MariaDB takes ten connections at least, whatever it is told")

    def age(self, user: str) -> None:
        expired = "UPDATE conductor_registry.owned SET expires = UTC_TIMESTAMP() WHERE name = '{}'"
        self.ask(expired.format(user))


def new_password() -> str:
    return secrets.token_urlsafe(24)


@dataclass
class Stage:
    """A driver on a server, and of the reconciler what tests of a driver need."""

    engine: Engine
    driver: SQLDriver
    calls: Recorded

    def resource(self, *, external_name: str | None = None, **spec: Any) -> SQLResource:
        owner = Owner("cluster-1", secrets.token_hex(8), "team", "orders")
        wanted = SQLDatabaseSpec.model_validate({"engine": self.engine.kind, **spec})
        name = external_name or self.driver.external_name(owner, wanted)
        return Resource(external_name=name, owner=owner, spec=wanted, status=SQLDatabaseStatus())

    async def settle(self, resource: SQLResource) -> SQLResource:
        """Observe, create or update, store the credentials, until there is nothing more to do."""
        for _ in range(6):
            observed = await self.driver.observe(resource)
            if not observed.exists:
                observed = await self.driver.create(resource)
            elif observed.drift or not observed.credentials_applied or resource.rotation is not None:
                observed = await self.driver.update(resource, observed)
            else:
                assert observed.ready, observed
                return resource
            resource = stored(resource, observed)
        raise AssertionError(f"it does not settle: {observed}")

    async def remove(self, resource: SQLResource) -> None:
        observed = await self.driver.observe(resource)
        for _ in range(2):  # the database, and then what it leaves behind
            if not observed.exists and not observed.leftovers:
                break
            await self.driver.delete(resource, observed)
            observed = await self.driver.observe(resource)
        assert not observed.exists
        assert not observed.leftovers

    async def reborn(self) -> None:
        """As after a crash: a process that knows nothing."""
        await self.driver.close()
        self.calls = Recorded()
        self.driver = self.engine.driver(self.calls)

    async def killed(self, work: Awaitable[object], *, after: int, loses_answers: bool) -> bool:
        """Does the work with a process that dies after so many calls; whether it died before the end."""
        self.calls.made.clear()
        self.calls.allowed, self.calls.loses_answers = after, loses_answers
        try:
            await work
        except Died:
            return True
        finally:
            await self.reborn()
        return False

    def opened(self, resource: SQLResource) -> Any:
        assert resource.credentials is not None
        return self.engine.open(resource.credentials, resource.external_name)

    def lets_in(self, resource: SQLResource, credentials: Mapping[str, str] | None = None) -> bool:
        known = credentials if credentials is not None else resource.credentials
        assert known is not None
        try:
            self.engine.open(known, resource.external_name).close()
        except self.engine.refused:
            return False
        return True


def stored(resource: SQLResource, observed: Observation[SQLDatabaseStatus]) -> SQLResource:
    """What the reconciler makes durable."""
    if observed.credentials is not None:
        merged = SecretData({**(resource.credentials or {}), **observed.credentials})
        resource = replace(resource, credentials=merged)
    if observed.rotated is not None and observed.rotated == resource.rotation:
        resource = replace(resource, rotation=None)
    return replace(resource, credentials_applied=observed.credentials_applied)


@pytest.fixture(scope="session")
def postgres_engine(postgres: PostgreSQL) -> Postgres:
    return Postgres(postgres)


@pytest.fixture(scope="session")
def maria_engine(mariadb: MariaDB) -> Maria:
    return Maria(mariadb)


@pytest.fixture(params=["postgres", "maria"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(f"{request.param}_engine")
    return found


@pytest.fixture
async def stage(engine: Engine) -> AsyncIterator[Stage]:
    async with staged(engine) as stage:
        yield stage


@pytest.fixture
async def on_postgres(postgres_engine: Postgres) -> AsyncIterator[Stage]:
    async with staged(postgres_engine) as stage:
        yield stage


@pytest.fixture
async def by_superuser(postgres_engine: Postgres) -> AsyncIterator[Stage]:
    """Who may add an extension that is not trusted."""
    name, password = f"superuser_{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    statement = sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}")
    postgres_engine.ask(statement.format(sql.Identifier(name), sql.Literal(password)))
    address = replace(postgres_engine.address, username=name, password=password)
    calls = Recorded()
    stage = Stage(postgres_engine, postgres_engine.driver(calls, address), calls)
    yield stage
    await stage.driver.close()


@pytest.fixture
async def with_tls(engine: Engine) -> AsyncIterator[Callable[[TlsMode, str], Stage]]:
    """Makes a stage that reaches the server in this mode, and trusts this authority."""
    stages: list[Stage] = []

    def make(mode: TlsMode, authority: str) -> Stage:
        endpoint = Endpoint(host=engine.address.endpoint.host, port=engine.tls_port)
        address = replace(engine.address, endpoint=endpoint, tls=mode, certificates=authority)
        calls = Recorded()
        stages.append(Stage(engine, engine.driver(calls, address), calls))
        return stages[-1]

    yield make
    for stage in stages:
        await stage.driver.close()


@contextlib.asynccontextmanager
async def staged(engine: Engine) -> AsyncIterator[Stage]:
    calls = Recorded()
    stage = Stage(engine, engine.driver(calls), calls)
    try:
        yield stage
    finally:
        await stage.driver.close()

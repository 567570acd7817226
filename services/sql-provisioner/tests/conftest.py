"""Servers to work on, each with an administrator who may do what the documentation asks for, and no more."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest
from psycopg import sql

from conductor_dev.postgres import PostgreSQL
from conductor_model.concrete import Endpoint
from conductor_model.sqldatabase import SQLDatabaseSpec, SQLDatabaseStatus, SQLEngine
from conductor_provisioner.driver import Owner, Resource, SecretData
from conductor_sql_provisioner.driver import SQLDriver
from conductor_sql_provisioner.postgres import PostgreSQLServer
from conductor_sql_provisioner.server import Address

T = TypeVar("T")


@dataclass
class Recorded:
    """Passes calls on, and remembers them. ``dies_before`` lets the process die before that call, counted from 0."""

    made: list[tuple[str, str]] = field(default_factory=list)
    dies_before: int | None = None

    async def awaiting(self, action: str, target: str, call: Callable[[], Awaitable[T]]) -> T:
        if self.dies_before is not None and len(self.made) == self.dies_before:
            raise Died
        self.made.append((action, target))
        return await call()

    async def blocking(self, action: str, target: str, call: Callable[[], T]) -> T:
        async def awaited() -> T:
            return call()

        return await self.awaiting(action, target, awaited)


class Died(Exception):
    pass


@dataclass
class Stage:
    """A driver, and what the reconciler would do around it."""

    driver: SQLDriver
    calls: Recorded

    def resource(self, engine: SQLEngine = SQLEngine.POSTGRES, **spec: Any) -> Resource[Any, Any]:
        uid = secrets.token_hex(8)
        owner = Owner("cluster-1", uid, "team", "orders")
        wanted = SQLDatabaseSpec.model_validate({"engine": engine, **spec})
        name = spec.pop("external_name", None) or self.driver.external_name(owner, wanted)
        return Resource(external_name=name, owner=owner, spec=wanted, status=SQLDatabaseStatus())

    async def settle(self, resource: Resource[Any, Any]) -> Resource[Any, Any]:
        """As often as needed: observe, create or update, store the credentials."""
        for _ in range(6):
            observed = await self.driver.observe(resource)
            if not observed.exists:
                observed = await self.driver.create(resource)
            elif observed.drift or not observed.credentials_applied or resource.rotation is not None:
                observed = await self.driver.update(resource, observed)
            elif observed.ready:
                return resource
            resource = stored(resource, observed)
        raise AssertionError(f"it does not settle: {observed}")


def stored(resource: Resource[Any, Any], observed: Any) -> Resource[Any, Any]:
    if observed.credentials is not None:
        merged = SecretData({**(resource.credentials or {}), **observed.credentials})
        resource = replace(resource, credentials=merged)
    if observed.rotated is not None and observed.rotated == resource.rotation:
        resource = replace(resource, rotation=None)
    return replace(resource, credentials_applied=observed.credentials_applied)


@pytest.fixture(scope="session")
def admin(postgres: PostgreSQL) -> tuple[str, str]:
    """User and password of an administrator with CREATEDB and CREATEROLE only."""
    name, password = "conductor_admin", secrets.token_urlsafe(16)
    with postgres.connect() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
                sql.Identifier(name), sql.Literal(password)
            )
        )
    return name, password


@pytest.fixture
async def stage(postgres: PostgreSQL, admin: tuple[str, str]) -> AsyncIterator[Stage]:
    address = Address(SQLEngine.POSTGRES, Endpoint(host=postgres.host, port=postgres.port), *admin)
    calls = Recorded()
    driver = driver_of(address, calls)
    yield Stage(driver, calls)
    await driver.close()


def driver_of(address: Address, calls: Recorded) -> SQLDriver:
    return SQLDriver(
        address, PostgreSQLServer(address, calls), new_password=lambda: secrets.token_urlsafe(24)
    )

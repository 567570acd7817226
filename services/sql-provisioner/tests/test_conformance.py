"""The SQL driver keeps a driver's promises, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from psycopg import sql

from conductor_dev.proxy import TcpProxy
from conductor_model.concrete import Endpoint
from conductor_model.sqldatabase import KIND
from conductor_provisioner import Account
from conductor_provisioner.conformance import Conformance, Fault, NotSimulated, StandIn, Subject
from conductor_provisioner.driver import Owner, SecretData
from conductor_sql_provisioner.driver import SQLDriver
from conductor_sql_provisioner.marks import Mark, Stage


class Server(StandIn):
    """A PostgreSQL, as its superuser sees it, behind a connection that can be cut."""

    def __init__(self, engine: Any, proxy: TcpProxy) -> None:
        self._engine = engine
        self._proxy = proxy
        self._cut = False
        self._theirs = f"theirs_{secrets.token_hex(4)}"
        role, admin = sql.Identifier(self._theirs), sql.Identifier(engine.address.username)
        engine.ask(sql.SQL("CREATE ROLE {}").format(role))
        engine.ask(sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(role, admin))

    async def settle(self) -> None:
        """Nothing takes time: a statement is done when it is answered."""

    async def external(self) -> Sequence[str]:
        return sorted(await asyncio.to_thread(self._engine.databases))

    async def residue(self) -> Sequence[str]:
        return sorted(await asyncio.to_thread(self._engine.users))

    async def vanish(self, name: str) -> None:
        await asyncio.to_thread(self._engine.drop, name)

    async def alter(self, name: str) -> str:
        await self._ask("ALTER DATABASE {} CONNECTION LIMIT 3", sql.Identifier(name))
        return "connectionLimit"

    async def foreign(self, name: str, owner: Owner | None) -> None:
        await asyncio.to_thread(self._engine.make, name)
        await self._ask("ALTER DATABASE {} OWNER TO {}", sql.Identifier(name), sql.Identifier(self._theirs))
        if owner is not None:
            mark = sql.Literal(str(Mark.of(owner, Stage.MADE)))
            await self._ask("COMMENT ON DATABASE {} IS {}", sql.Identifier(name), mark)

    async def fault(self, fault: Fault | None) -> None:
        if fault is Fault.THROTTLED:
            raise NotSimulated("PostgreSQL does not throttle")
        if fault is Fault.OUTAGE:
            await asyncio.to_thread(self._proxy.refuse)
        elif self._cut:
            await asyncio.to_thread(self._proxy.heal)
        self._cut = fault is Fault.OUTAGE

    async def accepts(self, name: str, credentials: SecretData) -> bool:
        def accepts() -> bool:
            try:
                self._engine.open(credentials, name).close()
            except self._engine.refused:
                return False
            return True

        return await asyncio.to_thread(accepts)

    async def _ask(self, statement: Any, *parts: sql.Composable) -> None:
        await asyncio.to_thread(self._engine.ask, sql.SQL(statement).format(*parts))


class Drivers:
    """``driver.DriverFactory`` for the server behind the proxy."""

    def __init__(self, engine: Any, proxy: TcpProxy) -> None:
        self._engine = engine
        self._endpoint = Endpoint(host="127.0.0.1", port=proxy.port)

    async def open(self, account: Account) -> SQLDriver:
        address = replace(self._engine.address, endpoint=self._endpoint)
        driver: SQLDriver = self._engine.driver(account.calls, address)
        return driver

    async def close(self, driver: Any) -> None:
        await driver.close()


@pytest.mark.integration
class TestPostgreSQL(Conformance):
    @pytest.fixture
    def proxy(self, postgres_engine: Any) -> Iterator[TcpProxy]:
        endpoint = postgres_engine.address.endpoint
        with TcpProxy(endpoint.host, endpoint.port) as proxy:
            yield proxy

    @pytest.fixture
    def subject(self, postgres_engine: Any, proxy: TcpProxy) -> Subject:
        return Subject(
            driver="SQLDatabase",
            kind=KIND,
            factory=Drivers(postgres_engine, proxy),
            stand_in=Server(postgres_engine, proxy),
            spec={"engine": "postgres", "connectionLimit": 7},
            changed={"connectionLimit": 9},
            invalid={"characterSet": "NOSUCHSET"},
            sample=4,
        )

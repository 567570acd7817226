"""The conformance suite on real servers: PostgreSQL, and MariaDB where it is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from conductor_dev.proxy import TcpProxy
from conductor_model.providerconfig import Server
from conductor_model.sqldatabase import KIND
from conductor_provisioner.conformance import Conformance, Fault, StandIn, Subject
from conductor_provisioner.driver import Owner, SecretData
from conductor_sql_provisioner.marks import Mark, Stage
from conductor_sql_provisioner.servers import SQLServers

if TYPE_CHECKING:
    from .conftest import Engine, Maria, Postgres

pytestmark = pytest.mark.integration


class RealServer(StandIn):
    """A server, by its superuser's hand. What was there before the test is none of its business."""

    def __init__(self, engine: Engine, proxy: TcpProxy) -> None:
        self._engine = engine
        self._proxy = proxy
        self._before = (engine.databases(), engine.users())

    async def settle(self) -> None:
        """Nothing there takes time."""

    async def external(self) -> Sequence[str]:
        found = await asyncio.to_thread(self._engine.databases)
        return sorted(found - self._before[0] - {"conductor_registry"})

    async def residue(self) -> Sequence[str]:
        return sorted(await asyncio.to_thread(self._engine.users) - self._before[1])

    async def vanish(self, name: str) -> None:
        await asyncio.to_thread(self._engine.drop, name)

    async def alter(self, name: str) -> str:
        await asyncio.to_thread(self._engine.limit, name, 99)
        return "connectionLimit"

    async def foreign(self, name: str, owner: Owner | None) -> None:
        await asyncio.to_thread(self._engine.make, name)
        if owner is not None:
            await asyncio.to_thread(self._engine.mark, name, str(Mark.of(owner, Stage.MADE)))

    async def fault(self, fault: Fault | None) -> None:
        await asyncio.to_thread(self._engine.let_admin_in, fault is not Fault.THROTTLED)
        if fault is Fault.OUTAGE:
            self._proxy.refuse()
        else:
            self._proxy.heal()

    async def accepts(self, name: str, credentials: SecretData) -> bool:
        def opens() -> bool:
            try:
                self._engine.open(credentials, name).close()
            except self._engine.refused:
                return False
            return True

        return await asyncio.to_thread(opens)


@pytest.fixture
def subject_of() -> Iterator[Callable[[Engine, Mapping[str, Any]], Subject]]:
    """The driver on a server, through a proxy that can be cut."""
    proxies: list[TcpProxy] = []

    def make(engine: Engine, more: Mapping[str, Any]) -> Subject:
        endpoint = engine.address.endpoint
        proxies.append(TcpProxy(endpoint.host, endpoint.port))
        server = {"engine": engine.kind.value, "host": "127.0.0.1", "port": proxies[-1].port}
        login = {"username": engine.address.username, "password": engine.address.password}
        return Subject(
            kind=KIND,
            factory=SQLServers(),
            stand_in=RealServer(engine, proxies[-1]),
            spec={"engine": engine.kind.value, "connectionLimit": 20},
            changed={"connectionLimit": 30},
            invalid={"characterSet": "klingon"},
            account={"secret": SecretData(login), "settings": {"server": Server.model_validate(server)}},
            sample=4,
            **more,
        )

    yield make
    for proxy in proxies:
        proxy.close()


class TestPostgreSQL(Conformance):
    @pytest.fixture
    def subject(self, postgres_engine: Postgres, subject_of: Callable[..., Subject]) -> Subject:
        return subject_of(postgres_engine, {"driver": "SQLDatabase on PostgreSQL"})


class TestMariaDB(Conformance):
    @pytest.fixture
    def subject(self, maria_engine: Maria, subject_of: Callable[..., Subject]) -> Subject:
        return subject_of(maria_engine, {"driver": "SQLDatabase on MariaDB"})

"""From a ProviderConfig to the driver of its server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Self

from conductor_model.concrete import Endpoint
from conductor_model.providerconfig import Server as ServerSettings
from conductor_model.sqldatabase import SQLDatabaseSpec, SQLDatabaseStatus, SQLEngine
from conductor_provisioner.credentials import new_password
from conductor_provisioner.driver import Account, Calls, Driver, SecretData
from conductor_provisioner.errors import Refused
from conductor_sql_provisioner.driver import SQLDriver
from conductor_sql_provisioner.mysql import MySQLServer
from conductor_sql_provisioner.postgres import PostgreSQLServer
from conductor_sql_provisioner.server import STATEMENT_TIMEOUT, Address, Server

_USUAL_PORTS = {SQLEngine.POSTGRES: 5432, SQLEngine.MYSQL: 3306}
_ENGINES: dict[SQLEngine, Callable[[Address, Calls], Server]] = {
    SQLEngine.POSTGRES: PostgreSQLServer,
    SQLEngine.MYSQL: MySQLServer,
}
_TIMEOUT_VARIABLE = "CONDUCTOR_SQL_STATEMENT_TIMEOUT"


class SQLServers:
    """The factory of the drivers: one for each server. Nothing is opened before it is needed."""

    def __init__(self, statement_timeout: int = STATEMENT_TIMEOUT) -> None:
        self._statement_timeout = statement_timeout

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Raises ValueError that names the variable."""
        text = environ.get(_TIMEOUT_VARIABLE)
        if not text:
            return cls()
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(f"{_TIMEOUT_VARIABLE}: {text!r} is not a number of seconds of at least 1")
        return cls(int(text))

    async def open(self, account: Account) -> SQLDriver:
        address = replace(address_of(account), statement_timeout=self._statement_timeout)
        return SQLDriver(address, _ENGINES[address.engine](address, account.calls), new_password=new_password)

    async def close(self, driver: Driver[SQLDatabaseSpec, SQLDatabaseStatus]) -> None:
        if isinstance(driver, SQLDriver):
            await driver.close()


def address_of(account: Account) -> Address:
    """Raises Refused for what an administrator must add to the ProviderConfig or its Secret."""
    server = account.settings.get("server")
    if not isinstance(server, ServerSettings):
        raise _incomplete(
            account,
            "an SQLDatabase needs to be told its server: name a ProviderConfig of the provider sql in "
            "spec.providerConfigRef, or make one the default",
        )
    secret = account.secret or SecretData({})
    missing = [key for key in ("username", "password") if not secret.get(key)]
    if missing:
        raise _incomplete(account, f"the Secret of spec.auth lacks {' and '.join(missing)}")
    engine = SQLEngine(server.engine.value)
    return Address(
        engine,
        Endpoint(host=server.host, port=server.port or _USUAL_PORTS[engine]),
        secret["username"],
        secret["password"],
        server.tls.mode if server.tls is not None else None,
        account.settings.get("ca"),
    )


def _incomplete(account: Account, message: str) -> Refused:
    return Refused("Connect", account.name, "Incomplete", message, reason="ProviderConfigIncomplete")

"""From a ProviderConfig to a server: what is missing is named, and TLS is as strict as was asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pymysql
import pytest

from conductor_dev.certificates import make_certificates
from conductor_dev.ports import free_port
from conductor_model.providerconfig import Server, TlsMode
from conductor_model.sqldatabase import SQLDatabaseSpec, SQLDatabaseStatus, SQLEngine
from conductor_provisioner.driver import Account, Calls, Owner, Resource, SecretData
from conductor_provisioner.errors import Refused, Terminal, Transient
from conductor_sql_provisioner.mysql import sort
from conductor_sql_provisioner.servers import SQLServers, address_of

if TYPE_CHECKING:
    from .conftest import Engine, Stage

LOGIN = {"username": "admin", "password": "secret-of-the-admin"}


@dataclass
class Direct:
    """Passes calls on."""

    async def awaiting(self, action: str, target: str, call: Any) -> Any:
        return await call()

    async def blocking(self, action: str, target: str, call: Any) -> Any:
        return call()


def account(secret: dict[str, str] | None = None, **server: Any) -> Account:
    settings = {"server": Server.model_validate({"engine": "postgres", "host": "db.example", **server})}
    data = SecretData(LOGIN if secret is None else secret)
    return Account(name="team/server", calls=cast(Calls, Direct()), secret=data, settings=settings)


def test_the_port_is_the_engines_usual_one_unless_said_otherwise() -> None:
    assert address_of(account()).endpoint.port == 5432
    assert address_of(account(engine="mysql")).endpoint.port == 3306
    assert address_of(account(port=6543)).endpoint.port == 6543


def test_without_a_provider_config_an_administrator_is_told_to_name_one() -> None:
    with pytest.raises(Refused, match="providerConfigRef"):
        address_of(Account(name="ambient", calls=cast(Calls, Direct())))


@pytest.mark.parametrize("key", ["username", "password"])
def test_a_secret_that_lacks_something_is_told_of_without_showing_the_rest(key: str) -> None:
    with pytest.raises(Refused, match=f"lacks {key}") as refused:
        address_of(account({name: value for name, value in LOGIN.items() if name != key}))
    assert LOGIN["password"] not in str(refused.value)


def test_an_address_never_shows_the_password() -> None:
    assert LOGIN["password"] not in repr(address_of(account()))


@pytest.mark.integration
@pytest.mark.parametrize("mode", [TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL])
async def test_a_server_is_reached_with_tls_and_its_authority_is_handed_on(
    engine: Engine, with_tls: Callable[[TlsMode, str], Stage], mode: TlsMode
) -> None:
    stage = with_tls(mode, engine.ca)
    resource = await stage.settle(stage.resource())
    assert resource.credentials is not None
    assert resource.credentials["certificates"] == engine.ca
    await stage.remove(resource)


@pytest.mark.integration
async def test_a_server_that_cannot_prove_itself_gets_no_password(
    with_tls: Callable[[TlsMode, str], Stage], tmp_path: Path
) -> None:
    stage = with_tls(TlsMode.VERIFY_FULL, make_certificates(tmp_path).authority.read_text())
    with pytest.raises(Transient, match=r"(?i)certificate"):
        await stage.driver.observe(stage.resource())


@pytest.mark.integration
async def test_an_administrator_who_is_not_let_in_is_for_a_person_to_change(engine: Engine) -> None:
    servers = SQLServers()
    opened = await servers.open(_account_at(engine, "not-the-password"))
    with pytest.raises(Refused) as refused:
        await opened.observe(_resource(engine))
    assert "not-the-password" not in str(refused.value)
    await servers.close(opened)


@pytest.mark.integration
async def test_a_server_that_is_away_is_tried_again(engine: Engine) -> None:
    nowhere = free_port()
    servers = SQLServers()
    opened = await servers.open(_account_at(engine, "any", port=nowhere))
    with pytest.raises(Transient):
        await opened.observe(_resource(engine))
    await servers.close(opened)


@pytest.mark.integration
async def test_a_server_of_another_engine_is_told_of(engine: Engine) -> None:
    servers = SQLServers()
    opened = await servers.open(_account_at(engine, engine.address.password))
    other = next(each for each in SQLEngine if each is not engine.kind)
    with pytest.raises(Terminal, match="engine"):
        await opened.observe(_resource(engine, other))
    await servers.close(opened)


def _account_at(engine: Engine, password: str, port: int | None = None) -> Account:
    endpoint = engine.address.endpoint
    secret = {"username": engine.address.username, "password": password}
    return account(secret, engine=engine.kind.value, host=endpoint.host, port=port or endpoint.port)


def _resource(engine: Engine, kind: SQLEngine | None = None) -> Resource[SQLDatabaseSpec, SQLDatabaseStatus]:
    owner = Owner("cluster-1", "uid-of-servers", "team", "orders")
    spec = SQLDatabaseSpec.model_validate({"engine": kind or engine.kind})
    return Resource(external_name="orders_of_servers", owner=owner, spec=spec, status=SQLDatabaseStatus())


def test_a_connection_that_ended_before_it_was_ended_is_no_fault_of_the_spec() -> None:
    error = sort("DisableUsers", "shop", pymysql.err.OperationalError(1094, "Unknown thread id: 7"))

    assert isinstance(error, Transient)


async def test_a_call_is_given_the_time_that_a_statement_may_take() -> None:
    usual = await SQLServers.from_environment({}).open(account(LOGIN))
    short = await SQLServers.from_environment({"CONDUCTOR_SQL_STATEMENT_TIMEOUT": "20"}).open(account(LOGIN))
    assert (usual.call_seconds, short.call_seconds) == (130, 30)


@pytest.mark.parametrize("text", ["0", "-1", "2m", "soon"])
def test_a_timeout_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="CONDUCTOR_SQL_STATEMENT_TIMEOUT"):
        SQLServers.from_environment({"CONDUCTOR_SQL_STATEMENT_TIMEOUT": text})

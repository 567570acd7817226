"""The driver: looks, lets ``decide`` say what to do, and has the engine do it, one call after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import cast

from conductor_model.concrete import ConcreteSpec
from conductor_model.sqldatabase import SQLDatabaseSpec
from conductor_provisioner.driver import (
    CLUSTER_TAG,
    OBJECT_TAG,
    UID_TAG,
    CredentialsFrom,
    Owner,
    Ownership,
    SecretData,
    Tagged,
)
from conductor_provisioner.errors import Refused, Terminal
from conductor_sql_provisioner.decide import (
    Issue,
    ServedAt,
    SQLObservation,
    SQLResource,
    issue,
    observation,
    owner_of,
    steps_for_users,
    steps_to_make,
    steps_to_remove,
)
from conductor_sql_provisioner.marks import Mark, Stage
from conductor_sql_provisioner.names import Names, default_database, names_of, unusable
from conductor_sql_provisioner.server import CONNECT_TIMEOUT, Address, Server
from conductor_sql_provisioner.state import Found, Rewrite


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found, and whether the stored credentials open the database."""

    found: Found
    let_in: bool


class SQLDriver:
    """The databases of one server."""

    credentials_from = CredentialsFrom.CLOUD
    recreates = False

    def __init__(self, address: Address, server: Server, *, new_password: Callable[[], str]) -> None:
        self.call_seconds = float(CONNECT_TIMEOUT + address.statement_timeout)
        self._address = address
        self._server = server
        self._new_password = new_password

    def external_name(self, owner: Owner, spec: ConcreteSpec) -> str:
        return default_database(owner, cast(SQLDatabaseSpec, spec))

    async def observe(self, resource: SQLResource) -> SQLObservation:
        names = self._names(resource)
        return self._observation(resource, names, await self._look(resource, names))

    async def create(self, resource: SQLResource) -> SQLObservation:
        return await self._go_on(resource)

    async def update(self, resource: SQLResource, observed: SQLObservation) -> SQLObservation:
        if observed.failed:
            return observed
        return await self._go_on(resource)

    async def delete(self, resource: SQLResource, observed: SQLObservation) -> None:
        names = self._names(resource)
        for step in steps_to_remove(resource, await self._server.look(names)):
            await self._server.carry_out(step, names)

    async def release(self, resource: SQLResource, observed: SQLObservation) -> None:
        """Mark as nobody's what stays as it is: another object may be given it then."""
        names = self._names(resource)
        found = await self._server.look(names)
        if found.database is not None and owner_of(found, resource.owner) is Ownership.OURS:
            await self._server.carry_out(Rewrite(Mark.of(resource.owner, Stage.KEPT)), names)

    async def tagged(self, cluster_id: str) -> AsyncIterator[Tagged]:
        """Databases, and what is left of those that are gone; not what was to be kept."""
        seen: set[str] = set()
        everything = await self._server.marked()
        for each in sorted(everything, key=lambda marked: not marked.is_database):
            tags = each.mark.tags
            uid = tags.get(UID_TAG, "")
            if tags.get(CLUSTER_TAG) != cluster_id or each.mark.stage is Stage.KEPT:
                continue
            if each.is_database or uid not in seen:
                seen.add(uid)
                what = "database" if each.is_database else "users of a database that is gone"
                host = self._address.endpoint.host
                yield Tagged(each.name, uid, f"{what} on {host}, made for {tags.get(OBJECT_TAG, '')}")

    async def close(self) -> None:
        await self._server.close()

    async def _go_on(self, resource: SQLResource) -> SQLObservation:
        """From whatever is there to a database that is as asked for and lets its user in."""
        names = self._names(resource)
        look = await self._look(resource, names)
        if owner_of(look.found, resource.owner) is Ownership.ANOTHERS:
            return self._observation(resource, names, look)
        for step in steps_to_make(resource, names, look.found):
            await self._server.carry_out(step, names)
        issued = issue(resource, names, look.found, let_in=look.let_in, new_password=self._new_password)
        for step in steps_for_users(resource, names, look.found, issued, let_in=look.let_in):
            await self._server.carry_out(step, names)
        return await self._result(resource, names, issued)

    async def _result(self, resource: SQLResource, names: Names, issued: Issue | None) -> SQLObservation:
        if issued is None or not issued.new:
            look = await self._look(resource, names)
            if not look.let_in:
                raise _locked_out(names, resource.credentials)
            return self._observation(resource, names, look)
        credentials = SecretData({"username": names.user(issued.slot), "password": issued.password})
        stored = replace(resource, credentials=credentials, rotation=None)
        look = await self._look(stored, names)
        if not look.let_in:
            raise _locked_out(names, credentials)
        observed = self._observation(stored, names, look)
        return replace(
            observed,
            credentials=SecretData({**credentials, **(observed.credentials or {})}),
            # The server has them. What else there is to do to the users is done once they are stored.
            credentials_applied=True,
            rotated=issued.rotation,
        )

    async def _look(self, resource: SQLResource, names: Names) -> _Look:
        found = await self._server.look(names)
        database, record = found.database, found.record
        ours = owner_of(found, resource.owner) is Ownership.OURS
        if database is None or not ours or record is None or record.stage is not Stage.MADE:
            return _Look(found, let_in=False)
        if resource.spec.extensions:
            extensions = await self._server.extensions(names)
            found = replace(found, database=replace(database, extensions=extensions))
        known = resource.credentials is not None and names.slot_of(resource.credentials.get("username", ""))
        let_in = bool(known) and await self._server.lets_in(names, resource.credentials or {})
        return _Look(found, let_in)

    def _observation(self, resource: SQLResource, names: Names, look: _Look) -> SQLObservation:
        served = ServedAt(self._address.endpoint, self._address.certificates)
        return observation(resource, names, served, look.found, let_in=look.let_in)

    def _names(self, resource: SQLResource) -> Names:
        """Raises Terminal for what this server cannot have."""
        name, spec = resource.external_name, resource.spec
        if spec.engine is not self._address.engine:
            text = f"spec.engine is {spec.engine}, but the server of the ProviderConfig is {self._address.engine}"
            raise Terminal("Look", name, "WrongEngine", f"{text}: name one of that engine")
        why = unusable(name)
        if why is not None:
            raise Terminal("Look", name, "InvalidName", why)
        return names_of(name, resource.owner, spec)


def _locked_out(names: Names, credentials: SecretData | None) -> Refused:
    user = credentials["username"] if credentials is not None else names.owner
    return Refused(
        "LogIn",
        user,
        "LoginRefused",
        f"the server does not let this user into database {names.database}, though its password was just set: see "
        "what the server's configuration (such as pg_hba.conf) says of it",
    )

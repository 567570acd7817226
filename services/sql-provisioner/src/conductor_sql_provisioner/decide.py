"""What is so, and what to do: pure functions from the wish and what was found on the server.

Promises: what carries no mark of ours is never changed, but on the administrator's word (adoption); a database that
somebody dropped is not made again; the user whose password is in use stays as it is until its successor's is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from conductor_model.concrete import Endpoint
from conductor_model.quantity import Quantity
from conductor_model.sqldatabase import OnDelete, SQLDatabaseSpec, SQLDatabaseStatus
from conductor_model.version import EngineVersion, VersionConstraint
from conductor_provisioner.driver import (
    NOT_THERE,
    Drift,
    Observation,
    Owner,
    Ownership,
    Resource,
    SecretData,
)
from conductor_sql_provisioner.marks import Mark, Stage
from conductor_sql_provisioner.names import Names, Slot
from conductor_sql_provisioner.state import (
    AddExtensions,
    DisableUsers,
    DropDatabase,
    DropUsers,
    EnableUser,
    Found,
    FoundDatabase,
    FoundUser,
    LetExpire,
    MakeDatabase,
    Reserve,
    Rewrite,
    Step,
    TakeDatabase,
)

SQLResource = Resource[SQLDatabaseSpec, SQLDatabaseStatus]
SQLObservation = Observation[SQLDatabaseStatus]

_LOOK_AGAIN = 1.0
"""Seconds after which what a rotation has left to do is done: when the new password is stored."""


@dataclass(frozen=True, slots=True)
class ServedAt:
    """Where applications connect, and whom they trust there."""

    endpoint: Endpoint
    certificates: str | None = None
    """The authorities that signed the server's certificate, as PEM."""


def owner_of(found: Found, owner: Owner) -> Ownership:
    """Whose the database is. A role of ours in name only makes it another's: it could not be used."""

    def foreign(mark: Mark | None) -> bool:
        return mark is None or not owner.owns(mark.tags)

    if (found.reserved and foreign(found.record)) or any(foreign(user.mark) for user in found.users.values()):
        return Ownership.ANOTHERS
    if found.database is None:
        return Ownership.OURS
    mark = found.database.mark
    if mark is None:
        return Ownership.OURS if found.database.made_by_us and found.reserved else Ownership.NOBODYS
    if mark.stage is Stage.KEPT:
        return Ownership.NOBODYS
    return Ownership.OURS if owner.owns(mark.tags) else Ownership.ANOTHERS


def observation(
    resource: SQLResource, names: Names, server: ServedAt, found: Found, *, let_in: bool
) -> SQLObservation:
    """``let_in``: whether the credentials of the resource were tried, and opened the database."""
    if _nothing_of_ours(found, resource.owner):
        return NOT_THERE
    ownership = owner_of(found, resource.owner)
    if ownership is Ownership.ANOTHERS:
        return Observation(exists=True, ownership=ownership)
    record, database = found.record, found.database
    if database is None and (record is None or record.stage is Stage.MADE):
        return Observation(
            exists=True,
            failed=True,
            # There is nothing to apply them to: as it was.
            credentials_applied=resource.credentials_applied,
            message=f"database {names.database} was dropped by somebody else; its users are still there",
        )
    if database is None:
        # The record stays as long as a statement that makes the database may be under way: it is known by nothing else.
        return Observation(exists=False, leftovers=True)
    pending = tuple(_steps_for_users(resource, names, found, let_in=let_in))
    waits = rotation_waits(resource, names, found)
    current = _current(resource, names)
    return Observation(
        exists=True,
        ownership=ownership,
        ready=ownership is Ownership.OURS
        and database.mark is not None
        and not _removing(record)
        and (let_in or resource.credentials is None),
        message=f"database {names.database} is being removed" if _removing(record) else "",
        endpoint=server.endpoint,
        drift=tuple(_drift(resource.spec, found, database)),
        engine_version=_plain(found.version),
        credentials=_certificates(server) if resource.credentials is not None else None,
        credentials_applied=let_in and not pending,
        details={
            "used_storage": _rounded(database.size),
            "username": names.user(current) if current is not None else None,
        },
        poll_after=_LOOK_AGAIN if pending else waits or _next_expiry(found),
    )


def steps_to_make(resource: SQLResource, names: Names, found: Found) -> Iterator[Step]:
    """Towards a database that is as the spec asks, users aside."""
    spec, made = resource.spec, Mark.of(resource.owner, Stage.MADE)
    database = found.database
    if not found.reserved:
        yield Reserve(Mark.of(resource.owner, Stage.MAKING))
    if database is None:
        if found.record is not None and found.record.stage is not Stage.MAKING:
            return
        yield MakeDatabase(spec.character_set, spec.collation)
    if (
        database is None
        or database.mark != made
        or found.record != made
        or database.open_to_all
        or spec.connection_limit != database.connection_limit
    ):
        yield TakeDatabase(made, spec.connection_limit)
    there = database.extensions if database is not None else frozenset()
    missing = tuple(each for each in spec.extensions if each not in there)
    if missing:
        yield AddExtensions(missing)


@dataclass(frozen=True, slots=True)
class Issue:
    """Credentials to be given to the server, and to whoever connects."""

    slot: Slot
    password: str
    new: bool
    rotation: str | None = None

    def __repr__(self) -> str:
        return f"Issue({self.slot}, new={self.new})"


def issue(
    resource: SQLResource, names: Names, found: Found, *, let_in: bool, new_password: Callable[[], str]
) -> Issue | None:
    """The credentials that are missing, or asked for; None where those that are there do.

    New ones until they are stored; stored ones again where the server does not know them any more; and for a rotation
    the other user's, once nobody can be using that one any more.
    """
    current = _current(resource, names)
    if current is None or resource.credentials is None:
        return Issue(Slot.A, new_password(), new=True)
    if resource.rotation is not None and rotation_waits(resource, names, found) is None:
        return Issue(current.other, new_password(), new=True, rotation=resource.rotation)
    if not let_in:
        return Issue(current, resource.credentials["password"], new=False)
    return None


def steps_for_users(
    resource: SQLResource, names: Names, found: Found, issued: Issue | None, *, let_in: bool
) -> Iterator[Step]:
    """Let in who is given the credentials, and out who had them before, in time."""
    if issued is not None:
        mark = Mark.of(resource.owner, Stage.MADE).answering(issued.rotation)
        secret = SecretData({"password": issued.password})
        yield EnableUser(issued.slot, secret, mark, resource.spec.connection_limit)
        if issued.rotation is not None:
            return
    yield from _steps_for_users(resource, names, found, let_in=let_in)


def steps_to_remove(resource: SQLResource, found: Found) -> Iterator[Step]:
    """By the policy. Whatever is left is found again by its record, which goes last, and alone, with the users."""
    present = tuple(slot for slot in Slot if slot in found.users)
    if found.database is not None and resource.spec.on_delete is not OnDelete.DROP:
        if resource.spec.on_delete is OnDelete.LOCK_USER and present:
            yield DisableUsers(present, end_connections=True)
        yield Rewrite(Mark.of(resource.owner, Stage.KEPT))
        return
    if found.database is not None:
        if not _removing(found.record):
            yield Rewrite(Mark.of(resource.owner, Stage.REMOVING))
        if any(user.enabled for user in found.users.values()):
            yield DisableUsers(present)
        yield DropDatabase()
        return
    yield DropUsers()


def rotation_waits(resource: SQLResource, names: Names, found: Found) -> float | None:
    """Seconds until a rotation that is asked for can be had: the other user's password may still be in use."""
    current = _current(resource, names)
    if resource.rotation is None or current is None:
        return None
    other = found.users.get(current.other)
    if other is None or not other.enabled or _lost(resource, other):
        return None
    if other.expires is None:
        # Its successor is stored, and it is about to be let expire.
        return float(resource.spec.rotation_grace_seconds) or None
    left = (other.expires - found.now) / timedelta(seconds=1)
    return left if left > 0 else None


def _steps_for_users(
    resource: SQLResource, names: Names, found: Found, *, let_in: bool
) -> Iterator[LetExpire | DisableUsers]:
    """What becomes of the user that is not in use: nothing before its successor is known to be let in."""
    current = _current(resource, names)
    if current is None or not let_in:
        return
    other = found.users.get(current.other)
    if other is None or not other.enabled or _lost(resource, other):
        return
    if other.expires is None and resource.spec.rotation_grace_seconds > 0:
        yield LetExpire(current.other, resource.spec.rotation_grace_seconds)
    elif other.expires is None or other.expires <= found.now:
        yield DisableUsers((current.other,))


def _lost(resource: SQLResource, other: FoundUser) -> bool:
    """Whether a password was issued for this very request and then lost: nobody has it."""
    asked = resource.rotation
    return asked is not None and other.mark is not None and other.mark.answers(asked)


def _current(resource: SQLResource, names: Names) -> Slot | None:
    """The user whose credentials are stored; None where there are none that we issued."""
    credentials = resource.credentials
    if credentials is None or not credentials.get("password"):
        return None
    return names.slot_of(credentials.get("username", ""))


def _nothing_of_ours(found: Found, owner: Owner) -> bool:
    """Nothing there; or what we left when the object was deleted, as its policy said."""
    record = found.record
    if found.reserved and record is not None and record.stage is Stage.KEPT and owner.owns(record.tags):
        return True
    return found.database is None and not found.reserved and not found.users


def _removing(record: Mark | None) -> bool:
    return record is not None and record.stage is Stage.REMOVING


def _next_expiry(found: Found) -> float | None:
    ends = [user.expires for user in found.users.values() if user.enabled and user.expires is not None]
    return max(_LOOK_AGAIN, (min(ends) - found.now) / timedelta(seconds=1)) if ends else None


def _drift(spec: SQLDatabaseSpec, found: Found, database: FoundDatabase) -> Iterator[Drift]:
    elsewhere = "an SQLDatabase stays on its server"
    if spec.version is not None and not VersionConstraint.parse(spec.version).admits(
        EngineVersion.parse(_plain(found.version))
    ):
        yield Drift("version", spec.version, found.version, repairable=False, why=elsewhere)
    for field, wanted, has in (
        ("characterSet", spec.character_set, database.character_set),
        ("collation", spec.collation, database.collation),
    ):
        if wanted is not None and _same(wanted) != _same(has):
            yield Drift(field, wanted, has, repairable=False, why="it is chosen when a database is made")
    if spec.connection_limit != database.connection_limit:
        wanted, has = (str(each or "none") for each in (spec.connection_limit, database.connection_limit))
        yield Drift("connectionLimit", wanted, has)
    if database.open_to_all and database.mark is not None:
        yield Drift("access", "its own users only", "every user of the server")
    missing = [each for each in spec.extensions if each not in database.extensions]
    if missing:
        yield Drift(
            "extensions", ", ".join(spec.extensions), ", ".join(sorted(database.extensions)) or "none"
        )


def _same(name: str) -> str:
    """Servers write UTF8, utf-8 and UTF-8 for one thing."""
    return name.replace("-", "").lower()


def _certificates(server: ServedAt) -> SecretData | None:
    return SecretData({"certificates": server.certificates}) if server.certificates is not None else None


def _plain(version: str) -> str:
    """``10.11.6-MariaDB`` is 10.11.6, and ``16.4 (Debian 16.4-1)`` is 16.4."""
    return version.split("-", maxsplit=1)[0].split(" ", maxsplit=1)[0]


def _rounded(size: int) -> Quantity:
    """Up to an eighth, and in whole Mi, so that a database that is written to does not change its status each time."""
    step = max(1 << 20, 1 << max(0, size.bit_length() - 4))
    mebi = -(-size // step) * step >> 20
    return Quantity.parse(f"{mebi}Mi")

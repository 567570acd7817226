"""What is found on a server of one SQLDatabase, and the steps by which it is changed.

Each step is one call: whatever dies between two of them leaves something that is recognised, and gone on with. Each may
be taken again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from conductor_provisioner.driver import SecretData
from conductor_sql_provisioner.marks import Mark
from conductor_sql_provisioner.names import Slot


@dataclass(frozen=True, slots=True)
class FoundUser:
    mark: Mark | None
    enabled: bool
    expires: datetime | None
    """When its password stops working; None: it does not."""


@dataclass(frozen=True, slots=True)
class FoundDatabase:
    mark: Mark | None
    made_by_us: bool
    """Whether it is, without a mark of its own, what the record says that we were about to make."""
    character_set: str
    collation: str
    size: int
    """Bytes on disk."""
    connection_limit: int | None = None
    open_to_all: bool = False
    """Whether every user of the server may connect to it."""
    extensions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Found:
    """All that there is under the names of one SQLDatabase. Times are the server's."""

    now: datetime
    version: str
    reserved: bool = False
    """Whether the record exists: the owner role, or the row of the table."""
    record: Mark | None = None
    database: FoundDatabase | None = None
    users: Mapping[Slot, FoundUser] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reserve:
    """Write down, and with that begin, what is to be made."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class MakeDatabase:
    character_set: str | None
    collation: str | None


@dataclass(frozen=True, slots=True)
class TakeDatabase:
    """Mark it, keep everybody else out, and limit its connections."""

    mark: Mark
    connection_limit: int | None


@dataclass(frozen=True, slots=True)
class AddExtensions:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnableUser:
    """Let the user in with this password."""

    slot: Slot
    password: SecretData
    """Its entry ``password``."""
    mark: Mark
    connection_limit: int | None


@dataclass(frozen=True, slots=True)
class LetExpire:
    """The user's password works for so many seconds more."""

    slot: Slot
    seconds: int


@dataclass(frozen=True, slots=True)
class DisableUsers:
    """Nobody logs in as these any more. Connections in use stay, unless they are to end."""

    slots: tuple[Slot, ...]
    end_connections: bool = False


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Replace the marks of record and database."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class DropDatabase:
    pass


@dataclass(frozen=True, slots=True)
class DropUsers:
    """And with them the record: the last step."""


Step = (
    Reserve
    | MakeDatabase
    | TakeDatabase
    | AddExtensions
    | EnableUser
    | LetExpire
    | DisableUsers
    | Rewrite
    | DropDatabase
    | DropUsers
)

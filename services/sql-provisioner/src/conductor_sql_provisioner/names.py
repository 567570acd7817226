"""What a database, its owner and its users are called on the server: pure functions of whose they are.

Names of users are the server's, not the database's: they are made unique, so that claims which ask for the same
``masterUsername`` can share a server.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from conductor_model.sqldatabase import SQLDatabaseSpec
from conductor_provisioner.driver import Owner

DEFAULT_USERNAME = "conductor"
MAX_NAME_BYTES = 63
"""Of PostgreSQL, which cuts longer ones off without a word (Identifiers and Key Words); MySQL takes 64 characters."""
_MAX_READABLE_USER = 17
"""With what makes it unique it stays within MySQL's 32 characters of a user's name."""
_DIGITS = 10
_RESERVED = frozenset(
    {"postgres", "template0", "template1", "mysql", "sys", "information_schema", "performance_schema"}
)
REGISTRY = "conductor_registry"
"""The database of a MySQL server in which we write down what is whose."""


class Slot(StrEnum):
    """One of the two users that take turns: each rotation gives out the other one."""

    A = "a"
    B = "b"

    @property
    def other(self) -> Slot:
        return Slot.B if self is Slot.A else Slot.A


@dataclass(frozen=True, slots=True)
class Names:
    database: str
    owner: str
    """PostgreSQL's role that owns what is in the database, and that nobody logs in as."""

    def user(self, slot: Slot) -> str:
        return f"{self.owner}_{slot.value}"

    def slot_of(self, user: str) -> Slot | None:
        return next((slot for slot in Slot if self.user(slot) == user), None)


def names_of(external_name: str, owner: Owner, spec: SQLDatabaseSpec) -> Names:
    readable = (spec.master_username or DEFAULT_USERNAME)[:_MAX_READABLE_USER]
    return Names(external_name, f"{readable}_{_digest(owner)}")


def default_database(owner: Owner, spec: SQLDatabaseSpec) -> str:
    """The name asked for; else the object's, in letters that need no quotes, made unique."""
    if spec.database_name is not None:
        return spec.database_name
    readable = re.sub(r"[^a-z0-9]+", "_", owner.name.lower())[: MAX_NAME_BYTES - _DIGITS - 1].strip("_")
    return f"{readable or 'db'}_{_digest(owner)}"


def unusable(database: str) -> str | None:
    """Why a database of ours cannot have this name; None if it can."""
    if not database or len(database.encode()) > MAX_NAME_BYTES:
        return f"names of databases have 1 to {MAX_NAME_BYTES} bytes"
    if "\0" in database or database != database.strip():
        return "names of databases hold no NUL, and no space at either end"
    if database.lower() in {*_RESERVED, REGISTRY}:
        return "it is the server's own, or Conductor's"
    return None


def _digest(owner: Owner) -> str:
    return hashlib.sha256(f"{owner.cluster_id}/{owner.uid}".encode()).hexdigest()[:_DIGITS]

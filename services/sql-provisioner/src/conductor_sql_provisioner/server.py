"""What the driver asks of a server, whatever its engine; and where that server is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from conductor_model.concrete import Endpoint
from conductor_model.providerconfig import TlsMode
from conductor_model.sqldatabase import SQLEngine
from conductor_sql_provisioner.marks import Mark
from conductor_sql_provisioner.names import Names
from conductor_sql_provisioner.state import Found, Step

CONNECT_TIMEOUT = 10
STATEMENT_TIMEOUT = 120
"""Seconds. A database of its size takes a while to drop."""
TOO_MANY_CONNECTIONS = 5.0
"""Seconds for which a server is left alone that takes no more of them."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server, and the administrator's login on it."""

    engine: SQLEngine
    endpoint: Endpoint
    username: str
    password: str = field(repr=False)
    tls: TlsMode | None = None
    """None: encrypted where the server can, and not checked."""
    certificates: str | None = None
    """The authorities to trust, as PEM; None: the system's."""
    statement_timeout: int = STATEMENT_TIMEOUT
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Marked:
    """Something on the server that carries a mark."""

    name: str
    mark: Mark
    is_database: bool
    """Else the record of one."""


class Server(Protocol):
    """One engine's way to look and to act. Every method is one call, through ``Account.calls``."""

    async def look(self, names: Names) -> Found: ...

    async def extensions(self, names: Names) -> frozenset[str]: ...

    async def lets_in(self, names: Names, credentials: Mapping[str, str]) -> bool:
        """Whether these credentials open the database, with its owner's rights."""
        ...

    async def marked(self) -> tuple[Marked, ...]:
        """All of Conductor's, whichever cluster's and object's."""
        ...

    async def carry_out(self, step: Step, names: Names) -> None: ...

    async def close(self) -> None: ...

"""What the author of a driver hands to the suite: the driver, a stand-in for its cloud, and a few specs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from conductor_model.kind import Kind
from conductor_provisioner.driver import DriverFactory, Owner, SecretData


class NotSimulated(Exception):
    """The stand-in cannot show this behaviour. The report says so, with the reason given, instead of passing it."""


class Fault(Enum):
    """What a cloud answers while something is wrong with it, whatever is asked."""

    THROTTLED = "throttled"
    """Too many calls; where the cloud's protocol can say so: come back after some seconds."""
    OUTAGE = "outage"
    """A failure of theirs, such as 503, or a connection that breaks."""


class StandIn(ABC):
    """The cloud behind the driver, as its own people see it. No method goes through the driver.

    What is begun there (a creation, a change, a deletion) stays under way until ``settle``, if the cloud knows
    operations that take time; else it is done at once, and ``settle`` does nothing.
    """

    @abstractmethod
    async def settle(self) -> None:
        """Let everything that is under way come to its end."""

    @abstractmethod
    async def external(self) -> Sequence[str]:
        """The name of each external resource of the kind that is there; also of one being made, or removed."""

    async def residue(self) -> Sequence[str]:
        """What else must be gone with an external resource: users, rules, addresses. Named, to be told to a person."""
        return ()

    @abstractmethod
    async def vanish(self, name: str) -> None:
        """Remove it behind the driver's back, at once."""

    @abstractmethod
    async def alter(self, name: str) -> str:
        """Change a field that the spec sets, behind the driver's back; how the driver's ``Drift.field`` calls it."""

    @abstractmethod
    async def foreign(self, name: str, owner: Owner | None) -> None:
        """Make an external resource under that name, ready for use, by somebody else: with ``owner``'s tags, or none."""

    @abstractmethod
    async def fault(self, fault: Fault | None) -> None:
        """From now on every call is answered so; None: no more."""

    async def accepts(self, name: str, credentials: SecretData) -> bool:
        """Whether these credentials open it now."""
        raise NotSimulated("the stand-in checks no credentials")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A driver and all that it takes to try it."""

    driver: str
    """Its name in the report."""
    kind: Kind
    factory: DriverFactory[Any, Any]
    stand_in: StandIn
    spec: Mapping[str, Any]
    """A small valid one, in the words of a manifest, without ``rebindPolicy``."""
    changed: Mapping[str, Any]
    """Fields of it that the cloud can change in place, with other values."""
    invalid: Mapping[str, Any]
    """Fields of it with values that the API server accepts and the cloud, or the driver, refuses for good."""
    account: Mapping[str, Any] = field(default_factory=dict)
    """What the driver's ``Account`` holds besides ``name`` and ``calls``: endpoint, region, secret, settings."""
    sample: int | None = None
    """Where a life takes seconds and not milliseconds: how many crash points, evenly spread, and about how many random
    lives a short run tries. With ``--conformance-kills`` all are tried."""

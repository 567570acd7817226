"""What this replica did a moment ago: it spares work, and nothing depends on it.

A claim's own status write comes back from the bus as a message a moment later. Without a memory that echo would cost
four reads of the API, and a message older than the write would make the claim look as if it had never been written.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from conductor_model.annotations import RECONCILE_REQUESTED_AT
from conductor_model.claims import Claim
from conductor_model.concrete import Concrete, Credentials, Endpoint

_SECONDS = 30.0
_CLAIMS = 4096


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that the connection objects are made from, but the credentials themselves."""

    secret_name: str
    config_map_name: str
    service_name: str | None
    concrete_uid: str
    endpoint: Endpoint | None
    facts: Mapping[str, str]
    credentials: Credentials | None
    requested_at: str | None
    """The annotation by which a person asks for a fresh look."""

    @classmethod
    def of(
        cls, claim: Claim, concrete: Concrete, endpoint: Endpoint | None, credentials: Credentials | None
    ) -> Inputs:
        return cls(
            claim.secret_name,
            claim.config_map_name,
            claim.service_name,
            concrete.uid,
            endpoint,
            concrete.connection_facts,
            credentials,
            claim.metadata.annotations.get(RECONCILE_REQUESTED_AT),
        )


@dataclass(frozen=True, slots=True)
class _Written:
    at: float
    claim: bytes = field(repr=False)
    resource_version: str
    published: Inputs | None


class RecentWrites:
    """The last write of each claim's status, by uid, for half a minute."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._written: OrderedDict[str, _Written] = OrderedDict()

    def wrote(self, uid: str, resource_version: str, claim: bytes) -> None:
        """``claim`` is the API server's answer to the write."""
        self._put(uid, _Written(self._monotonic(), claim, resource_version, None))

    def settled(self, uid: str, inputs: Inputs) -> None:
        """Everything that follows from these inputs is done."""
        written = self._recent(uid) or _Written(self._monotonic(), b"", "", None)
        self._put(uid, replace(written, published=inputs))

    def newest(self, uid: str, resource_version: str, claim: bytes) -> bytes:
        """``claim``, or what this replica wrote if that is newer."""
        written = self._recent(uid)
        if written is not None and _newer(written.resource_version, resource_version):
            return written.claim
        return claim

    def published_from(self, uid: str, inputs: Inputs) -> bool:
        """Whether the objects were made from these very inputs a moment ago."""
        written = self._recent(uid)
        return written is not None and written.published == inputs

    def _put(self, uid: str, written: _Written) -> None:
        self._written[uid] = written
        self._written.move_to_end(uid)
        while len(self._written) > _CLAIMS:
            self._written.popitem(last=False)

    def _recent(self, uid: str) -> _Written | None:
        written = self._written.get(uid)
        if written is not None and self._monotonic() - written.at > _SECONDS:
            del self._written[uid]
            return None
        return written


def _newer(one: str, other: str) -> bool:
    """resourceVersions of one kind can be compared (Kubernetes 1.35 guarantees it); others never count as newer."""
    return one.isdecimal() and other.isdecimal() and int(one) > int(other)

"""What the reconciler reads and writes in the Kubernetes API, as it wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from conductor_model.concrete import Concrete, ConcreteStatus
from conductor_model.meta import ObjectMeta
from conductor_provisioner.driver import SecretData

ConcreteT = TypeVar("ConcreteT", bound=Concrete)


class Overtaken(Exception):
    """The object is no longer what the message showed: whatever it is now, a newer message tells."""


@dataclass(frozen=True, slots=True)
class StoredCredentials:
    """A Secret with credentials."""

    secret_name: str
    secret_uid: str
    revision: str
    """Its resourceVersion."""
    made_for: str | None
    """The uid of the concrete resource that we made it for; None: it is somebody else's."""
    data: SecretData
    """Its entries, as far as they are text."""
    rotated: str | None = None
    """The request for new credentials that its content answers."""
    account: str | None = None
    """Where what it opens was to be made: known here before anything is."""


class Cluster(Protocol[ConcreteT]):
    """Raises a ``conductor_kube.KubeError`` where nothing else is said."""

    async def confirm(self, concrete: ConcreteT) -> None:
        """Ask the API server for the object. Raises Overtaken unless it is the very same, in the same version."""

    async def add_finalizer(self, concrete: ConcreteT) -> ConcreteT:
        """The object with our finalizer, fresh from the API. Raises Overtaken."""
        ...

    async def remove_finalizer(self, concrete: ConcreteT) -> None:
        """Let the object go. Raises Overtaken unless it is still in the version given."""

    async def credentials(self, namespace: str, secret_name: str) -> StoredCredentials | None: ...

    async def store_credentials(
        self, concrete: ConcreteT, secret_name: str, data: SecretData, rotated: str | None, account: str
    ) -> StoredCredentials:
        """Make the Secret, or return the one that has its name already, whoever made it."""
        ...

    async def replace_credentials(
        self, concrete: ConcreteT, stored: StoredCredentials, data: SecretData, rotated: str | None
    ) -> StoredCredentials:
        """Set these entries, and leave others that there are. Raises Conflict unless the Secret is still as given."""
        ...

    async def delete_credentials(self, namespace: str, stored: StoredCredentials) -> None:
        """Delete this very Secret; that it is gone already is success."""

    async def write_status(self, concrete: ConcreteT, status: ConcreteStatus) -> ObjectMeta | None:
        """Write what differs; the object's metadata afterwards, or None when nothing does. Raises Overtaken.

        The object may have changed otherwise meanwhile: its metadata tells.
        """
        ...

    def warn(self, concrete: ConcreteT, reason: str, note: str) -> None:
        """Emit a Kubernetes Event; never raises, never waits."""

"""What the reconciler reads and writes in the Kubernetes API, as it wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from conductor_aws_provisioner.external import MasterCredentials
from conductor_model.meta import ObjectMeta
from conductor_model.rds import RDSInstance, RDSInstanceStatus


class Overtaken(Exception):
    """The object is no longer what the message showed: whatever it is now, a newer message tells."""


@dataclass(frozen=True, slots=True)
class StoredCredentials:
    """A Secret with master credentials."""

    secret_name: str
    secret_uid: str
    revision: str
    """Its resourceVersion."""
    made_for: str | None
    """The uid of the concrete resource that we made it for; None: it is somebody else's."""
    credentials: MasterCredentials | None
    """None: the keys username and password are not both there."""


class Cluster(Protocol):
    """Raises a ``conductor_kube.KubeError`` where nothing else is said."""

    async def confirm(self, instance: RDSInstance) -> None:
        """Ask the API server for the object. Raises Overtaken unless it is the very same, in the same version."""

    async def add_finalizer(self, instance: RDSInstance) -> RDSInstance:
        """The object with our finalizer, fresh from the API. Raises Overtaken."""

    async def remove_finalizer(self, instance: RDSInstance) -> None:
        """Let the object go. Raises Overtaken unless it is still in the version given."""

    async def credentials(self, namespace: str, secret_name: str) -> StoredCredentials | None: ...

    async def store_credentials(
        self, instance: RDSInstance, secret_name: str, credentials: MasterCredentials
    ) -> StoredCredentials:
        """Make the Secret, or return the one that has its name already, whoever made it."""

    async def delete_credentials(self, namespace: str, stored: StoredCredentials) -> None:
        """Delete this very Secret; that it is gone already is success."""

    async def write_status(self, instance: RDSInstance, status: RDSInstanceStatus) -> ObjectMeta | None:
        """Write what differs; the object's metadata afterwards, or None when nothing does. Raises Overtaken.

        The object may have changed otherwise meanwhile: its metadata tells.
        """

    def warn(self, instance: RDSInstance, reason: str, note: str) -> None:
        """Emit a Kubernetes Event; never raises, never waits."""

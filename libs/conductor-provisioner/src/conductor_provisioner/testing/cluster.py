"""``cluster.Cluster`` in memory, with the API server's semantics: versions, finalizers, uids, conflicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, Generic, TypeVar

from conductor_kube import Conflict, Forbidden
from conductor_model.annotations import PROVISIONER_FINALIZER
from conductor_model.concrete import Concrete, ConcreteStatus
from conductor_model.meta import ObjectMeta
from conductor_model.refs import ObjectKey
from conductor_provisioner.cluster import Overtaken, StoredCredentials
from conductor_provisioner.driver import SecretData

ConcreteT = TypeVar("ConcreteT", bound=Concrete)


def _never(step: str) -> None:
    """Nothing happens between two steps."""


@dataclass
class MemoryCluster(Generic[ConcreteT]):
    """Objects of one kind, and Secrets. What a user does has plain methods; what the reconciler does is awaited.

    ``step`` is called with a name before each request, and after each one that has changed something: raise there to
    stop the process, as SIGKILL would.
    """

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    step: Callable[[str], None] = _never
    objects: dict[ObjectKey, ConcreteT] = field(default_factory=dict)
    secrets: dict[tuple[str, str], StoredCredentials] = field(default_factory=dict)
    """By namespace and name."""
    told: list[ConcreteT] = field(default_factory=list)
    """Every version of every object there ever was: what messages are made of."""
    status_writes: int = 0
    warnings: list[tuple[str, str]] = field(default_factory=list)
    forbidden: frozenset[str] = frozenset()
    """Of ``secrets`` and ``status``: what the provisioner has no rights on."""
    _versions: count[int] = field(default_factory=lambda: count(1))

    def put(self, concrete: ConcreteT, **metadata: Any) -> ConcreteT:
        """Store it as a new version. An object that is being deleted and has no finalizer is gone."""
        changed = {**metadata, "resource_version": self.version()}
        new = concrete.model_copy(update={"metadata": concrete.metadata.model_copy(update=changed)})
        self.told.append(new)
        if new.being_deleted and not new.metadata.finalizers:
            self.objects.pop(new.key, None)
        else:
            self.objects[new.key] = new
        return new

    def edit(self, key: ObjectKey, **spec: Any) -> ConcreteT:
        """Change fields of the spec, in the words of a manifest."""
        old = self.objects[key]
        document = old.model_dump(mode="json", by_alias=True, exclude_none=True)
        document["spec"] |= spec
        return self.put(type(old).model_validate(document), generation=old.metadata.generation + 1)

    def annotate(self, key: ObjectKey, **annotations: str) -> ConcreteT:
        """Set annotations of ours: ``paused="true"`` sets ``conductor.io/paused``."""
        old = self.objects[key]
        ours = {f"conductor.io/{name.replace('_', '-')}": value for name, value in annotations.items()}
        return self.put(old, annotations={**old.metadata.annotations, **ours})

    def delete(self, key: ObjectKey) -> None:
        old = self.objects.get(key)
        if old is not None and not old.being_deleted:
            self.put(old, deletion_timestamp=self.now())

    def put_secret(self, namespace: str, name: str, **entries: str) -> StoredCredentials:
        """Somebody makes or changes a Secret by hand."""
        version = self.version()
        old = self.secrets.get((namespace, name))
        stored = (
            StoredCredentials(name, f"secret-{version}", version, None, SecretData(entries))
            if old is None
            else replace(old, revision=version, data=SecretData({**old.data, **entries}))
        )
        self.secrets[namespace, name] = stored
        return stored

    def version(self) -> str:
        return str(next(self._versions))

    async def confirm(self, concrete: ConcreteT) -> None:
        self.step("confirm")
        self._same(concrete)

    async def add_finalizer(self, concrete: ConcreteT) -> ConcreteT:
        self.step("add finalizer")
        now = self._same(concrete)
        new = self.put(now, finalizers=(*now.metadata.finalizers, PROVISIONER_FINALIZER))
        self.step("finalizer added")
        return new

    async def remove_finalizer(self, concrete: ConcreteT) -> None:
        self.step("remove finalizer")
        now = self._same(concrete)
        rest = tuple(each for each in now.metadata.finalizers if each != PROVISIONER_FINALIZER)
        self.put(now, finalizers=rest)
        self.step("finalizer removed")

    async def credentials(self, namespace: str, secret_name: str) -> StoredCredentials | None:
        self.step("read credentials")
        self._needs_right("secrets")
        return self.secrets.get((namespace, secret_name))

    async def store_credentials(
        self, concrete: ConcreteT, secret_name: str, data: SecretData, rotated: str | None, account: str
    ) -> StoredCredentials:
        self.step("store credentials")
        self._needs_right("secrets")
        key = (concrete.metadata.namespace, secret_name)
        if key not in self.secrets:
            version = self.version()
            self.secrets[key] = StoredCredentials(
                secret_name, f"secret-{version}", version, concrete.uid, data, rotated, account
            )
        self.step("credentials stored")
        return self.secrets[key]

    async def replace_credentials(
        self, concrete: ConcreteT, stored: StoredCredentials, data: SecretData, rotated: str | None
    ) -> StoredCredentials:
        self.step("replace credentials")
        self._needs_right("secrets")
        key = (concrete.metadata.namespace, stored.secret_name)
        now = self.secrets.get(key)
        if now is None or (now.secret_uid, now.revision) != (stored.secret_uid, stored.revision):
            raise Conflict("changed", what=f"PATCH secrets {'/'.join(key)}", status=409)
        self.secrets[key] = replace(
            now,
            revision=self.version(),
            data=SecretData({**now.data, **data}),
            rotated=rotated if rotated is not None else now.rotated,
        )
        self.step("credentials replaced")
        return self.secrets[key]

    async def delete_credentials(self, namespace: str, stored: StoredCredentials) -> None:
        self.step("delete credentials")
        self._needs_right("secrets")
        now = self.secrets.get((namespace, stored.secret_name))
        if now is not None and now.secret_uid == stored.secret_uid:
            del self.secrets[namespace, stored.secret_name]
        self.step("credentials deleted")

    async def write_status(self, concrete: ConcreteT, status: ConcreteStatus) -> ObjectMeta | None:
        self.step("write status")
        self._needs_right("status")
        now = self.objects.get(concrete.key)
        if now is None or now.uid != concrete.uid:
            raise Overtaken("gone")
        if status == concrete.status:
            return None
        self.status_writes += 1
        new = self.put(now.model_copy(update={"status": status}))
        self.step("status written")
        return new.metadata

    def warn(self, concrete: ConcreteT, reason: str, note: str) -> None:
        self.warnings.append((reason, note))

    def _same(self, concrete: ConcreteT) -> ConcreteT:
        now = self.objects.get(concrete.key)
        if now is None or now.uid != concrete.uid:
            raise Overtaken("gone")
        if now.metadata.resource_version != concrete.metadata.resource_version:
            raise Overtaken("changed")
        return now

    def _needs_right(self, resource: str) -> None:
        if resource in self.forbidden:
            raise Forbidden("", what=f"GET {resource} in memory", status=403)

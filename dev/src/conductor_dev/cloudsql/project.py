"""The state behind the API: instances, their users and databases, operations, and names that are not free yet.

One operation is under way on an instance at a time. It has its effect when it ends, ``operation_seconds`` after it
began; what has ended is settled before each request.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from conductor_dev.cloudsql.refusals import in_progress, no_instance

Json = dict[str, Any]

NAME_RETIRED = timedelta(days=7)
"""Cloud SQL documentation, "Delete instances": how long the name of a deleted instance cannot be used."""


@dataclass
class Instance:
    """A DatabaseInstance as Google shows it, and what Google does not show."""

    resource: Json
    users: dict[tuple[str, str], Json] = field(default_factory=dict)
    """By name and host."""
    passwords: dict[tuple[str, str], str] = field(default_factory=dict)
    databases: dict[str, Json] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.resource["name"])

    @property
    def settings(self) -> Json:
        settings: Json = self.resource["settings"]
        return settings

    @property
    def is_mysql(self) -> bool:
        return str(self.resource["databaseVersion"]).startswith("MYSQL")

    @property
    def runs(self) -> bool:
        return self.resource["state"] == "RUNNABLE" and self.settings.get("activationPolicy") != "NEVER"


@dataclass
class Operation:
    """An operation, with what happens when it ends."""

    resource: Json
    began: float
    effect: Callable[[], None]
    on_failure: Callable[[], None]
    failure: Json | None = None
    """The ``OperationError`` that it ends with."""

    @property
    def done(self) -> bool:
        return bool(self.resource["status"] == "DONE")


class Clock:
    """The time, which tests may put forward."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)

    def text(self) -> str:
        return self.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class OperationFailure:
    """How the next operation of a type ends."""

    operation_type: str
    code: str
    message: str


class Project:
    """One Google Cloud project's Cloud SQL."""

    def __init__(self, name: str, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.clock = clock
        self.instances: dict[str, Instance] = {}
        self.operations: dict[str, Operation] = {}
        self.failures: list[OperationFailure] = []
        self.addresses = 0
        self._monotonic = monotonic
        self._retired: dict[str, datetime] = {}

    def instance(self, name: str) -> Instance:
        """Raises Refusal."""
        if name not in self.instances:
            raise no_instance()
        return self.instances[name]

    def name_is_retired(self, name: str) -> bool:
        deleted = self._retired.get(name)
        return deleted is not None and self.clock.now() < deleted + NAME_RETIRED

    def remove(self, name: str) -> None:
        """The instance is gone, and its name is not free."""
        del self.instances[name]
        self._retired[name] = self.clock.now()

    def under_way(self, instance: str) -> Operation | None:
        for operation in self.operations.values():
            if not operation.done and operation.resource["targetId"] == instance:
                return operation
        return None

    def begin(
        self,
        operation_type: str,
        target: str,
        effect: Callable[[], None],
        on_failure: Callable[[], None] = lambda: None,
    ) -> Json:
        """A new operation's resource. Raises Refusal while another one is under way on the instance."""
        if self.under_way(target) is not None:
            raise in_progress()
        now, name = self.clock.text(), str(uuid.uuid4())
        resource: Json = {
            "kind": "sql#operation",
            "name": name,
            "operationType": operation_type,
            "status": "PENDING",
            "insertTime": now,
            "targetId": target,
            "targetProject": self.name,
            "user": "conductor@example.com",
        }
        operation = Operation(resource, self._monotonic(), effect, on_failure)
        for failure in self.failures:
            if failure.operation_type == operation_type:
                self.failures.remove(failure)
                operation.failure = {
                    "kind": "sql#operationError",
                    "code": failure.code,
                    "message": failure.message,
                }
                break
        self.operations[name] = operation
        return dict(resource)

    def settle(self, operation_seconds: float) -> None:
        """End the operations that have taken their time."""
        now = self._monotonic()
        for operation in self.operations.values():
            if operation.done:
                continue
            operation.resource |= {"status": "RUNNING"}
            operation.resource.setdefault("startTime", self.clock.text())
            if now - operation.began < operation_seconds:
                continue
            operation.resource |= {"status": "DONE", "endTime": self.clock.text()}
            if operation.failure is None:
                operation.effect()
            else:
                operation.resource["error"] = {"kind": "sql#operationErrors", "errors": [operation.failure]}
                operation.on_failure()

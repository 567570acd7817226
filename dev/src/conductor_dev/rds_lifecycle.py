"""Gives moto's RDS instances the life that they have in AWS: creating, modifying and deleting take time.

moto itself has an instance available, changed and gone at once, so that nothing that waits is ever exercised. All
transitions take the same delay; setting it holds for those under way, too, so that 0 completes them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.rds.exceptions import RDSClientError
from moto.rds.models import DBInstance, RDSBackend

_STATUS = "conductor_status"


@dataclass(frozen=True)
class _Transition:
    status: str
    began: float


class RdsLifecycle:
    """Patches moto's classes, so that there can be one in a process. Calls must not overlap."""

    def __init__(self, delay: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._delay = delay
        self._clock = clock
        self._under_way: dict[DBInstance, _Transition] = {}
        self._deleted: list[tuple[RDSBackend, str, DBInstance]] = []

    def install(self) -> None:
        lifecycle = self
        made, modified, deleted = (
            DBInstance.__init__,
            RDSBackend.modify_db_instance,
            RDSBackend.delete_db_instance,
        )

        def make(instance: Any, *arguments: Any, **named: Any) -> None:
            made(instance, *arguments, **named)
            lifecycle._begin(instance, "creating")

        def modify(backend: Any, db_instance_identifier: str, db_kwargs: dict[str, Any]) -> Any:
            lifecycle._refuse(backend, db_instance_identifier, "creating", "deleting")
            instance = modified(backend, db_instance_identifier, db_kwargs)
            lifecycle._begin(instance, "modifying")
            return instance

        def delete(backend: Any, db_instance_identifier: str, *arguments: Any, **named: Any) -> Any:
            lifecycle._refuse(backend, db_instance_identifier, "deleting")
            instance = deleted(backend, db_instance_identifier, *arguments, **named)
            lifecycle._begin(instance, "deleting")
            backend.databases[db_instance_identifier] = instance
            lifecycle._deleted.append((backend, db_instance_identifier, instance))
            return instance

        replaced: list[tuple[type, str, object]] = [
            (DBInstance, "__init__", make),
            (DBInstance, "status", property(self._status_of, _set_status)),
            (RDSBackend, "modify_db_instance", modify),
            (RDSBackend, "delete_db_instance", delete),
        ]
        for owner, name, replacement in replaced:
            setattr(owner, name, replacement)

    @property
    def delay(self) -> float:
        """Seconds that a transition takes."""
        return self._delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        self.settle()
        self._delay = seconds

    def settle(self) -> None:
        """Ends the transitions that have taken their time. To be called before each request."""
        self._under_way = {
            instance: transition
            for instance, transition in self._under_way.items()
            if self._lasts(transition)
        }
        for backend, identifier, instance in self._deleted:
            if instance not in self._under_way and backend.databases.get(identifier) is instance:
                del backend.databases[identifier]
        self._deleted = [gone for gone in self._deleted if gone[2] in self._under_way]

    def _begin(self, instance: Any, status: str) -> None:
        self._under_way[instance] = _Transition(status, self._clock())

    def _lasts(self, transition: _Transition) -> bool:
        return self._clock() - transition.began < self._delay

    def _status_of(self, instance: Any) -> Any:
        transition = self._under_way.get(instance)
        return transition.status if transition and self._lasts(transition) else getattr(instance, _STATUS)

    def _refuse(self, backend: Any, identifier: str, *states: str) -> None:
        instance = backend.databases.get(identifier)
        if instance is not None and instance.status in states:
            message = f"Instance {identifier} is currently {instance.status}."
            raise RDSClientError("InvalidDBInstanceState", message)


def _set_status(instance: Any, status: str) -> None:
    setattr(instance, _STATUS, status)

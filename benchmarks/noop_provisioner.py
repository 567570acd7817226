"""A provisioner whose cloud is a clock: each call takes ``BENCHMARK_CALL_SECONDS``, and nothing is made.

What would be in the cloud is read from the object's own status, so that any replica sees it; what was deleted is known to
the replica that did it, and another one would do it once more. Run by ``stage`` and ``provisioner``.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

from conductor_model.concrete import Endpoint
from conductor_model.rds import RDSInstance, RDSInstanceSpec, RDSInstanceStatus
from conductor_provisioner import Account, CredentialsFrom, Observation, Resource
from conductor_provisioner.provisioner import main

ENDPOINT = Endpoint(host="db.example", port=3306)
Wanted = Resource[RDSInstanceSpec, RDSInstanceStatus]
Seen = Observation[RDSInstanceStatus]


class NoopDriver:
    """Observes, and makes, at the speed that it is told."""

    credentials_from = CredentialsFrom.CONDUCTOR
    recreates = False

    def __init__(self, account: Account) -> None:
        self._calls = account.calls
        self._call_seconds = float(os.environ["BENCHMARK_CALL_SECONDS"])
        self._create_seconds = float(os.environ["BENCHMARK_CREATE_SECONDS"])
        self._deleted: set[str] = set()

    async def observe(self, resource: Wanted) -> Seen:
        await self._call("observe", resource)
        since = resource.status.instance_status
        if since is None or resource.external_name in self._deleted:
            return Observation(exists=False)
        return self._seen(since, applied=resource.credentials_applied)

    async def create(self, resource: Wanted) -> Seen:
        await self._call("create", resource)
        return self._seen(repr(time.time()), applied=True)

    async def update(self, resource: Wanted, observed: Seen) -> Seen:
        return observed

    async def delete(self, resource: Wanted, observed: Seen) -> None:
        await self._call("delete", resource)
        self._deleted.add(resource.external_name)

    async def _call(self, action: str, resource: Wanted) -> None:
        await self._calls.awaiting(action, resource.external_name, lambda: asyncio.sleep(self._call_seconds))

    def _seen(self, since: str, *, applied: bool) -> Seen:
        ready = time.time() >= float(since) + self._create_seconds
        return Observation(
            exists=True,
            busy=not ready,
            ready=ready,
            endpoint=ENDPOINT if ready else None,
            credentials_applied=applied,
            details={"instance_status": since},
        )


class NoopDrivers:
    """Opens one for each account."""

    async def open(self, account: Account) -> NoopDriver:
        return NoopDriver(account)

    async def close(self, driver: Any) -> None:
        return None


if __name__ == "__main__":
    sys.exit(main("aws-provisioner", {RDSInstance: NoopDrivers()}, version="0"))

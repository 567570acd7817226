"""A provisioner whose cloud is a folder that all replicas share, and that writes down who works on what at once.

Each call takes ``RECORDING_CALL_SECONDS``. Where two living replicas are at one resource, the file ``overlaps`` says so; the
file ``calls`` has a line for each call: when, by which process, what, on which resource.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from conductor_model.concrete import Endpoint
from conductor_model.rds import RDSInstance, RDSInstanceSpec, RDSInstanceStatus
from conductor_provisioner import Account, CredentialsFrom, Observation, Resource
from conductor_provisioner.provisioner import main

Wanted = Resource[RDSInstanceSpec, RDSInstanceStatus]
Seen = Observation[RDSInstanceStatus]


class RecordingDriver:
    credentials_from = CredentialsFrom.CONDUCTOR
    recreates = False

    def __init__(self, account: Account) -> None:
        self._calls = account.calls
        self._seconds = float(os.environ["RECORDING_CALL_SECONDS"])
        self._folder = Path(os.environ["RECORDING_FOLDER"])

    async def observe(self, resource: Wanted) -> Seen:
        await self._call("observe", resource)
        return self._seen(resource)

    async def create(self, resource: Wanted) -> Seen:
        await self._call("create", resource)
        (self._folder / "made" / resource.external_name).touch(exist_ok=False)
        return self._seen(resource)

    async def update(self, resource: Wanted, observed: Seen) -> Seen:
        return observed

    async def delete(self, resource: Wanted, observed: Seen) -> None:
        await self._call("delete", resource)
        (self._folder / "made" / resource.external_name).unlink()

    async def _call(self, action: str, resource: Wanted) -> None:
        await self._calls.awaiting(action, resource.external_name, lambda: self._work(action, resource))

    async def _work(self, action: str, resource: Wanted) -> None:
        name, me = resource.external_name, str(os.getpid())
        mark = self._folder / "at-work" / name
        self._write("calls", f"{time.time()} {me} {action} {name}")
        with suppress(FileNotFoundError):
            if (other := mark.read_text()) != me and _lives(other):
                self._write("overlaps", f"{name}: {other} and {me}")
        mark.write_text(me)
        try:
            await asyncio.sleep(self._seconds)
        finally:
            mark.unlink(missing_ok=True)

    def _write(self, file: str, line: str) -> None:
        with (self._folder / file).open("a") as out:
            out.write(line + "\n")

    def _seen(self, resource: Wanted) -> Seen:
        if not (self._folder / "made" / resource.external_name).exists():
            return Observation(exists=False)
        return Observation(
            exists=True, ready=True, endpoint=Endpoint(host="db.example", port=3306), credentials_applied=True
        )


class RecordingDrivers:
    async def open(self, account: Account) -> RecordingDriver:
        return RecordingDriver(account)

    async def close(self, driver: Any) -> None:
        return None


def _lives(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main("aws-provisioner", {RDSInstance: RecordingDrivers()}, version="0"))

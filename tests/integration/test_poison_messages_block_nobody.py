"""Rubbish put on the bus by hand: set aside where the documented command shows it, and what comes after it is served."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator

import nats
import pytest
from google_cloud import Google
from shared_server import SharedServer
from stage import SERVICES, Stage

from conductor_bus import BusConfig
from conductor_bus.subjects import Subjects
from conductor_dev.waiting import wait_until
from conductor_model.kinds import (
    CLOUDSQL_INSTANCE,
    MYSQL_INSTANCE,
    RDS_INSTANCE,
    RESOURCE_CLASS,
    SQL_DATABASE,
)
from conductor_model.refs import ObjectKey, ResourceType

pytestmark = pytest.mark.integration

WORKERS = {
    "aws-provisioner": RDS_INSTANCE,
    "gcp-provisioner": CLOUDSQL_INSTANCE,
    "sql-provisioner": SQL_DATABASE,
    "secrets-writer": MYSQL_INSTANCE,
}
SUBJECTS = Subjects()
EVENT = {
    "ce-specversion": "1.0",
    "ce-id": "u/1",
    "ce-source": "/by-hand",
    "ce-type": "io.conductor.object.changed",
    "ce-time": "2026-01-01T00:00:00Z",
    "ce-uid": "u",
    "ce-resourceversion": "1",
}
POISON: dict[str, tuple[bytes, dict[str, str]]] = {
    "no-event": (b"rubbish", {}),
    "no-headers": (b'{"apiVersion":"v1"}', {}),
    "no-uid": (b"{}", {name: value for name, value in EVENT.items() if name != "ce-uid"}),
    "unknown-type": (b"{}", {**EVENT, "ce-type": "com.example.other"}),
    "no-time": (b"{}", {**EVENT, "ce-time": "yesterday"}),
    "bad-json": (b'{"spec":', EVENT),
    "no-object": (b"[1, 2]", EVENT),
    "not-text": (b"\xff\xfe\x00", EVENT),
    "deep": (b"[" * 100_000, EVENT),
    "huge": (b"x" * 7_000_000, EVENT),
}
"""Payload and headers, by the name of the object that the subject names."""


class Bus:
    """What somebody with all rights does to the bus, and the documented command."""

    def __init__(self, stage: Stage) -> None:
        self._url = stage.env.nats_url
        self._namespace = stage.namespace

    def subject(self, kind: ResourceType, name: str) -> str:
        return SUBJECTS.object(ObjectKey(kind.group_kind, self._namespace, name))

    def put(self, messages: dict[str, tuple[bytes, dict[str, str]]]) -> None:
        """By subject."""
        asyncio.run(self._put(messages))

    async def _put(self, messages: dict[str, tuple[bytes, dict[str, str]]]) -> None:
        async with await nats.connect(self._url) as client:
            for subject, (payload, headers) in messages.items():
                await client.jetstream().publish(subject, payload, headers=headers, timeout=30)

    def purge(self, subject: str) -> None:
        asyncio.run(self._purge(subject))

    async def _purge(self, subject: str) -> None:
        async with await nats.connect(self._url) as client:
            await client.jetstream().purge_stream(BusConfig().stream, subject=subject)

    def command(self, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "conductor_bus", "dead-letters", *words],
            env={**os.environ, "NATS_URL": self._url},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def listed(self, worker: str) -> dict[str, str]:
        """The numbers of the worker's letters, by the line without them."""
        _, text = self.command("list", "--group", worker)
        rows = (line.partition(" ") for line in text.splitlines()[1:])
        return {rest: number for number, _, rest in rows}


@pytest.fixture
def bus(stage: Stage) -> Iterator[Bus]:
    """No rubbish and no letter is left."""
    bus = Bus(stage)
    yield bus
    for kind in (*WORKERS.values(), RESOURCE_CLASS):
        for name in POISON:
            bus.purge(bus.subject(kind, name))
    for worker in WORKERS:
        bus.command("discard", "--all", "--group", worker)


def test_poison_is_set_aside_and_what_comes_after_it_is_served(
    stage: Stage, server: SharedServer, google: Google, bus: Bus
) -> None:
    processes = [*(stage.service(name) for name in SERVICES), google.provisioner]
    pids = [each.pid for each in processes]
    for kind in (*WORKERS.values(), RESOURCE_CLASS):  # the last is the scheduler's alone
        bus.put({bus.subject(kind, name): message for name, message in POISON.items()})
    bus.put({f"conductor.wake.{worker}.p00.no.such.object.here": (b"", {}) for worker in WORKERS})
    bus.put({f"conductor.wake.{worker}.p00.=FF.=FF.=FF.=FF": (b"", {}) for worker in WORKERS})

    stage.claim("aws", resourceClass=stage.offer_class())
    stage.claim("gcp", resourceClass=google.source)
    server.claim("sql")
    stage.wait_ready("aws")
    stage.wait_ready("gcp")
    server.ready("sql")

    for worker, kind in WORKERS.items():
        missing = set(POISON)

        def all_listed(worker: str = worker, kind: ResourceType = kind) -> bool:
            nonlocal missing
            text = "\n".join(bus.listed(worker))
            missing = {
                name for name in POISON if bus.subject(kind, name) not in text and f"/{name} " not in text
            }
            return not missing and "=FF" in text

        wait_until(f"{worker} has set the poison aside, but {missing}", all_listed, timeout=60)
    assert [each.pid for each in processes] == pids
    assert all(each.alive for each in processes)


def test_an_object_that_poison_hid_is_looked_at_again_when_its_letter_is_replayed(
    stage: Stage, bus: Bus
) -> None:
    stage.claim("db", resourceClass=stage.offer_class())
    stage.wait_ready("db")
    subject = bus.subject(MYSQL_INSTANCE, "db")
    bus.put({subject: (b"rubbish", EVENT)})

    def letter() -> str | None:
        found = [
            number
            for line, number in bus.listed("secrets-writer").items()
            if f"{stage.namespace}/db " in line
        ]
        return found[0] if found else None

    number = wait_until("the poison is set aside", letter, timeout=60)
    assert bus.command("show", number)[1].endswith("\n\nrubbish\n")
    stage.env.api.merge_patch(
        MYSQL_INSTANCE, stage.namespace, "db", {"metadata": {"annotations": {"example.org/touched": "1"}}}
    )
    assert bus.command("replay", number) == (
        0,
        f"{number}: secrets-writer looks at {MYSQL_INSTANCE.group_kind} {stage.namespace}/db again\n",
    )
    assert letter() is None

"""A Conductor that sees the test's own namespaces only, its services as processes, on the control plane of all tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conductor_dev.api import NAMESPACE, Json
from conductor_dev.controlplane import ControlPlane
from conductor_dev.services import ServiceProcess, service_named
from conductor_dev.waiting import wait_until
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS
from conductor_model.refs import GroupVersionKind, ResourceType

LEASE = ResourceType(GroupVersionKind("coordination.k8s.io", "v1", "Lease"), "leases")
RECORDING = Path(__file__).parent / "recording_provisioner.py"
CLASS = "standard"


@dataclass
class Installation:
    """``own`` is the namespace of its services, classes and resources; ``teams`` those of claims."""

    control_plane: ControlPlane
    nats_url: str
    folder: Path
    own: str
    teams: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    processes: list[ServiceProcess] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(
        cls,
        control_plane: ControlPlane,
        nats_url: str,
        folder: Path,
        own: str,
        *teams: str,
        **variables: str,
    ) -> Iterator[Installation]:
        for each in (folder / "cloud" / "made", folder / "cloud" / "at-work"):
            each.mkdir(parents=True)
        installation = cls(control_plane, nats_url, folder, own, teams, variables)
        for name in (own, *teams):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            control_plane.api.create(NAMESPACE, None, body)
        control_plane.api.create(RESOURCE_CLASS, own, _CLASS)
        try:
            yield installation
        finally:
            for process in installation.processes:
                process.kill()
            for name in (own, *teams):
                control_plane.api.delete(NAMESPACE, None, name)

    # What runs.

    def start(self, *names: str, replica: int = 0, ready: bool = True) -> ServiceProcess:
        """Starts services, all ready unless told otherwise; returns the last."""
        started = [self._start(name, replica) for name in names]
        if ready:
            for process in started:
                process.wait_ready(120)
        return started[-1]

    def _start(self, name: str, replica: int) -> ServiceProcess:
        service = service_named(name)
        recording = name == "aws-provisioner"
        process = ServiceProcess(
            service,
            replica,
            command=[sys.executable, *([str(RECORDING)] if recording else ["-m", service.module])],
            environment={
                "KUBECONFIG": self.control_plane.kubeconfig,
                "NATS_URL": self.nats_url,
                "CONDUCTOR_NAMESPACE": self.own,
                "CONDUCTOR_WATCH_NAMESPACES": ",".join((self.own, *self.teams)),
                "RECORDING_FOLDER": str(self.folder / "cloud"),
                "RECORDING_CALL_SECONDS": "0.05",
                "CONDUCTOR_AWS_SETTLE_DELETED": "1",
                **self.variables,
            },
            address_file=self.folder / f"{name}-{replica}.address",
            log=self.folder / f"{name}-{replica}.log",
        )
        process.start()
        self.processes.append(process)
        return process

    def holder(self, service: str) -> str:
        """Who leads, by the Lease."""
        lease = self.control_plane.api.find(LEASE, self.own, f"conductor-{service}") or {"spec": {}}
        return str(lease["spec"].get("holderIdentity") or "")

    # What people do and see.

    def claim(self, name: str, team: str | None = None) -> None:
        team = team or self.teams[0]
        body = {
            "apiVersion": MYSQL_INSTANCE.gvk.api_version,
            "kind": MYSQL_INSTANCE.gvk.kind,
            "metadata": {"name": name, "namespace": team},
            "spec": {"resourceClass": CLASS},
        }
        self.control_plane.api.create(MYSQL_INSTANCE, team, body)

    def resource(self, name: str) -> None:
        """A resource that is nobody's."""
        body = {**_CLASS["template"], "metadata": {"name": name, "namespace": self.own}}
        self.control_plane.api.create(RDS_INSTANCE, self.own, body)

    def claims(self, team: str | None = None) -> list[Json]:
        return self.control_plane.api.list(MYSQL_INSTANCE, team or self.teams[0])

    def resources(self) -> list[Json]:
        return self.control_plane.api.list(RDS_INSTANCE, self.own)

    def wait_ready(self, find: Callable[[], list[Json]], count: int, *, timeout: float = 240) -> list[Json]:
        def all_ready() -> list[Json] | None:
            found = [each for each in find() if is_ready(each)]
            return found if len(found) == count else None

        return wait_until(f"{count} objects are Ready", all_ready, timeout=timeout)

    # What the cloud saw.

    @property
    def made(self) -> set[str]:
        return {each.name for each in (self.folder / "cloud" / "made").iterdir()}

    @property
    def calls(self) -> list[tuple[float, int, str, str]]:
        """When, by which process, what, on which resource; oldest first."""
        lines = (line.split() for line in self._read("calls"))
        return [(float(at), int(process), action, name) for at, process, action, name in lines]

    @property
    def overlaps(self) -> list[str]:
        return self._read("overlaps")

    def _read(self, file: str) -> list[str]:
        path = self.folder / "cloud" / file
        return path.read_text().splitlines() if path.exists() else []


def is_ready(found: Json) -> bool:
    conditions = found.get("status", {}).get("conditions", [])
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def seconds_until(what: str, condition: Callable[[], object], *, timeout: float = 60) -> float:
    began = time.monotonic()
    wait_until(what, condition, timeout=timeout)
    return time.monotonic() - began


_CLASS: dict[str, Any] = {
    "apiVersion": RESOURCE_CLASS.gvk.api_version,
    "kind": RESOURCE_CLASS.gvk.kind,
    "metadata": {"name": CLASS},
    "capabilities": {"capacity": {"storage": "20Gi"}},
    "rebindPolicy": "Delete",
    "template": {
        "apiVersion": RDS_INSTANCE.gvk.api_version,
        "kind": RDS_INSTANCE.gvk.kind,
        "spec": {
            "engine": "mysql",
            "version": "8.0",
            "instance-type": "db.t3.micro",
            "skipFinalSnapshot": True,
        },
    },
}

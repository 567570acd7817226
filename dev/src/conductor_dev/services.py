"""Services as processes: Conductor's own, and anybody's that follows the same rules.

Such a service is a Python module that `python -m` runs. It takes its configuration from the environment (KUBECONFIG,
NATS_URL, CONDUCTOR_NAMESPACE, …), serves /healthz, /readyz and /metrics at CONDUCTOR_HTTP_ADDRESS, and writes the
address that it bound to the file CONDUCTOR_HTTP_ADDRESS_FILE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import requests

from conductor_dev.errors import DevError
from conductor_dev.processes import Part


@dataclass(frozen=True)
class Service:
    """A service by its short name, with the module to run and the ServiceAccount that it has in Conductor's namespace."""

    name: str
    module: str
    service_account: str
    uses_aws: bool = False
    """Whether it is told how to reach AWS. The others never see a credential of it."""
    uses_gcp: bool = False
    """The same for Google Cloud."""
    on_demand: bool = False
    """Whether it runs only where somebody asks for it by name: most stories are told without it."""


SERVICES = (
    Service("watcher", "conductor_watcher", "conductor-watcher"),
    Service("scheduler", "conductor_scheduler", "conductor-scheduler"),
    Service("aws-provisioner", "conductor_aws_provisioner", "conductor-aws-provisioner", uses_aws=True),
    Service(
        "gcp-provisioner",
        "conductor_gcp_provisioner",
        "conductor-gcp-provisioner",
        uses_gcp=True,
        on_demand=True,
    ),
    Service("sql-provisioner", "conductor_sql_provisioner", "conductor-sql-provisioner"),
    Service("secrets-writer", "conductor_secrets_writer", "conductor-secrets-writer"),
)


def service_named(name: str) -> Service:
    for service in SERVICES:
        if service.name == name:
            return service
    raise DevError(f"there is no service {name}; there are {', '.join(service.name for service in SERVICES)}")


class ServiceProcess:
    """One replica. It chooses its own HTTP port at each start and writes it to a file."""

    def __init__(
        self,
        service: Service,
        replica: int,
        *,
        command: list[str],
        environment: Mapping[str, str],
        address_file: Path,
        log: Path,
    ) -> None:
        self.service = service
        self.replica = replica
        self.address_file = address_file
        variables = {
            **environment,
            "CONDUCTOR_HTTP_ADDRESS": "127.0.0.1:0",
            "CONDUCTOR_HTTP_ADDRESS_FILE": str(address_file),
        }
        self.part = Part(self.name, command, log, self._why_not_ready, variables)

    @property
    def name(self) -> str:
        return f"{self.service.name}-{self.replica}"

    @property
    def pid(self) -> int | None:
        return self.part.pid

    @property
    def alive(self) -> bool:
        return self.part.alive

    @property
    def http_url(self) -> str | None:
        """Base of /healthz, /readyz and /metrics; None until the running process has written it."""
        try:
            return f"http://{self.address_file.read_text().strip()}"
        except FileNotFoundError:
            return None

    def start(self) -> None:
        """Starts the process and returns at once."""
        if not self.alive:
            self.address_file.unlink(missing_ok=True)
        self.part.start()

    def wait_ready(self, timeout: float = 60) -> None:
        """Until /readyz says so. Raises PartFailed, with the end of the log."""
        self.part.wait_ready(timeout)

    def kill(self) -> None:
        """SIGKILL."""
        self.part.kill()

    def terminate(self, grace: float = 15) -> None:
        """SIGTERM; SIGKILL after `grace` seconds."""
        self.part.terminate(grace)

    def restart(self) -> None:
        """SIGKILL if it runs, started again, ready."""
        self.kill()
        self.start()
        self.wait_ready()

    def metrics(self) -> str:
        """What /metrics serves now."""
        response = requests.get(f"{self.http_url}/metrics", timeout=10)
        response.raise_for_status()
        return response.text

    def _why_not_ready(self) -> str | None:
        url = self.http_url
        if url is None:
            return "it has not written its HTTP address yet"
        try:
            response = requests.get(f"{url}/readyz", timeout=5)
        except requests.RequestException as error:
            return str(error)
        return None if response.ok else response.text[:500]

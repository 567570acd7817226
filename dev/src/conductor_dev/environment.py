"""The whole environment: control plane, broker, AWS, PostgreSQL, and Conductor's services with their own identities.

    with Environment.start(folder) as environment:
        environment.start_services()
        environment.api.apply(Path("claim.yaml"))

RBAC and the broker's permissions come from the same manifests that are applied to a cluster, so that a right that is
missing there is missing here.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from conductor_dev.api import KubeApi, objects_in
from conductor_dev.aws import RDS_DELAY, Aws, ExternalAws, Moto, start_aws
from conductor_dev.broker import BinaryNats, ExternalNats, Nats, start_nats
from conductor_dev.broker_cluster import NatsCluster
from conductor_dev.broker_users import ADMIN, BrokerUsers, make_users
from conductor_dev.checkout import CRDS, INSTALLATION
from conductor_dev.controlplane import (
    ControlPlane,
    EmbeddedControlPlane,
    ExternalControlPlane,
    start_control_plane,
)
from conductor_dev.errors import DevError
from conductor_dev.gcp import CloudSql, ExternalGcp, Gcp, start_gcp
from conductor_dev.postgres import PostgreSQL
from conductor_dev.progress import Progress
from conductor_dev.services import SERVICES, Service, ServiceProcess, service_named
from conductor_dev.waiting import wait_until

NAMESPACE = "conductor-system"
LOGS = "logs"
"""In the folder of an environment."""
IDENTITIES = (
    "Namespace",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)
"""The kinds of the manifests that are applied; the rest says how to run in pods."""

_PASSED_ON = ("OTEL_", "CONDUCTOR_LOG_", "PYTHONPATH")
"""What all services see of the caller's environment."""


class Environment:
    """Everything that runs. A context manager that stops it: services first, the control plane last."""

    def __init__(
        self,
        folder: Path,
        control_plane: ControlPlane,
        nats: Nats,
        aws: Aws,
        postgres: PostgreSQL,
        users: BrokerUsers | None,
        environ: Mapping[str, str],
    ) -> None:
        self.folder = folder
        self.logs = folder / LOGS
        self.control_plane = control_plane
        self.nats = nats
        self.aws = aws
        self.postgres = postgres
        """A database server that somebody runs, for databases to be made on."""
        self.services: list[ServiceProcess] = []
        self._users = users
        self._environ = environ
        self._gcp: Gcp | None = None
        self._kubeconfigs: dict[Service, Path] = {}

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        rds_delay: float = RDS_DELAY,
        bus_store: str | None = None,
        fsync: bool = False,
        crds: Path = CRDS,
        installation: Path = INSTALLATION,
        nats_replicas: int | None = None,
        environ: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Starts control plane, broker, AWS and PostgreSQL side by side, installs the CRDs and the services' identities.

        With ``nats_replicas``, or ``CONDUCTOR_NATS_REPLICAS`` in the environment, above 1 the broker is a cluster of so many
        servers, and its streams are kept on all of them. `bus_store`, such as `64MB`, limits what a lone one may store.
        Services are not started yet. Whatever fails is raised as it is, after the others were stopped.
        """
        environ = os.environ if environ is None else environ
        progress = progress or Progress()
        for manifest in (crds, installation):
            if not manifest.is_file():
                raise DevError(f"{manifest} is missing: `make manifests` renders it from the charts")
        manifests = objects_in(installation)
        users = None if environ.get("NATS_URL") else make_users(manifests, folder / "broker-users")
        logs = folder / LOGS
        with ThreadPoolExecutor() as pool, ExitStack() as undo:
            config = users.config if users else ""
            replicas = nats_replicas or int(environ.get("CONDUCTOR_NATS_REPLICAS") or 1)
            nats = pool.submit(_start_broker, folder / "nats", replicas, environ, logs, config, bus_store)
            undo.callback(_stop_if_started, nats)
            aws = pool.submit(start_aws, logs, environ=environ, rds_delay=rds_delay)
            undo.callback(_stop_if_started, aws)
            postgres = pool.submit(PostgreSQL.create, folder / "postgres", logs=logs)
            undo.callback(_stop_if_started, postgres)
            # On this thread, so that ^C during a long build ends it.
            control_plane = start_control_plane(
                folder / "control-plane",
                environ=environ,
                progress=progress,
                logs=logs,
                fsync=fsync,
                crds=[crds],
            )
            undo.callback(control_plane.stop)
            environment = cls(
                folder, control_plane, nats.result(), aws.result(), postgres.result(), users, environ
            )
            environment.api.apply([each for each in manifests if each["kind"] in IDENTITIES])
            undo.pop_all()
        return environment

    @property
    def api(self) -> KubeApi:
        """The administrator's client."""
        return self.control_plane.api

    @property
    def moto(self) -> Moto:
        """The AWS stand-in; DevError if this environment works against another AWS."""
        if not isinstance(self.aws, Moto):
            raise DevError("this environment does not use moto")
        return self.aws

    @property
    def gcp(self) -> Gcp:
        """Google Cloud. The stand-in is started when it is first asked for: most stories do without."""
        if self._gcp is None:
            self._gcp = start_gcp(self.logs, environ=self._environ)
        return self._gcp

    @property
    def cloudsql(self) -> CloudSql:
        """The Cloud SQL stand-in; DevError if this environment works against another API."""
        if not isinstance(self.gcp, CloudSql):
            raise DevError("this environment does not use the Cloud SQL stand-in")
        return self.gcp

    @property
    def nats_url(self) -> str:
        """The broker, with the rights to see and do everything."""
        if self._users is None:
            return self.nats.url
        return self.nats.url.replace("nats://", f"nats://{ADMIN}:{self._users.admin_password}@")

    def start_service(
        self, service: str | Service, replica: int = 0, extra_env: Mapping[str, str] | None = None
    ) -> ServiceProcess:
        """Starts a replica of a service and returns at once: see `wait_ready`.

        One of Conductor's by its name (`watcher`, `scheduler`, …), or a `Service` of one's own, whose ServiceAccount
        must exist in `conductor-system` and whose user at the broker may do everything.
        """
        service = service_named(service) if isinstance(service, str) else service
        name = service.name
        if any(running.service == service and running.replica == replica for running in self.services):
            raise DevError(f"replica {replica} of {name} was started already: restart that one")
        process = ServiceProcess(
            service,
            replica,
            command=[sys.executable, "-m", service.module],
            environment={**self.environment_of(service), **(extra_env or {})},
            address_file=self.folder / "addresses" / f"{name}-{replica}",
            log=self.logs / f"{name}-{replica}.log",
        )
        process.start()
        self.services.append(process)
        return process

    def start_services(
        self, extra_env: Mapping[str, str] | None = None, *, on_demand: bool = False
    ) -> list[ServiceProcess]:
        """One replica of each service, all ready; with ``on_demand``, of those too that run only where they are wanted."""
        wanted = [service for service in SERVICES if on_demand or not service.on_demand]
        started = [self.start_service(service.name, extra_env=extra_env) for service in wanted]
        for process in started:
            process.wait_ready()
        return started

    @property
    def outlives_us(self) -> bool:
        """Whether a part of it was there before, and what is put into it stays when this environment has stopped."""
        return (
            isinstance(self.control_plane, ExternalControlPlane)
            or isinstance(self.aws, ExternalAws)
            or isinstance(self._gcp, ExternalGcp)
        )

    def check_parts(self) -> None:
        """Raises PartFailed, naming the part and with the end of its log, if a process started here has ended."""
        if isinstance(self.control_plane, EmbeddedControlPlane):
            for part in self.control_plane.parts:
                part.check_alive()
        if isinstance(self.nats, BinaryNats):
            self.nats.part.check_alive()
        if isinstance(self.nats, NatsCluster):
            for server in self.nats.servers:
                server.part.check_alive()
        if isinstance(self.aws, Moto):
            self.aws.part.check_alive()
        if isinstance(self._gcp, CloudSql):
            self._gcp.part.check_alive()
        self.postgres.part.check_alive()
        for service in self.services:
            service.part.check_alive()

    def stop(self) -> None:
        """Stops all that was started here, in the reverse order."""
        with ThreadPoolExecutor() as pool:
            for service in self.services:
                pool.submit(service.terminate)
        if self._gcp is not None:
            self._gcp.stop()
        for part in (self.postgres, self.aws, self.nats, self.control_plane):
            part.stop()

    def environment_of(self, service: Service) -> dict[str, str]:
        """The variables that a service is started with: its own identity, and what it needs, only."""
        addresses = self.folder / "addresses"
        addresses.mkdir(exist_ok=True)
        variables = {name: value for name, value in self._environ.items() if name.startswith(_PASSED_ON)}
        user = self._users.environment_of(service) if self._users else {}
        variables |= {
            "CONDUCTOR_LOG_FORMAT": "json",
            "CONDUCTOR_NAMESPACE": NAMESPACE,
            "KUBECONFIG": str(self._kubeconfig_of(service)),
            "NATS_URL": self.nats.url if user else self.nats_url,
            **user,
        }
        if isinstance(self.nats, NatsCluster):
            variables["CONDUCTOR_BUS_REPLICAS"] = str(len(self.nats.servers))
        if isinstance(self.nats, ExternalNats):
            variables |= {name: value for name, value in self._environ.items() if name.startswith("NATS_")}
        if service.name == "sql-provisioner":
            variables |= {"CONDUCTOR_SQL_POLL_PENDING": "1", "CONDUCTOR_SQL_SETTLE_DELETED": "1"}
            # A deletion waits for as long as a statement may take.
            variables["CONDUCTOR_SQL_STATEMENT_TIMEOUT"] = "10"
        if service.uses_aws:
            variables |= self.aws.service_environment
            if isinstance(self.aws, Moto):
                # It takes seconds there, not minutes.
                variables["CONDUCTOR_AWS_POLL_PENDING"] = "1"
                variables["CONDUCTOR_AWS_SETTLE_DELETED"] = "1"
                # It asks nobody for patience, and benchmarks are to measure Conductor.
                variables |= {"CONDUCTOR_AWS_RATE": "10000", "CONDUCTOR_AWS_BURST": "10000"}
        if service.uses_gcp:
            variables |= self.gcp.service_environment
        return variables

    def _kubeconfig_of(self, service: Service) -> Path:
        if service not in self._kubeconfigs:
            self._kubeconfigs[service] = self.control_plane.kubeconfig_for_service_account(
                NAMESPACE, service.service_account
            )
        return self._kubeconfigs[service]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _start_broker(
    folder: Path,
    replicas: int,
    environ: Mapping[str, str],
    logs: Path,
    extra_config: str,
    max_store: str | None,
) -> Nats:
    if replicas == 1 or environ.get("NATS_URL"):
        return start_nats(folder, environ=environ, logs=logs, extra_config=extra_config, max_store=max_store)
    return NatsCluster.create(folder, replicas, logs=logs, extra_config=extra_config)


def _stop_if_started(start: Future[Nats] | Future[Aws] | Future[PostgreSQL]) -> None:
    if start.exception() is None:
        start.result().stop()


def remove_all_but_logs(folder: Path) -> None:
    """Removes what an environment that has ended left in its folder: its data, and its credentials above all."""

    def removed() -> bool:
        for left in folder.iterdir() if folder.exists() else ():
            if left.name == LOGS:
                continue
            try:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            except OSError:
                # A part that is being killed with its parent may write once more.
                return False
        return True

    wait_until(f"the data in {folder} are removed", removed)

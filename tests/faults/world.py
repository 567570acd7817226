"""The world that a plan is carried out in: real processes, and a proxy between each service and each of its neighbours."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import boto3
import plan
import requests
import yaml

from conductor_dev.api import NAMESPACE
from conductor_dev.broker import BinaryNats
from conductor_dev.controlplane import EmbeddedControlPlane
from conductor_dev.environment import Environment
from conductor_dev.errors import ApiError, ApiUnreachable
from conductor_dev.proxy import TcpProxy
from conductor_dev.services import ServiceProcess, service_named
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS
from conductor_model.refs import GroupVersionKind, ResourceType

SYSTEM = "conductor-system"
TEAM = "faults"
CLASS = "standard"
TOO_MANY = 429
Found = TypeVar("Found")
LEASE = ResourceType(GroupVersionKind("coordination.k8s.io", "v1", "Lease"), "leases")


@dataclass
class World:
    """Everything that runs, and what it was told to hold."""

    env: Environment
    proxies: dict[tuple[str, str], TcpProxy]
    cloud: Any
    """An RDS client of its own: neither the faults nor the throttling of the services' calls are its."""
    wanted: set[str] = field(default_factory=set)
    """The claims that shall exist."""
    kills: int = 0

    @classmethod
    @contextmanager
    def start(cls, folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[Self]:
        """``variables``: of every service, on top of what it needs."""
        with Environment.start(folder, rds_delay=0.5) as env, ExitStack() as undo:
            proxies = {
                (service, neighbour): undo.enter_context(TcpProxy(*_address(env, neighbour)))
                for service, neighbours in plan.NEIGHBOURS.items()
                for neighbour in neighbours
            }
            world = cls(env, proxies, _own_client(env))
            for name in plan.SERVICES:
                for replica in range(plan.REPLICAS):
                    env.start_service(name, replica, {**world._through_proxies(name), **(variables or {})})
            for process in env.services:
                process.wait_ready()
            env.api.create(
                NAMESPACE, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}}
            )
            env.api.create(RESOURCE_CLASS, SYSTEM, _CLASS)
            yield world

    def play(self, episode: plan.Episode) -> None:
        """All steps, one after the other; what lasts a while does so beside the next."""
        with ThreadPoolExecutor(max_workers=len(episode)) as beside:
            lasting = [beside.submit(then) for step in episode if (then := self._begin(step)) is not None]
            for each in lasting:
                each.result()

    def mend(self) -> None:
        """Whatever was broken works again. Only parts are started: no service is helped in any other way."""
        for proxy in self.proxies.values():
            proxy.heal()
        self.env.moto.set_rds_delay(0)
        self.env.moto.throttle(0)
        for part in self._control_plane.parts:
            part.start()
        for process in self.env.services:
            process.part.signal(signal.SIGCONT)
            if not process.alive:
                process.start()

    def replica(self, service: str, replica: int) -> ServiceProcess:
        return next(
            each for each in self.env.services if (each.service.name, each.replica) == (service, replica)
        )

    def _begin(self, step: plan.Step) -> Callable[[], None] | None:
        """Does what is done at once; returns what takes its time."""
        match step:
            case plan.Claim(name):
                self._patiently(lambda: self._claim(name))
            case plan.Drop(name):
                self.wanted.discard(name)
                self._patiently(lambda: self.env.api.delete(MYSQL_INSTANCE, TEAM, name))
            case plan.Replace(name):
                return lambda: self._replace(name)
            case plan.Kill(service, replica, away):
                self.replica(service, replica).kill()
                self.kills += 1
                return lambda: self._later(away, self.replica(service, replica).start)
            case plan.Freeze(service, replica, seconds):
                part = self.replica(service, replica).part
                part.signal(signal.SIGSTOP)
                return lambda: self._later(seconds, lambda: part.signal(signal.SIGCONT))
            case plan.KillBus(away, wiped):
                self._kill_bus(away, wiped)
            case plan.FreezeBus(seconds):
                nats = self._nats.part
                nats.signal(signal.SIGSTOP)
                self._later(seconds, lambda: nats.signal(signal.SIGCONT))
            case plan.KillApiServer(away):
                self.kills += 1
                self._control_plane.api_server.kill()
                self._later(away, self._control_plane.api_server.restart)
            case plan.Compact():
                self._compact()
            case plan.BadNetwork(service, neighbour, fault, seconds):
                proxy = self.proxies[service, neighbour]
                _misbehave(proxy, fault)
                return lambda: self._later(seconds, proxy.heal)
            case plan.Throttling(calls):
                self.env.moto.throttle(calls)
            case plan.SlowCloud(seconds):
                self.env.moto.set_rds_delay(seconds)
            case plan.LeaseStep(service, seconds):
                self._patiently(lambda: self._step_lease(service, seconds))
            case plan.TwoAdmins(claim):
                return lambda: self._two_admins(claim)
        return None

    def _claim(self, name: str) -> None:
        body = {
            "apiVersion": MYSQL_INSTANCE.gvk.api_version,
            "kind": MYSQL_INSTANCE.gvk.kind,
            "metadata": {"name": name, "namespace": TEAM},
            "spec": {"resourceClass": CLASS, "version": ">= 5.7"},
        }
        self.wanted.add(name)
        with suppress_status(409):
            self.env.api.create(MYSQL_INSTANCE, TEAM, body)

    def _replace(self, name: str) -> None:
        self._patiently(lambda: self.env.api.delete(MYSQL_INSTANCE, TEAM, name))
        self._patiently(lambda: self.env.api.wait_gone(MYSQL_INSTANCE, TEAM, name, timeout=60))
        self._patiently(lambda: self._claim(name))

    def _kill_bus(self, away: float, wiped: bool) -> None:
        self.kills += 1
        nats = self._nats
        nats.kill()
        time.sleep(away)
        if wiped:
            nats.wipe()
        else:
            nats.start()

    def _compact(self) -> None:
        url = next(
            each.partition("=")[2]
            for each in self._control_plane.etcd.command
            if each.startswith("--listen-client-urls=")
        )
        revision = requests.post(f"{url}/v3/kv/range", json={"key": "AA=="}, timeout=30).json()["header"][
            "revision"
        ]
        done = requests.post(f"{url}/v3/kv/compaction", json={"revision": revision}, timeout=30)
        assert done.ok or "compacted" in done.text, done.text
        for (_, neighbour), proxy in self.proxies.items():
            if neighbour == "api":
                proxy.reset()

    def _step_lease(self, service: str, seconds: float) -> None:
        name = f"conductor-{service}"
        renewed = datetime.now(UTC) + timedelta(seconds=seconds)
        patch = {"spec": {"renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}
        with suppress_status(404):
            self.env.api.merge_patch(LEASE, SYSTEM, name, patch)

    def _two_admins(self, claim: str) -> None:
        with ThreadPoolExecutor(2) as both:
            list(both.map(lambda who: self._administrate(claim, who), ("anna", "ben")))

    def _administrate(self, claim: str, who: str) -> None:
        for days in (1, 3):
            patch = {
                "metadata": {"annotations": {f"example.org/{who}": str(days)}},
                "spec": {"backupRetentionPeriod": days},
            }
            for found in self._patiently(lambda: self.env.api.list(RDS_INSTANCE, SYSTEM)):
                if claim in [ref["name"] for ref in found["spec"].get("claimRefs", [])]:
                    change = partial(
                        self.env.api.merge_patch, RDS_INSTANCE, SYSTEM, found["metadata"]["name"]
                    )
                    with suppress_status(404):
                        self._patiently(partial(change, patch))

    @staticmethod
    def _patiently(call: Callable[[], Found]) -> Found:
        """As a person would: again while the API server is away."""
        deadline = time.monotonic() + 120
        while True:
            try:
                return call()
            except ApiError as error:
                away = isinstance(error, ApiUnreachable) or error.status == TOO_MANY or error.status >= 500
                if not away or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    @staticmethod
    def _later(seconds: float, then: Callable[[], object]) -> None:
        time.sleep(seconds)
        then()

    def _through_proxies(self, service: str) -> dict[str, str]:
        """The environment by which the service reaches its neighbours through its own proxies."""
        given = self.env.environment_of(service_named(service))
        kubeconfig = yaml.safe_load(Path(given["KUBECONFIG"]).read_text())
        kubeconfig["clusters"][0]["cluster"]["server"] = self.proxies[service, "api"].url("https")
        rewritten = Path(given["KUBECONFIG"]).with_suffix(".proxied.yaml")
        rewritten.touch(mode=0o600)
        rewritten.write_text(yaml.safe_dump(kubeconfig))
        variables = {"KUBECONFIG": str(rewritten), "NATS_URL": self.proxies[service, "bus"].url("nats")}
        if (service, "cloud") in self.proxies:
            variables["AWS_ENDPOINT_URL"] = self.proxies[service, "cloud"].url("http")
        return variables

    @property
    def _nats(self) -> BinaryNats:
        assert isinstance(self.env.nats, BinaryNats), "the bus is killed here: it must be ours"
        return self.env.nats

    @property
    def _control_plane(self) -> EmbeddedControlPlane:
        assert isinstance(self.env.control_plane, EmbeddedControlPlane), "the API server is killed here"
        return self.env.control_plane


_CLASS = {
    "apiVersion": RESOURCE_CLASS.gvk.api_version,
    "kind": RESOURCE_CLASS.gvk.kind,
    "metadata": {"name": CLASS, "namespace": SYSTEM},
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


def _own_client(env: Environment) -> Any:
    given = {**env.moto.service_environment, "AWS_ACCESS_KEY_ID": "checker"}
    client: Any = boto3.client
    return client(
        "rds",
        endpoint_url=given["AWS_ENDPOINT_URL"],
        region_name=given["AWS_REGION"],
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
    )


def _address(env: Environment, neighbour: str) -> tuple[str, int]:
    urls = {"api": env.api.server.url, "bus": env.nats.url, "cloud": env.moto.url}
    parts = urlsplit(urls[neighbour])
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def _misbehave(proxy: TcpProxy, fault: plan.Fault) -> None:
    match fault:
        case plan.Fault.STALL:
            proxy.stall()
        case plan.Fault.RESET:
            proxy.reset()
        case plan.Fault.REFUSE:
            proxy.refuse()
        case plan.Fault.DELAY:
            proxy.delay(0.1)
        case plan.Fault.LOSE_ANSWERS:
            proxy.lose_answers()


@contextmanager
def suppress_status(*statuses: int) -> Iterator[None]:
    """An answer of the API server that is as good as success."""
    try:
        yield
    except ApiError as error:
        if error.status not in statuses:
            raise

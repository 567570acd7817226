"""The world that a plan is carried out in: real processes, and a proxy between each service and each of its neighbours."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit

import broker_trouble
import plan
import requests
import yaml
from offers import CloudSql, Offer, Rds, Server
from plan import Place

from conductor_dev.api import NAMESPACE, Json, objects_in
from conductor_dev.broker import BinaryNats
from conductor_dev.checkout import INSTALLATION
from conductor_dev.controlplane import EmbeddedControlPlane
from conductor_dev.environment import Environment
from conductor_dev.errors import ApiError, ApiUnreachable
from conductor_dev.proxy import TcpProxy
from conductor_dev.services import ServiceProcess, service_named
from conductor_model.kinds import RESOURCE_CLASS
from conductor_model.refs import GroupVersionKind, ResourceType

SYSTEM = "conductor-system"
TEAM = "faults"
TOO_MANY = 429
BUS_STORE = "64MB"
SETTLE_DELETED = 1.5 * max(plan.FREEZES)
"""Seconds that a create may come late. A cluster grants 90; whoever is frozen for longer leaves what the sweep tells of."""
Found = TypeVar("Found")
LEASE = ResourceType(GroupVersionKind("coordination.k8s.io", "v1", "Lease"), "leases")
_CLOCK = Path(__file__).parent / "clock"
_LOOK_EVERY = 0.5


class Kubelet:
    """Restarts services that end by themselves, and remembers that: none should."""

    def __init__(self, services: list[ServiceProcess]) -> None:
        self.restarts: list[str] = []
        self._services = services
        self._away: set[str] = set()
        self._changing = threading.Lock()
        self._over = threading.Event()

    def kill(self, process: ServiceProcess) -> None:
        with self._changing:
            self._away.add(process.name)
            process.kill()

    def start(self, process: ServiceProcess) -> None:
        with self._changing:
            process.start()
            self._away.discard(process.name)

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, name="kubelet")
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _run(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            for process in self._services:
                with self._changing:
                    if not process.alive and process.name not in self._away:
                        self.restarts.append(f"{process.name} ended by itself, with {process.part.exit_code}")
                        process.start()


@dataclass
class World:
    """Everything that runs, and what it was told to hold."""

    env: Environment
    proxies: dict[tuple[str, str], TcpProxy]
    offers: Mapping[Place, Offer]
    kubelet: Kubelet
    wanted: dict[str, Offer] = field(default_factory=dict)
    """The claims that shall exist, and of which class."""
    kills: int = 0
    claims: int = 0
    """How many were made."""

    @classmethod
    @contextmanager
    def start(cls, folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[Self]:
        """``variables``: of every service, on top of what it needs."""
        with Environment.start(folder, rds_delay=0.5, bus_store=BUS_STORE) as env, ExitStack() as undo:
            proxies = {
                (service, neighbour): undo.enter_context(TcpProxy(*_address(env, service, neighbour)))
                for service, neighbours in plan.NEIGHBOURS.items()
                for neighbour in neighbours
            }
            offers = (Rds(env), CloudSql(env), Server(env, proxies["sql-provisioner", "cloud"].port))
            world = cls(env, proxies, {each.place: each for each in offers}, Kubelet(env.services))
            env.api.create(
                NAMESPACE, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}}
            )
            for offer in offers:
                offer.prepare()
                offer.mend()
            for name in plan.SERVICES:
                for replica in range(plan.REPLICAS):
                    own = {**world._through_proxies(name), **world._clock_of(name, replica)}
                    env.start_service(name, replica, {**own, **(variables or {})})
            for process in env.services:
                process.wait_ready()
            with world.kubelet.running():
                yield world

    def play(self, episode: plan.Episode) -> None:
        """All steps, one after the other; what lasts a while does so beside the next."""
        with ThreadPoolExecutor(max_workers=len(episode)) as beside:
            lasting = [beside.submit(then) for step in episode if (then := self._begin(step)) is not None]
            for each in lasting:
                each.result()

    def mend(self) -> None:
        """Whatever was broken works again. Only parts are started: no service is helped in any other way.

        Clocks stay wrong, as they would.
        """
        for proxy in self.proxies.values():
            proxy.heal()
        for offer in self.offers.values():
            offer.mend()
        for part in self._control_plane.parts:
            part.start()
        for process in self.env.services:
            process.part.signal(signal.SIGCONT)
            self.kubelet.start(process)

    def replica(self, service: str, replica: int) -> ServiceProcess:
        return next(
            each for each in self.env.services if (each.service.name, each.replica) == (service, replica)
        )

    def _begin(self, step: plan.Step) -> Callable[[], None] | None:
        """Does what is done at once; returns what takes its time."""
        if isinstance(step, plan.OfPeople):
            return self._begin_of_people(step)
        if isinstance(step, plan.OfTheBus):
            self._harm_bus(step)
            return None
        if isinstance(step, plan.OfClouds):
            return self._begin_of_clouds(step)
        return self._begin_of_processes(step)

    def _begin_of_people(self, step: plan.OfPeople) -> Callable[[], None] | None:
        match step:
            case plan.Claim(name, place):
                self._patiently(lambda: self._claim(name, self.offers[place]))
            case plan.Drop(name):
                offer = self.wanted.pop(name)
                self._patiently(lambda: self.env.api.delete(offer.claim, TEAM, name))
            case plan.Replace(name):
                offer = self.wanted[name]
                return lambda: self._replace(name, offer)
            case plan.ReplaceClass(place):
                return lambda: self._replace_class(self.offers[place])
            case plan.TwoAdmins(claim):
                offer = self.wanted[claim]
                return lambda: self._two_admins(claim, offer)
            case plan.StripFinalizers(claim):
                offer = self.wanted[claim]
                return lambda: self._edit(claim, offer, {"metadata": {"finalizers": None}})
        return None

    def _harm_bus(self, step: plan.OfTheBus) -> None:
        """Returns when it is over: nothing else happens to the bus meanwhile."""
        match step:
            case plan.KillBus(away, wiped):
                self._kill_bus(away, wiped)
            case plan.FreezeBus(seconds):
                nats = self._nats.part
                nats.signal(signal.SIGSTOP)
                self._later(seconds, lambda: nats.signal(signal.SIGCONT))
            case plan.DeleteStreams():
                broker_trouble.delete_streams(self.env.nats_url)
            case plan.FillBus(seconds):
                broker_trouble.fill(self.env.nats_url)
                self._later(seconds, lambda: broker_trouble.empty(self.env.nats_url))
            case plan.BreakDisk(seconds):
                self._break_disk(seconds)

    def _begin_of_clouds(self, step: plan.OfClouds) -> Callable[[], None] | None:
        match step:
            case plan.Throttling(place, calls):
                self.offers[place].throttle(calls)
            case plan.Outage(place, seconds):
                self.offers[place].fail()
                return lambda: self._later(seconds, self.offers[place].mend)
            case plan.SlowCloud(place, seconds):
                self.offers[place].slow_down(seconds)
        return None

    def _begin_of_processes(self, step: plan.OfProcesses) -> Callable[[], None] | None:
        match step:
            case plan.Kill(service, replica, away):
                process = self.replica(service, replica)
                self.kubelet.kill(process)
                self.kills += 1
                return lambda: self._later(away, lambda: self.kubelet.start(process))
            case plan.Freeze(service, replica, seconds):
                part = self.replica(service, replica).part
                part.signal(signal.SIGSTOP)
                return lambda: self._later(seconds, lambda: part.signal(signal.SIGCONT))
            case plan.KillApiServer(away):
                self.kills += 1
                self._control_plane.api_server.kill()
                self._later(away, self._control_plane.api_server.restart)
            case plan.FreezeApiServer(seconds):
                api_server = self._control_plane.api_server
                api_server.signal(signal.SIGSTOP)
                self._later(seconds, lambda: api_server.signal(signal.SIGCONT))
            case plan.Compact():
                self._compact()
            case plan.BadNetwork(service, neighbour, fault, seconds):
                proxy = self.proxies[service, neighbour]
                _misbehave(proxy, fault)
                return lambda: self._later(seconds, proxy.heal)
            case plan.LeaseStep(service, seconds):
                self._patiently(lambda: self._step_lease(service, seconds))
            case plan.SetClock(service, replica, seconds):
                self._set_clock(service, replica, seconds)
        return None

    def _claim(self, name: str, offer: Offer) -> None:
        self.wanted[name] = offer
        body = {
            "apiVersion": offer.claim.gvk.api_version,
            "kind": offer.claim.gvk.kind,
            "metadata": {"name": name, "namespace": TEAM},
            "spec": {"resourceClass": offer.place, "version": offer.version},
        }
        self.claims += 1
        with suppress_status(409):
            self.env.api.create(offer.claim, TEAM, body)

    def _replace(self, name: str, offer: Offer) -> None:
        self._patiently(lambda: self.env.api.delete(offer.claim, TEAM, name))
        self._patiently(lambda: self.env.api.wait_gone(offer.claim, TEAM, name, timeout=60))
        self._patiently(lambda: self._claim(name, offer))

    def _replace_class(self, offer: Offer) -> None:
        self._patiently(lambda: self.env.api.delete(RESOURCE_CLASS, SYSTEM, offer.place))
        self._patiently(lambda: self.env.api.wait_gone(RESOURCE_CLASS, SYSTEM, offer.place, timeout=60))

        def make() -> None:
            with suppress_status(409):
                self.env.api.create(RESOURCE_CLASS, SYSTEM, offer.manifest())

        self._patiently(make)

    def _kill_bus(self, away: float, wiped: bool) -> None:
        self.kills += 1
        nats = self._nats
        nats.kill()
        time.sleep(away)
        if wiped:
            nats.wipe()
        else:
            nats.start()

    def _break_disk(self, seconds: float) -> None:
        """What could not be written stays refused until the kubelet finds the broker unhealthy and restarts it."""
        nats = self._nats
        assert nats.part.pid is not None
        with broker_trouble.nothing_written(nats.part.pid):
            time.sleep(seconds)
        if not requests.get(f"{nats.monitoring_url}{_liveness_of_nats()}", timeout=30).ok:
            nats.restart()

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

    def _set_clock(self, service: str, replica: int, seconds: float) -> None:
        file = Path(self._clock_of(service, replica)["CONDUCTOR_FAULTY_CLOCK"])
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(str(seconds))
        unfinished.replace(file)

    def _two_admins(self, claim: str, offer: Offer) -> None:
        with ThreadPoolExecutor(2) as both:
            list(both.map(lambda who: self._administrate(claim, offer, who), ("anna", "ben")))

    def _administrate(self, claim: str, offer: Offer, who: str) -> None:
        for days in (1, 3):
            annotations = {f"example.org/{who}": str(days)}
            self._edit(claim, offer, {"metadata": {"annotations": annotations}, "spec": offer.change(days)})

    def _edit(self, claim: str, offer: Offer, patch: Json) -> None:
        """Changes the claim's resource, if it has one by now."""
        kind = offer.resource
        for found in self._patiently(lambda: self.env.api.list(kind, SYSTEM)):
            if claim in [ref["name"] for ref in found["spec"].get("claimRefs", [])]:
                change = partial(self.env.api.merge_patch, kind, SYSTEM, found["metadata"]["name"])
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
        if service.endswith("-provisioner"):
            cloud = service.removesuffix("-provisioner").upper()
            variables[f"CONDUCTOR_{cloud}_SETTLE_DELETED"] = f"{SETTLE_DELETED:g}s"
        match service:
            case "aws-provisioner":
                variables["AWS_ENDPOINT_URL"] = self.proxies[service, "cloud"].url("http")
            case "gcp-provisioner":
                variables["CONDUCTOR_GCP_ENDPOINT"] = self.proxies[service, "cloud"].url("http")
            case "sql-provisioner":
                # Its deletions wait for as long as a statement may take, too.
                variables["CONDUCTOR_SQL_STATEMENT_TIMEOUT"] = "10"
            case _:
                pass
        return variables

    def _clock_of(self, service: str, replica: int) -> dict[str, str]:
        """The environment by which the replica's wall clock can be set; nothing for a service that follows no lease."""
        if service not in plan.LEADERS:
            return {}
        file = self.env.folder / "clocks" / f"{service}-{replica}"
        file.parent.mkdir(exist_ok=True)
        file.touch()
        path = os.pathsep.join(filter(None, (str(_CLOCK), os.environ.get("PYTHONPATH"))))
        return {"PYTHONPATH": path, "CONDUCTOR_FAULTY_CLOCK": str(file)}

    @property
    def _nats(self) -> BinaryNats:
        assert isinstance(self.env.nats, BinaryNats), "the bus is killed here: it must be ours"
        return self.env.nats

    @property
    def _control_plane(self) -> EmbeddedControlPlane:
        assert isinstance(self.env.control_plane, EmbeddedControlPlane), "the API server is killed here"
        return self.env.control_plane


def _address(env: Environment, service: str, neighbour: str) -> tuple[str, int]:
    if (service, neighbour) == ("sql-provisioner", "cloud"):
        return env.postgres.host, env.postgres.port
    clouds = {"aws-provisioner": lambda: env.moto.url, "gcp-provisioner": lambda: env.cloudsql.url}
    urls = {"api": lambda: env.api.server.url, "bus": lambda: env.nats.url, "cloud": clouds.get(service)}
    url = urls[neighbour]
    assert url is not None
    parts = urlsplit(url())
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def _liveness_of_nats() -> str:
    """The path by which a cluster finds out whether the broker is to be restarted."""
    [broker] = (
        each
        for each in objects_in(INSTALLATION)
        if each["kind"] == "StatefulSet" and each["metadata"]["name"] == "conductor-nats"
    )
    [container] = broker["spec"]["template"]["spec"]["containers"]
    path: str = container["livenessProbe"]["httpGet"]["path"]
    return path


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

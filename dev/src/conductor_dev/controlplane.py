"""A Kubernetes control plane to work against: embedded, a cluster that the user names, or k3s in Docker.

`choose_control_plane` says which, `start_control_plane` starts it. The embedded one consists of the real etcd,
kube-apiserver and kube-controller-manager, with RBAC on, as processes of this machine: no container, no root. There are
no nodes: pods stay pending.
"""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import requests

from conductor_dev import containers
from conductor_dev.api import SERVICE_ACCOUNT, KubeApi
from conductor_dev.binaries import ControlPlaneBinaries, Finder
from conductor_dev.certificates import Certificates, make_certificates
from conductor_dev.errors import ApiError, BinariesUnavailable, KubeconfigUnusable
from conductor_dev.kubeconfig import Server, write_kubeconfig
from conductor_dev.ports import free_port
from conductor_dev.processes import Part, start_on_free_ports
from conductor_dev.progress import Progress

TOKEN_SECONDS = 24 * 3600
"""A working day with `up`. In a cluster of the user's a token outlives the environment, whose files are removed."""

CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "deployment-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "serviceaccount-controller",
    "statefulset-controller",
    "validatingadmissionpolicy-status-controller",
)

CHOICES = """\
No control plane can be had here. Any one of these is enough:
  - KUBECONFIG=FILE: use a cluster that you have
  - KUBEBUILDER_ASSETS=FOLDER: with etcd, kube-apiserver and kube-controller-manager
  - a network that reaches the official releases, or mirrors of them named by
    CONDUCTOR_KUBERNETES_RELEASES and CONDUCTOR_ETCD_RELEASES
  - Go 1.26 or newer on PATH, and a checkout of Conductor: they are built once
  - a Docker engine that answers: k3s runs in it
What was tried:
"""


class ControlPlane(ABC):
    """What all of them offer. A context manager that stops what it started."""

    def __init__(self, kubeconfig: str, folder: Path) -> None:
        self.kubeconfig = kubeconfig
        """The administrator's: a file, or several as the KUBECONFIG variable joins them."""
        self.folder = folder
        self.api = KubeApi(kubeconfig)

    @abstractmethod
    def stop(self) -> None:
        """Stops what was started here; nothing otherwise."""

    def kubeconfig_for_service_account(self, namespace: str, name: str) -> Path:
        """A kubeconfig with the rights of that ServiceAccount and no others, by a TokenRequest."""
        answer = self.api.create(
            SERVICE_ACCOUNT,
            namespace,
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": TOKEN_SECONDS},
            },
            name=name,
            subresource="token",
        )
        file = self.folder / "kubeconfigs" / f"{namespace}-{name}.yaml"
        return write_kubeconfig(file, self.api.server, name, answer["status"]["token"])

    def install(self, manifests: Sequence[Path]) -> None:
        """Applies manifest files and waits until the kinds that they define are served."""
        for manifest in manifests:
            self.api.apply(manifest)
        for manifest in manifests:
            self.api.wait_served(manifest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class ExternalControlPlane(ControlPlane):
    """A cluster that the user named; neither started nor stopped."""

    def stop(self) -> None:
        pass


def open_named_cluster(kubeconfig: str, folder: Path) -> ExternalControlPlane:
    """The cluster of the KUBECONFIG variable; KubeconfigUnusable says what is wrong with it, and the way out."""
    try:
        return ExternalControlPlane(kubeconfig, folder)
    except KubeconfigUnusable as error:
        raise KubeconfigUnusable(
            f"KUBECONFIG is set to {kubeconfig}, and {error}\nUnset it to get an embedded control plane."
        ) from error


class K3sControlPlane(ControlPlane):
    """k3s in a container."""

    def __init__(self, container: containers.Container, kubeconfig: str, folder: Path) -> None:
        super().__init__(kubeconfig, folder)
        self._container = container

    @classmethod
    def start(cls, folder: Path) -> Self:
        container, content = containers.start_k3s()
        file = folder / "kubeconfigs" / "admin.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(content)
        return cls(container, str(file), folder)

    def stop(self) -> None:
        self._container.stop()


class EmbeddedControlPlane(ControlPlane):
    """The three processes. Each can be killed and restarted alone, on its data and its port."""

    def __init__(
        self, etcd: Part, api_server: Part, controller_manager: Part, kubeconfig: Path, folder: Path
    ) -> None:
        super().__init__(str(kubeconfig), folder)
        self.etcd = etcd
        self.api_server = api_server
        self.controller_manager = controller_manager
        self.logs = api_server.log.parent

    @classmethod
    def start(
        cls,
        folder: Path,
        binaries: ControlPlaneBinaries,
        *,
        logs: Path | None = None,
        fsync: bool = False,
        crds: Sequence[Path] = (),
    ) -> Self:
        """Starts all three and returns when they are ready; PartFailed, with none left running, if one fails.

        `fsync` makes etcd survive a crash of the machine, too, at the price of speed. `crds` are installed before
        the controller manager starts: its garbage collector looks for new kinds only every 30 seconds.
        """
        builder = _Builder(
            folder, logs or folder / "logs", binaries, make_certificates(folder / "certificates")
        )
        started: list[Part] = []
        try:
            etcd, etcd_url = start_on_free_ports(lambda: builder.etcd(fsync))
            started.append(etcd)
            api_server, api = start_on_free_ports(lambda: builder.api_server(etcd_url))
            started.append(api_server)
            controller_manager = builder.controller_manager(api)
            control_plane = cls(etcd, api_server, controller_manager, builder.admin_kubeconfig, folder)
            control_plane.install(crds)
            started.append(controller_manager)
            controller_manager.start()
            controller_manager.wait_ready()
        except BaseException:
            for part in reversed(started):
                part.kill()
            raise
        return control_plane

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.etcd, self.api_server, self.controller_manager)

    def stop(self) -> None:
        for part in reversed(self.parts):
            part.terminate()


class _Builder:
    """Command lines and readiness of the three processes; free ports are chosen at each call."""

    def __init__(self, folder: Path, logs: Path, binaries: ControlPlaneBinaries, keys: Certificates) -> None:
        self._folder = folder
        self._logs = logs
        self._binaries = binaries
        self._keys = keys
        self._admin_token = secrets.token_urlsafe(32)
        self._controller_token = secrets.token_urlsafe(32)
        self.admin_kubeconfig = folder / "kubeconfigs" / "admin.yaml"

    def etcd(self, fsync: bool) -> tuple[Part, str]:
        url = f"http://127.0.0.1:{free_port()}"
        peer_url = f"http://127.0.0.1:{free_port()}"
        name = f"conductor-{secrets.token_hex(8)}"
        command = [
            str(self._binaries.etcd),
            f"--name={name}",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster={name}={peer_url}",
            *([] if fsync else ["--unsafe-no-fsync"]),
        ]
        return Part("etcd", command, self._logs / "etcd.log", lambda: _etcd_not_ready(url, name)), url

    def api_server(self, etcd_url: str) -> tuple[Part, KubeApi]:
        port = free_port()
        tokens = self._folder / "certificates" / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(
            f'{self._admin_token},admin,admin,"system:masters"\n'
            f'{self._controller_token},system:kube-controller-manager,controllers,"system:masters"\n'
        )
        command = [
            str(self._binaries.kube_apiserver),
            f"--etcd-servers={etcd_url}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={self._keys.server_certificate}",
            f"--tls-private-key-file={self._keys.server_key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._keys.service_account_key}",
            f"--service-account-signing-key-file={self._keys.service_account_key}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            # Nothing runs in this cluster that could use an endpoint of the API server, and a loopback address is
            # refused as one.
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            "--profiling=false",
        ]
        server = Server(f"https://127.0.0.1:{port}", self._keys.authority.read_bytes())
        write_kubeconfig(self.admin_kubeconfig, server, "admin", self._admin_token)
        write_kubeconfig(self._controller_kubeconfig, server, "controllers", self._controller_token)
        # Its own authority: another server that took the port would not be believed.
        api = KubeApi(self.admin_kubeconfig)
        log = self._logs / "kube-apiserver.log"
        return Part("kube-apiserver", command, log, lambda: _api_not_ready(api)), api

    @property
    def _controller_kubeconfig(self) -> Path:
        return self._folder / "kubeconfigs" / "controllers.yaml"

    def controller_manager(self, api: KubeApi) -> Part:
        command = [
            str(self._binaries.kube_controller_manager),
            f"--kubeconfig={self._controller_kubeconfig}",
            f"--controllers={','.join(CONTROLLERS)}",
            "--leader-elect=false",
            "--secure-port=0",
            # The defaults are made for a shared cluster: with them, fifty claims' objects take minutes to collect.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]
        log = self._logs / "kube-controller-manager.log"
        return Part("kube-controller-manager", command, log, lambda: _controllers_not_ready(api))


def _etcd_not_ready(url: str, name: str) -> str | None:
    try:
        answer = requests.post(f"{url}/v3/cluster/member/list", json={}, timeout=2)
        members = [member.get("name") for member in answer.json().get("members", [])]
    except (requests.RequestException, ValueError) as error:
        return str(error)
    return None if members == [name] else f"its members are {members}, not {name}"


def _api_not_ready(api: KubeApi) -> str | None:
    try:
        api.request("GET", "/readyz", timeout=5)
    except ApiError as error:
        return str(error)
    return None


def _controllers_not_ready(api: KubeApi) -> str | None:
    # The first thing that the controllers do for anybody.
    try:
        found = api.find(SERVICE_ACCOUNT, "default", "default")
    except ApiError as error:
        return str(error)
    return None if found else "namespace default has no ServiceAccount yet"


@dataclass(frozen=True)
class NamedCluster:
    """The user's own."""

    kubeconfig: str

    def __str__(self) -> str:
        return f"the cluster of KUBECONFIG={self.kubeconfig}"


@dataclass(frozen=True)
class InDocker:
    """k3s in a container, and why it came to that."""

    why: str

    def __str__(self) -> str:
        return f"k3s in Docker, because there are no binaries:\n{self.why}"


Choice = NamedCluster | ControlPlaneBinaries | InDocker


def choose_control_plane(
    *,
    environ: Mapping[str, str] | None = None,
    finder: Finder | None = None,
    progress: Progress | None = None,
) -> Choice:
    """What this machine can have, with its binaries in place: downloading or building them is done here.

    The cluster of KUBECONFIG if that is set; else the embedded one, if there are binaries or a way to get them; else
    k3s, if a Docker engine answers; else BinariesUnavailable with the choices.
    """
    environ = os.environ if environ is None else environ
    if named := environ.get("KUBECONFIG"):
        return NamedCluster(named)
    try:
        return (finder or Finder.of(environ, progress or Progress())).control_plane()
    except BinariesUnavailable as error:
        if containers.is_reachable():
            return InDocker(str(error))
        raise BinariesUnavailable(f"{CHOICES}{error}\nDocker: no engine answers") from error


def start_control_plane(
    folder: Path,
    *,
    environ: Mapping[str, str] | None = None,
    finder: Finder | None = None,
    progress: Progress | None = None,
    logs: Path | None = None,
    fsync: bool = False,
    crds: Sequence[Path] = (),
) -> ControlPlane:
    """The control plane that `choose_control_plane` says, ready, with the CRDs installed."""
    progress = progress or Progress()
    match choose_control_plane(environ=environ, finder=finder, progress=progress):
        case ControlPlaneBinaries() as binaries:
            return EmbeddedControlPlane.start(folder, binaries, logs=logs, fsync=fsync, crds=crds)
        case NamedCluster(kubeconfig) as choice:
            progress.say(f"using {choice}")
            started: ControlPlane = open_named_cluster(kubeconfig, folder)
        case InDocker() as choice:
            progress.say(f"using {choice}")
            started = K3sControlPlane.start(folder)
    try:
        started.install(crds)
    except BaseException:
        started.stop()
        raise
    return started

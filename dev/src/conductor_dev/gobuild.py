"""Builds the binaries from the Go modules in `dev/controlplane` and `dev/helm`: static, without a C compiler."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conductor_dev.cache import Cache
from conductor_dev.errors import BuildFailed, tail_of
from conductor_dev.processes import start_child
from conductor_dev.progress import Progress
from conductor_dev.versions import HELM, KUBERNETES, Product

MODULES = Path(__file__).parents[2]
"""The folder `dev` of a checkout. An installed package has no modules to build from."""

_GO_READS = (
    "GO",
    "CGO_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT",
    "XDG_",
)


@dataclass(frozen=True)
class GoPackage:
    """A command: the folder below `dev` whose go.mod pins it, its import path, and variables to set in it."""

    folder: str
    path: str
    variables: Mapping[str, str]


def _kubernetes_version_variables() -> dict[str, str]:
    # Built from the module proxy, Kubernetes does not know its own version; clients and Helm look at it.
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    version = {
        "gitVersion": KUBERNETES,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "archive",
        "gitCommit": "",
    }
    return {
        f"{package}.{name}": value
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in version.items()
    }


PACKAGES = {
    "etcd": GoPackage("controlplane", "go.etcd.io/etcd/server/v3", {}),
    "kube-apiserver": GoPackage(
        "controlplane", "k8s.io/kubernetes/cmd/kube-apiserver", _kubernetes_version_variables()
    ),
    "kube-controller-manager": GoPackage(
        "controlplane", "k8s.io/kubernetes/cmd/kube-controller-manager", _kubernetes_version_variables()
    ),
    "kubectl": GoPackage("controlplane", "k8s.io/kubernetes/cmd/kubectl", _kubernetes_version_variables()),
    "helm": GoPackage("helm", "helm.sh/helm/v4/cmd/helm", {"helm.sh/helm/v4/internal/version.version": HELM}),
}


def find_go(environ: Mapping[str, str], modules: Path = MODULES) -> Path:
    """The go command. BuildFailed, saying why, if building is not possible here."""
    if not (modules / "controlplane" / "go.mod").is_file():
        raise BuildFailed("building needs a checkout of Conductor: the installed package has no Go modules")
    go = shutil.which("go", path=environ.get("PATH"))
    if go is None:
        raise BuildFailed("no go command on PATH")
    return Path(go)


def build(
    product: Product, into: Path, *, environ: Mapping[str, str], cache: Cache, progress: Progress
) -> None:
    """Builds each binary of the product into the folder, one after the other."""
    go = find_go(environ)
    settings = {name: value for name, value in environ.items() if name.startswith(_GO_READS)}
    for number, binary in enumerate(product.binaries, 1):
        package = PACKAGES[binary]
        step = f"build {binary} {product.version}"
        flags = " ".join(["-s -w", *(f"-X={name}={value}" for name, value in package.variables.items())])
        log = cache.root / "logs" / f"build-{binary}-{product.version}.log"
        log.unlink(missing_ok=True)
        last_time = cache.last_duration(step)
        first_time = "" if last_time is not None else " (minutes, once per machine)"
        what = f"building {binary} with Go, {number} of {len(product.binaries)}{first_time}"
        with progress.step(what, last_time=last_time), cache.timed(step):
            command = [
                str(go),
                "build",
                "-trimpath",
                "-ldflags",
                flags,
                "-o",
                str(into / binary),
                package.path,
            ]
            process = start_child(
                command,
                log=log,
                environment={**settings, "PATH": environ.get("PATH", os.defpath), "CGO_ENABLED": "0"},
                folder=MODULES / package.folder,
            )
            try:
                code = process.wait()
            except BaseException:
                process.kill()
                raise
            if code != 0 or not (into / binary).is_file():
                raise BuildFailed(
                    f"go build of {binary} exited with {code}. The end of {log}:\n{tail_of(log)}"
                )

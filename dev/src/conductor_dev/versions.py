"""Which versions the environment runs, on which platform. `dev/controlplane/go.mod` and `dev/helm/go.mod` agree."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass

KUBERNETES = "v1.36.3"
ETCD = "v3.6.8"  # the version that this Kubernetes release pins
HELM = "v4.3.1"

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Platform:
    """An operating system and an architecture by Go's names."""

    os: str
    architecture: str

    @classmethod
    def here(cls) -> Platform:
        machine = platform.machine().lower()
        return cls(sys.platform, _ARCHITECTURES.get(machine, machine))

    def __str__(self) -> str:
        return f"{self.os}-{self.architecture}"


@dataclass(frozen=True)
class Product:
    """Binaries that belong together: they are installed all or not at all."""

    name: str
    version: str
    binaries: tuple[str, ...]


CONTROL_PLANE = Product(
    "control-plane", f"{KUBERNETES}-etcd-{ETCD}", ("etcd", "kube-apiserver", "kube-controller-manager")
)
HELM_CLI = Product("helm", HELM, ("helm",))
KUBECTL = Product("kubectl", KUBERNETES, ("kubectl",))
PRODUCTS = {product.name: product for product in (CONTROL_PLANE, HELM_CLI, KUBECTL)}

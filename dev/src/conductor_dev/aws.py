"""AWS to work against: moto in a process of its own, an endpoint that the user names, or the real AWS.

Databases in the real AWS cost money, so that credentials which happen to be in the environment are not enough:
CONDUCTOR_AWS=real says that they are meant.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import requests

from conductor_dev.errors import DevError
from conductor_dev.moto_faults import Fault
from conductor_dev.ports import free_port
from conductor_dev.processes import Part, start_on_free_ports

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

REGION = "us-east-1"
RDS_DELAY = 2.0

_OF_REAL_AWS = (
    "AWS_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_",
)
"""What a service needs of the caller's environment to reach the real AWS as the caller would."""


class AwsChoice(Enum):
    MOTO = "moto"
    ENDPOINT = "endpoint"
    REAL = "real"


def choose_aws(environ: Mapping[str, str]) -> AwsChoice:
    """By CONDUCTOR_AWS (auto, moto, real); auto is the endpoint in AWS_ENDPOINT_URL, or moto if there is none."""
    wanted = environ.get("CONDUCTOR_AWS", "auto")
    if wanted == "auto":
        return AwsChoice.ENDPOINT if environ.get("AWS_ENDPOINT_URL") else AwsChoice.MOTO
    if wanted in (AwsChoice.MOTO.value, AwsChoice.REAL.value):
        return AwsChoice(wanted)
    raise DevError(f"CONDUCTOR_AWS={wanted}: it can be auto, moto or real")


@dataclass(frozen=True)
class CallCount:
    """How many calls of one action were made, by what came of them."""

    succeeded: int = 0
    refused: int = 0


class Aws(ABC):
    @property
    @abstractmethod
    def service_environment(self) -> Mapping[str, str]:
        """The variables by which a service reaches this AWS: endpoint, region, credentials."""

    @abstractmethod
    def stop(self) -> None: ...

    def rds(self) -> RDSClient:
        connection: RDSClient = self.client("rds")
        return connection

    def client(self, service: str) -> Any:
        """A boto3 client with the same connection as the services have."""
        import boto3  # noqa: PLC0415 - half a second that only those pay who look into the cloud

        given = self.service_environment
        client: Any = boto3.client
        return client(
            service,
            endpoint_url=given.get("AWS_ENDPOINT_URL"),
            region_name=given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") or REGION,
            aws_access_key_id=given.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=given.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=given.get("AWS_SESSION_TOKEN"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class ExternalAws(Aws):
    """The real AWS, or an endpoint of the user's, with the caller's own environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        given = {name: value for name, value in environ.items() if name.startswith(_OF_REAL_AWS)}
        self._environment = {"AWS_REGION": given.get("AWS_DEFAULT_REGION", REGION)} | given

    @property
    def service_environment(self) -> Mapping[str, str]:
        return self._environment

    def stop(self) -> None:
        pass


class Moto(Aws):
    """moto's server, where an RDS instance takes `rds_delay` seconds to be created, modified or deleted."""

    def __init__(self, part: Part, url: str) -> None:
        self.part = part
        self.url = url

    @classmethod
    def start(cls, logs: Path, *, rds_delay: float = RDS_DELAY) -> Self:
        """Ready when this returns; PartFailed otherwise."""

        def make() -> tuple[Part, str]:
            port, name = free_port(), f"moto-{secrets.token_hex(8)}"
            url = f"http://127.0.0.1:{port}"
            command = [sys.executable, "-m", "conductor_dev.moto_server"]
            flags = [f"--port={port}", f"--name={name}", f"--rds-delay={rds_delay}"]
            part = Part("moto", [*command, *flags], logs / "moto.log", lambda: _not_ready(url, name))
            return part, url

        return cls(*start_on_free_ports(make))

    @property
    def service_environment(self) -> Mapping[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }

    def set_rds_delay(self, seconds: float) -> None:
        """Holds from now on, also for the transitions under way: 0 completes them."""
        _ask("POST", f"{self.url}/conductor/rds-delay?seconds={seconds}")

    def throttle(self, calls: int) -> None:
        """The services' next so many calls are refused as too many; 0 ends it. Others' calls are not."""
        key = self.service_environment["AWS_ACCESS_KEY_ID"]
        _ask("POST", f"{self.url}/conductor/throttle?calls={calls}&key={key}")

    def set_fault(self, fault: Fault | None, *, services_only: bool = False) -> None:
        """From now on every call, or every one of the services', is refused so; None: no more."""
        key = self.service_environment["AWS_ACCESS_KEY_ID"]
        wanted = {"kind": fault, "key": key if services_only else None}
        query = urlencode({name: value for name, value in wanted.items() if value})
        _ask("POST", f"{self.url}/conductor/fault?{query}")

    def opens(self, instance: str, username: str, password: str) -> bool:
        """Whether a DB instance takes these master credentials."""
        login = urlencode({"instance": instance, "username": username, "password": password})
        return bool(json.loads(_ask("GET", f"{self.url}/conductor/rds-login?{login}"))["opens"])

    def calls(self, action: str, *, service: str = "rds") -> CallCount:
        """How often an action, such as CreateDBInstance, was called since the start."""
        counted = json.loads(_ask("GET", f"{self.url}/conductor/calls"))
        return CallCount(**counted.get(service, {}).get(action, {}))

    def reset(self) -> None:
        """Forgets all resources, as if the account were new."""
        _ask("POST", f"{self.url}/moto-api/reset")

    def stop(self) -> None:
        self.part.terminate()


def _ask(method: str, url: str) -> str:
    response = requests.request(method, url, timeout=10)
    response.raise_for_status()
    return response.text


def _not_ready(url: str, name: str) -> str | None:
    try:
        answered = json.loads(_ask("GET", f"{url}/conductor/ready"))["name"]
    except (requests.RequestException, ValueError) as error:
        return str(error)
    return None if answered == name else f"another server, {answered}, answers there"


def start_aws(logs: Path, *, environ: Mapping[str, str] | None = None, rds_delay: float = RDS_DELAY) -> Aws:
    environ = os.environ if environ is None else environ
    if choose_aws(environ) is AwsChoice.MOTO:
        return Moto.start(logs, rds_delay=rds_delay)
    return ExternalAws(environ)

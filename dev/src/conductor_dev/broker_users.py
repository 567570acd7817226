"""The broker's users in the embedded environment: those that the manifests give a cluster, with the same permissions.

What a service may not publish in a cluster, it may not publish here either. One user more, `conductor-dev`, may do
everything: it is for tests and for people who look into the streams.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conductor_dev.api import CONFIG_MAP, Json
from conductor_dev.errors import DevError
from conductor_dev.services import Service

ADMIN = "conductor-dev"
CONFIG = "conductor-nats"
_USER = re.compile(r"user: (\S+)\s+password: \$(\S+)")


@dataclass(frozen=True)
class BrokerUsers:
    """Passwords of this environment, and the server configuration that makes them valid."""

    config: str
    admin_password: str
    password_files: Mapping[str, Path]
    """By user."""

    def environment_of(self, service: Service) -> dict[str, str]:
        """By its ServiceAccount's name, which its user has too. A service that the manifests do not know has none."""
        file = self.password_files.get(service.service_account)
        return {"NATS_USER": service.service_account, "NATS_PASSWORD_FILE": str(file)} if file else {}


def make_users(installation: Sequence[Json], folder: Path) -> BrokerUsers:
    """Takes the `authorization` block out of the manifests' NATS configuration and chooses passwords."""
    authorization = _authorization(installation)
    folder.mkdir(parents=True, exist_ok=True)
    variables, files = [], {}
    for user, variable in _USER.findall(authorization):
        # A letter first: the configuration's parser would read digits as a number.
        password = f"p{secrets.token_hex(16)}"
        variables.append(f"{variable}: {password}")
        files[user] = folder / user
        files[user].touch(mode=0o600)
        files[user].write_text(password)
    admin_password = f"p{secrets.token_hex(16)}"
    admin = f"users = [\n{{user: {ADMIN}, password: {admin_password}}}"
    config = "\n".join([*variables, authorization.replace("users = [", admin, 1)])
    return BrokerUsers(config, admin_password, files)


def _authorization(installation: Sequence[Json]) -> str:
    for manifest in installation:
        if manifest["kind"] == CONFIG_MAP.gvk.kind and manifest["metadata"]["name"] == CONFIG:
            config: str = manifest["data"]["nats.conf"]
            start = config.find("authorization {")
            if start >= 0 and "users = [" in config:
                return config[start:]
    raise DevError(f"the manifests have no ConfigMap {CONFIG} with the broker's users")

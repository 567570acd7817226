"""Kubeconfig files: one cluster, one user with a token."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Server:
    """Where an API server is and how to know that it is the right one."""

    url: str
    authority: bytes | None = None
    """PEM of the authority that signed its certificate; None: the system's authorities."""
    verify: bool = True


def write_kubeconfig(file: Path, server: Server, user: str, token: str) -> Path:
    """Writes a file that only its owner can read, at once (a reader sees the old file or the new)."""
    cluster: dict[str, object] = {"server": server.url}
    if server.authority is not None:
        cluster["certificate-authority-data"] = base64.b64encode(server.authority).decode()
    if not server.verify:
        cluster["insecure-skip-tls-verify"] = True
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "conductor", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": user, "context": {"cluster": "conductor", "user": user}}],
        "current-context": user,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    unfinished.touch(mode=0o600)
    unfinished.write_text(yaml.safe_dump(content))
    return unfinished.replace(file)

"""Stand-ins for the outside world of the environment: release sites, and a Go tool chain."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conductor_dev.versions import ETCD, HELM, KUBERNETES


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A web server of the folder's files; gives its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class FakeGo:
    """A `go` that writes a file where the real one would write a binary, and notes how it was called."""

    folder: Path
    calls_file: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "calls_file", self.folder / "calls")

    def install(self, behaviour: str = "") -> FakeGo:
        """`behaviour` is shell, run before the file is written; $out is the file."""
        self.folder.mkdir(exist_ok=True)
        script = self.folder / "go"
        script.write_text(
            "#!/bin/sh\n"
            f'echo "$PWD $*" >> {self.calls_file}\n'
            'while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done\n'
            f"{behaviour}\n"
            'echo "a binary" > "$out"\n'
        )
        script.chmod(0o755)
        return self

    @property
    def path(self) -> str:
        return f"{self.folder}{os.pathsep}{os.defpath}"

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def fake_go(tmp_path: Path) -> FakeGo:
    return FakeGo(tmp_path / "fake-go").install()


@dataclass(frozen=True)
class ReleaseSite:
    """A stand-in for the projects' release sites: the folder of its files, and its URL."""

    folder: Path
    url: str

    def publish(self, path: str, content: bytes) -> str:
        """Publishes a file; its SHA-256, which is not published with it."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def publish_control_plane(self) -> None:
        """As the two projects lay their sites out, with the checksums of other files between."""
        for binary in ("kube-apiserver", "kube-controller-manager"):
            path = f"{KUBERNETES}/bin/linux/amd64/{binary}"
            digest = self.publish(path, f"the {binary}".encode())
            self.publish(f"{path}.sha256", digest.encode())
        name = f"etcd-{ETCD}-linux-amd64"
        digest = self.publish(f"{ETCD}/{name}.tar.gz", archive_with(f"{name}/etcd", b"the etcd"))
        sums = f"{'0' * 64}  etcd-{ETCD}-linux-arm64.tar.gz\n{digest}  {name}.tar.gz\n"
        self.publish(f"{ETCD}/SHA256SUMS", sums.encode())

    def publish_helm(self) -> None:
        name = f"helm-{HELM}-linux-amd64.tar.gz"
        digest = self.publish(name, archive_with("linux-amd64/helm", b"the helm"))
        self.publish(f"{name}.sha256sum", f"{digest}  {name}\n".encode())

    def tamper(self, binary: str) -> None:
        """Changes a published file, but not its checksum."""
        archive = self.folder / ETCD / f"etcd-{ETCD}-linux-amd64.tar.gz"
        file = archive if binary == "etcd" else self.folder / KUBERNETES / "bin" / "linux" / "amd64" / binary
        file.write_bytes(file.read_bytes() + b"tampered")


def archive_with(member: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def release_site(tmp_path: Path) -> Iterator[ReleaseSite]:
    folder = tmp_path / "release-site"
    folder.mkdir()
    with serving(folder) as url:
        yield ReleaseSite(folder, url)

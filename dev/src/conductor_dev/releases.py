"""Downloads the projects' official release binaries, each checked against its published SHA-256.

Where the network is closed this gives up within seconds: the small checksum files are asked for first, on a thread
whose slowness (a name server that does not answer is not bounded by a connect timeout) does not hold us up.
"""

from __future__ import annotations

import hashlib
import queue
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import requests

from conductor_dev.errors import ChecksumMismatch, ReleaseUnavailable
from conductor_dev.progress import Progress
from conductor_dev.versions import ETCD, HELM, KUBERNETES, Platform, Product

GIVE_UP_AFTER = 4.0
"""Seconds for the first answer."""
STALLED_AFTER = 20.0
"""Seconds without a byte in the middle of a download."""


@dataclass(frozen=True)
class ReleaseSite:
    """Where a project publishes, and the variable that names another place (empty: do not download)."""

    variable: str
    default: str

    def base(self, environ: Mapping[str, str]) -> str:
        base = environ.get(self.variable, self.default).rstrip("/")
        if not base:
            raise ReleaseUnavailable(f"downloads are switched off by an empty {self.variable}")
        return base


KUBERNETES_RELEASES = ReleaseSite("CONDUCTOR_KUBERNETES_RELEASES", "https://dl.k8s.io")
ETCD_RELEASES = ReleaseSite("CONDUCTOR_ETCD_RELEASES", "https://github.com/etcd-io/etcd/releases/download")
HELM_RELEASES = ReleaseSite("CONDUCTOR_HELM_RELEASES", "https://get.helm.sh")


@dataclass(frozen=True)
class Download:
    """One published file: the binary itself, or an archive with the binary at `member`."""

    binary: str
    url: str
    checksum_url: str
    member: str | None = None

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]


def downloads_of(product: Product, platform: Platform, environ: Mapping[str, str]) -> list[Download]:
    """What to fetch for a product. ReleaseUnavailable if there is no such release for the platform."""
    return [_download_of(binary, platform, environ) for binary in product.binaries]


def _download_of(binary: str, platform: Platform, environ: Mapping[str, str]) -> Download:
    if binary == "etcd":
        folder = f"etcd-{ETCD}-{platform}"
        base = f"{ETCD_RELEASES.base(environ)}/{ETCD}"
        if platform.os != "linux":
            raise ReleaseUnavailable(f"etcd's archive for {platform.os} is not a tarball")
        return Download(binary, f"{base}/{folder}.tar.gz", f"{base}/SHA256SUMS", f"{folder}/etcd")
    if binary == "helm":
        url = f"{HELM_RELEASES.base(environ)}/helm-{HELM}-{platform}.tar.gz"
        return Download(binary, url, f"{url}.sha256sum", f"{platform}/helm")
    if platform.os != "linux" and binary != "kubectl":
        raise ReleaseUnavailable(f"Kubernetes publishes no {binary} for {platform.os}")
    url = (
        f"{KUBERNETES_RELEASES.base(environ)}/{KUBERNETES}/bin/{platform.os}/{platform.architecture}/{binary}"
    )
    return Download(binary, url, f"{url}.sha256")


def download(
    product: Product, platform: Platform, into: Path, *, environ: Mapping[str, str], progress: Progress
) -> None:
    """Puts the product's binaries into the folder.

    Raises ReleaseUnavailable, or ChecksumMismatch: what was downloaded then is not in the folder.
    """
    wanted = downloads_of(product, platform, environ)
    checksums = [_checksum(item) for item in wanted]
    for number, (item, checksum) in enumerate(zip(wanted, checksums, strict=True), 1):
        with progress.step(f"downloading {item.binary} from {item.url}, {number} of {len(wanted)}"):
            _fetch(item, checksum, into)


def _checksum(item: Download) -> str:
    """The published checksum: a line `HEX  NAME` for our file, or a bare HEX."""
    for line in _quickly(item.checksum_url).splitlines():
        digest, _, name = line.strip().partition(" ")
        if len(digest) == hashlib.sha256().digest_size * 2 and name.strip(" *") in ("", item.file_name):
            return digest.lower()
    raise ReleaseUnavailable(f"{item.checksum_url} has no checksum for {item.file_name}")


def _quickly(url: str) -> str:
    """A small text, or ReleaseUnavailable after GIVE_UP_AFTER seconds, whatever it is that hangs."""
    answer: queue.SimpleQueue[str | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            response = requests.get(url, timeout=GIVE_UP_AFTER)
            response.raise_for_status()
            answer.put(response.text)
        except requests.RequestException as error:
            answer.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        got = answer.get(timeout=GIVE_UP_AFTER)
    except queue.Empty:
        raise ReleaseUnavailable(f"{url} did not answer within {GIVE_UP_AFTER:g} s") from None
    if isinstance(got, Exception):
        raise ReleaseUnavailable(f"{url}: {got}")
    return got


def _fetch(item: Download, checksum: str, into: Path) -> None:
    digest = hashlib.sha256()
    file = into / f"{item.file_name}.part"
    try:
        with (
            requests.get(item.url, stream=True, timeout=(GIVE_UP_AFTER, STALLED_AFTER)) as response,
            file.open("wb") as out,
        ):
            response.raise_for_status()
            for chunk in response.iter_content(1 << 20):
                digest.update(chunk)
                out.write(chunk)
    except requests.RequestException as error:
        raise ReleaseUnavailable(f"{item.url}: {error}") from error
    if digest.hexdigest() != checksum:
        file.unlink()
        raise ChecksumMismatch(
            f"{item.url} has SHA-256 {digest.hexdigest()}, but {item.checksum_url} says {checksum}: not used"
        )
    if item.member is None:
        file.rename(into / item.binary)
        return
    with tarfile.open(file) as archive:
        member = archive.extractfile(item.member)
        if member is None:
            raise ReleaseUnavailable(f"{item.url} has no file {item.member}")
        with (into / item.binary).open("wb") as out:
            while chunk := member.read(1 << 20):
                out.write(chunk)
    file.unlink()

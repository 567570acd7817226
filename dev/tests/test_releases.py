"""Official releases: used only when their checksum fits, and given up quickly where they cannot be reached."""

from __future__ import annotations

import io
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conductor_dev import releases
from conductor_dev.errors import ChecksumMismatch, ReleaseUnavailable
from conductor_dev.progress import Progress
from conductor_dev.releases import download, downloads_of
from conductor_dev.versions import CONTROL_PLANE, ETCD, HELM_CLI, KUBERNETES, Platform, Product

if TYPE_CHECKING:
    from .conftest import ReleaseSite

PLATFORM = Platform("linux", "amd64")
VARIABLES = ("CONDUCTOR_KUBERNETES_RELEASES", "CONDUCTOR_ETCD_RELEASES", "CONDUCTOR_HELM_RELEASES")
QUIET = Progress(io.StringIO())


def all_at(url: str) -> dict[str, str]:
    return dict.fromkeys(VARIABLES, url)


def test_the_control_plane_is_downloaded_and_unpacked(release_site: ReleaseSite, tmp_path: Path) -> None:
    release_site.publish_control_plane()
    into = tmp_path / "into"
    into.mkdir()
    download(CONTROL_PLANE, PLATFORM, into, environ=all_at(release_site.url), progress=QUIET)
    assert {file.name: file.read_text() for file in into.iterdir()} == {
        "etcd": "the etcd",
        "kube-apiserver": "the kube-apiserver",
        "kube-controller-manager": "the kube-controller-manager",
    }


def test_helm_is_downloaded_and_unpacked(release_site: ReleaseSite, tmp_path: Path) -> None:
    release_site.publish_helm()
    download(HELM_CLI, PLATFORM, tmp_path, environ=all_at(release_site.url), progress=QUIET)
    assert (tmp_path / "helm").read_bytes() == b"the helm"


@pytest.mark.parametrize("binary", ["etcd", "kube-apiserver"])
def test_a_file_with_another_checksum_is_refused_and_not_kept(
    release_site: ReleaseSite, tmp_path: Path, binary: str
) -> None:
    release_site.publish_control_plane()
    release_site.tamper(binary)
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(ChecksumMismatch, match=binary):
        download(
            Product("p", "v", (binary,)), PLATFORM, into, environ=all_at(release_site.url), progress=QUIET
        )
    assert list(into.iterdir()) == []


def test_a_release_without_a_checksum_for_our_file_is_refused(
    release_site: ReleaseSite, tmp_path: Path
) -> None:
    release_site.publish_control_plane()
    release_site.publish(f"{ETCD}/SHA256SUMS", f"{'0' * 64}  another-file.tar.gz\n".encode())
    with pytest.raises(ReleaseUnavailable, match="no checksum for etcd"):
        download(CONTROL_PLANE, PLATFORM, tmp_path, environ=all_at(release_site.url), progress=QUIET)


def test_a_release_that_does_not_exist_is_unavailable(release_site: ReleaseSite, tmp_path: Path) -> None:
    with pytest.raises(ReleaseUnavailable, match="404"):
        download(CONTROL_PLANE, PLATFORM, tmp_path, environ=all_at(release_site.url), progress=QUIET)


def unreachable_ways() -> dict[str, str]:
    return {"name does not resolve": "https://releases.invalid", "nobody listens": "http://127.0.0.1:9"}


@pytest.mark.parametrize("way", unreachable_ways())
def test_a_closed_network_is_given_up_within_seconds(tmp_path: Path, way: str) -> None:
    began = time.monotonic()
    with pytest.raises(ReleaseUnavailable):
        download(CONTROL_PLANE, PLATFORM, tmp_path, environ=all_at(unreachable_ways()[way]), progress=QUIET)
    assert time.monotonic() - began < releases.GIVE_UP_AFTER + 2


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "GIVE_UP_AFTER", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ReleaseUnavailable, match=r"did not answer within|timed out"):
            download(CONTROL_PLANE, PLATFORM, tmp_path, environ=all_at(url), progress=QUIET)


def test_a_name_server_that_hangs_does_not_hold_us_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "GIVE_UP_AFTER", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(5) or [])
    with pytest.raises(ReleaseUnavailable, match="did not answer within"):
        download(
            CONTROL_PLANE, PLATFORM, tmp_path, environ=all_at("https://releases.invalid"), progress=QUIET
        )


def test_downloads_can_be_switched_off() -> None:
    with pytest.raises(ReleaseUnavailable, match="switched off"):
        downloads_of(CONTROL_PLANE, PLATFORM, all_at(""))


def test_a_platform_without_server_binaries_is_told() -> None:
    with pytest.raises(ReleaseUnavailable, match="darwin"):
        downloads_of(CONTROL_PLANE, Platform("darwin", "arm64"), {})


def test_without_settings_the_projects_own_sites_are_used() -> None:
    etcd, apiserver, _ = downloads_of(CONTROL_PLANE, PLATFORM, {})
    assert apiserver.url == f"https://dl.k8s.io/{KUBERNETES}/bin/linux/amd64/kube-apiserver"
    assert apiserver.checksum_url == f"{apiserver.url}.sha256"
    assert etcd.url.startswith("https://github.com/etcd-io/etcd/releases/download/")

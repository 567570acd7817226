"""The order in which binaries are looked up, and what is said when there are none."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conductor_dev.binaries import Finder
from conductor_dev.cache import Cache
from conductor_dev.errors import BinariesUnavailable
from conductor_dev.progress import Progress
from conductor_dev.versions import CONTROL_PLANE, Platform

if TYPE_CHECKING:
    from .conftest import FakeGo, ReleaseSite

PLATFORM = Platform("linux", "amd64")
NO_DOWNLOADS = {f"CONDUCTOR_{site}_RELEASES": "" for site in ("KUBERNETES", "ETCD", "HELM")}


def binaries_in(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names or CONTROL_PLANE.binaries:
        (folder / name).write_text(name)
        (folder / name).chmod(0o755)
    return folder


class Machine:
    """A machine with nothing on it, to which a test adds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = Cache(folder / "cache")
        self.environ = {"PATH": str(folder / "empty"), **NO_DOWNLOADS}
        self.said = io.StringIO()

    @property
    def finder(self) -> Finder:
        return Finder(self.environ, self.cache, PLATFORM, Progress(self.said))

    def fill_cache(self) -> None:
        def fill(folder: Path) -> None:
            for name in CONTROL_PLANE.binaries:
                (folder / name).write_text(name)

        self.cache.prepare(CONTROL_PLANE, PLATFORM, fill, Progress(self.said))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_kubebuilder_assets_come_first(machine: Machine, tmp_path: Path) -> None:
    assets = binaries_in(tmp_path / "assets")
    machine.fill_cache()
    machine.environ["PATH"] = str(binaries_in(tmp_path / "bin"))
    machine.environ["KUBEBUILDER_ASSETS"] = str(assets)
    found = machine.finder.control_plane()
    assert found.kube_apiserver == assets / "kube-apiserver"
    assert "KUBEBUILDER_ASSETS" in found.origin


def test_path_comes_before_the_cache(machine: Machine, tmp_path: Path) -> None:
    machine.fill_cache()
    machine.environ["PATH"] = str(binaries_in(tmp_path / "bin"))
    assert machine.finder.control_plane().etcd == tmp_path / "bin" / "etcd"


def test_the_cache_comes_before_downloads_and_builds(machine: Machine) -> None:
    machine.fill_cache()
    assert machine.finder.control_plane().etcd.parent == machine.cache.folder_of(CONTROL_PLANE, PLATFORM)


def test_assets_without_a_controller_manager_are_passed_over(machine: Machine, tmp_path: Path) -> None:
    machine.environ["KUBEBUILDER_ASSETS"] = str(
        binaries_in(tmp_path / "assets", "etcd", "kube-apiserver", "kubectl")
    )
    machine.fill_cache()
    assert machine.finder.control_plane().origin.startswith("cache")


def test_why_a_missing_controller_manager_matters_is_told(machine: Machine, tmp_path: Path) -> None:
    machine.environ["KUBEBUILDER_ASSETS"] = str(binaries_in(tmp_path / "assets", "etcd", "kube-apiserver"))
    with pytest.raises(BinariesUnavailable, match=r"no kube-controller-manager .*garbage collected"):
        machine.finder.control_plane()


def test_a_release_comes_before_a_build(machine: Machine, fake_go: FakeGo, release_site: ReleaseSite) -> None:
    release_site.publish_control_plane()
    machine.environ |= dict.fromkeys(NO_DOWNLOADS, release_site.url) | {"PATH": fake_go.path}
    assert machine.finder.control_plane().etcd.read_text() == "the etcd"
    assert fake_go.calls == []


def test_a_tampered_release_is_told_and_not_used_and_go_builds(
    machine: Machine, fake_go: FakeGo, release_site: ReleaseSite
) -> None:
    release_site.publish_control_plane()
    release_site.tamper("kube-apiserver")
    machine.environ |= dict.fromkeys(NO_DOWNLOADS, release_site.url) | {"PATH": fake_go.path}
    assert machine.finder.control_plane().kube_apiserver.read_text() == "a binary\n"
    assert "not used" in machine.said.getvalue()


def test_when_nothing_fits_every_way_is_told_with_its_reason(machine: Machine) -> None:
    with pytest.raises(BinariesUnavailable) as unavailable:
        machine.finder.control_plane()
    for reason in ("KUBEBUILDER_ASSETS is not set", "PATH: no etcd", "switched off", "no go command on PATH"):
        assert reason in str(unavailable.value)

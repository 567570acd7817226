"""Which control plane is chosen."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from conductor_dev import containers
from conductor_dev.binaries import ControlPlaneBinaries, Finder
from conductor_dev.cache import Cache
from conductor_dev.controlplane import (
    ExternalControlPlane,
    K3sControlPlane,
    choose_control_plane,
    start_control_plane,
)
from conductor_dev.errors import BinariesUnavailable, KubeconfigUnusable
from conductor_dev.kubeconfig import Server, write_kubeconfig
from conductor_dev.progress import Progress
from conductor_dev.versions import Platform

QUIET = Progress(io.StringIO())


@pytest.fixture
def bare(tmp_path: Path) -> Finder:
    """A machine without binaries, network and Go."""
    off = {f"CONDUCTOR_{site}_RELEASES": "" for site in ("KUBERNETES", "ETCD", "HELM")}
    environ = {"PATH": str(tmp_path), **off}
    return Finder(environ, Cache(tmp_path / "cache"), Platform("linux", "amd64"), QUIET)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    return write_kubeconfig(tmp_path / "kubeconfig", Server("https://127.0.0.1:1"), "somebody", "a-token")


class FakeK3s:
    stopped = False

    def stop(self) -> None:
        self.stopped = True

    def get_wrapped_container(self) -> object:
        raise AssertionError("not needed")


def test_kubeconfig_is_used_and_nothing_is_looked_up_or_stopped(
    tmp_path: Path, kubeconfig: Path, bare: Finder
) -> None:
    environ = {"KUBECONFIG": str(kubeconfig)}
    chosen = start_control_plane(tmp_path / "cp", environ=environ, finder=bare, progress=QUIET)
    assert isinstance(chosen, ExternalControlPlane)
    assert chosen.api.server.url == "https://127.0.0.1:1"
    chosen.stop()


def test_a_kubeconfig_that_is_not_there_is_told_with_its_variable(tmp_path: Path, bare: Finder) -> None:
    environ = {"KUBECONFIG": str(tmp_path / "absent")}
    with pytest.raises(KubeconfigUnusable, match=f"KUBECONFIG is set to {tmp_path}/absent") as unusable:
        start_control_plane(tmp_path / "cp", environ=environ, finder=bare, progress=QUIET)
    assert "Unset it" in str(unusable.value)


def test_k3s_is_used_where_docker_answers_and_there_are_no_binaries(
    tmp_path: Path, bare: Finder, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = FakeK3s()
    monkeypatch.setattr(containers, "is_reachable", lambda: True)
    monkeypatch.setattr(containers, "start_k3s", lambda: (container, kubeconfig.read_text()))
    said = io.StringIO()
    chosen = start_control_plane(tmp_path / "cp", environ={}, finder=bare, progress=Progress(said))
    assert isinstance(chosen, K3sControlPlane)
    assert "no go command on PATH" in said.getvalue()
    chosen.stop()
    assert container.stopped


def test_without_anything_the_choices_are_told(
    tmp_path: Path, bare: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "is_reachable", lambda: False)
    with pytest.raises(BinariesUnavailable) as unavailable:
        start_control_plane(tmp_path / "cp", environ={}, finder=bare, progress=QUIET)
    for choice in (
        "KUBECONFIG=",
        "KUBEBUILDER_ASSETS=",
        "CONDUCTOR_KUBERNETES_RELEASES",
        "Go 1.26",
        "Docker",
    ):
        assert choice in str(unavailable.value)


def test_docker_is_not_asked_while_there_are_binaries(
    bare: Finder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def must_not_ask() -> bool:
        raise AssertionError("Docker was asked")

    for name in ("etcd", "kube-apiserver", "kube-controller-manager"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setattr(containers, "is_reachable", must_not_ask)
    chosen = choose_control_plane(environ={}, finder=bare)
    assert isinstance(chosen, ControlPlaneBinaries)
    assert chosen.etcd == tmp_path / "etcd"

"""Building with Go, with a `go` that only pretends."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conductor_dev.cache import Cache
from conductor_dev.checkout import DEV
from conductor_dev.errors import BuildFailed
from conductor_dev.gobuild import build, find_go
from conductor_dev.progress import Progress
from conductor_dev.versions import CONTROL_PLANE, ETCD, HELM, HELM_CLI, KUBERNETES

if TYPE_CHECKING:
    from .conftest import FakeGo


def built(product_out: Path, fake_go: FakeGo, cache: Cache, out: io.StringIO) -> None:
    build(CONTROL_PLANE, product_out, environ={"PATH": fake_go.path}, cache=cache, progress=Progress(out))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def test_each_binary_is_built_in_its_module_and_knows_its_version(
    fake_go: FakeGo, cache: Cache, into: Path
) -> None:
    built(into, fake_go, cache, io.StringIO())
    assert sorted(file.name for file in into.iterdir()) == sorted(CONTROL_PLANE.binaries)
    etcd, apiserver, controller_manager = fake_go.calls
    assert etcd.startswith(f"{DEV / 'controlplane'} build -trimpath")
    assert etcd.endswith("go.etcd.io/etcd/server/v3")
    for call in (apiserver, controller_manager):
        assert f"-X=k8s.io/component-base/version.gitVersion={KUBERNETES}" in call
        assert f"-X=k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}" in call
        assert "version.gitMajor=1 " in call


def test_helm_is_built_in_a_module_of_its_own(fake_go: FakeGo, cache: Cache, into: Path) -> None:
    build(HELM_CLI, into, environ={"PATH": fake_go.path}, cache=cache, progress=Progress(io.StringIO()))
    assert fake_go.calls[0].startswith(f"{DEV / 'helm'} build")


def test_progress_says_what_how_far_and_how_long_it_took_last_time(
    fake_go: FakeGo, cache: Cache, into: Path
) -> None:
    first, second = io.StringIO(), io.StringIO()
    built(into, fake_go, cache, first)
    built(into, fake_go, cache, second)
    assert "building kube-apiserver with Go, 2 of 3 (minutes, once per machine)" in first.getvalue()
    assert "building kube-apiserver with Go, 2 of 3, took 0 s last time" in second.getvalue()


def test_a_build_that_fails_shows_what_go_said(fake_go: FakeGo, cache: Cache, into: Path) -> None:
    fake_go.install("echo 'go: module lookup disabled'; exit 1")
    with pytest.raises(BuildFailed, match="module lookup disabled"):
        built(into, fake_go, cache, io.StringIO())


def test_a_build_that_writes_nothing_is_a_failure(fake_go: FakeGo, cache: Cache, into: Path) -> None:
    fake_go.install("exit 0")
    with pytest.raises(BuildFailed):
        built(into, fake_go, cache, io.StringIO())


def test_without_go_the_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="no go command on PATH"):
        find_go({"PATH": str(tmp_path)})


def test_without_a_checkout_the_reason_is_told(fake_go: FakeGo, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="needs a checkout"):
        find_go({"PATH": fake_go.path}, modules=tmp_path)


PREPARE = """
import io, os
from conductor_dev.binaries import Finder
from conductor_dev.cache import Cache
from conductor_dev.progress import Progress
from conductor_dev.versions import Platform
finder = Finder(os.environ, Cache.of_user(os.environ), Platform.here(), Progress())
print(finder.control_plane().kube_apiserver.read_text())
"""


def environment_of_a_run(fake_go: FakeGo, tmp_path: Path) -> dict[str, str]:
    off = {f"CONDUCTOR_{site}_RELEASES": "" for site in ("KUBERNETES", "ETCD", "HELM")}
    return {"PATH": fake_go.path, "HOME": str(tmp_path), "CONDUCTOR_CACHE": str(tmp_path / "cache"), **off}


def test_two_runs_that_start_at_once_build_once(fake_go: FakeGo, tmp_path: Path) -> None:
    # The first call waits until it can see that both runs have begun.
    both = tmp_path / "begun"
    fake_go.install(f"while [ $(wc -l < {both}) -lt 2 ]; do sleep 0.05; done")
    begun = f"open({str(both)!r}, 'a').write('begun\\n')\n"
    environ = environment_of_a_run(fake_go, tmp_path)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", begun + PREPARE], env=environ, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for run in runs:
        said, _ = run.communicate(timeout=60)
        assert run.returncode == 0
        assert said.strip() == "a binary"
    assert len(fake_go.calls) == len(CONTROL_PLANE.binaries)


def test_a_run_that_is_killed_while_building_leaves_nothing_that_is_used(
    fake_go: FakeGo, tmp_path: Path
) -> None:
    environ = environment_of_a_run(fake_go, tmp_path)
    fake_go.install('echo half > "$out"; kill -9 $(cut -d" " -f1 < "$HOME/pid"); sleep 600')
    note_pid = f"import os; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
    first = subprocess.run([sys.executable, "-c", note_pid + PREPARE], env=environ, check=False)
    assert first.returncode == -9
    fake_go.install()
    second = subprocess.run(
        [sys.executable, "-c", PREPARE], env=environ, check=True, stdout=subprocess.PIPE, text=True
    )
    assert second.stdout.strip() == "a binary"


def test_the_versions_are_those_of_the_modules() -> None:
    controlplane = (DEV / "controlplane" / "go.mod").read_text()
    assert f"k8s.io/kubernetes {KUBERNETES}" in controlplane
    assert f"go.etcd.io/etcd/server/v3 {ETCD}" in controlplane
    assert f"helm.sh/helm/v4 {HELM}" in (DEV / "helm" / "go.mod").read_text()

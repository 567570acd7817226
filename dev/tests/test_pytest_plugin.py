"""The fixtures, in a project of somebody else's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import FakeGo

CONFTEST = 'pytest_plugins = ["conductor_dev.pytest_plugin"]\n'
TESTS = """
from pathlib import Path
import pytest

@pytest.fixture(scope="session")
def conductor_crds():
    return [Path(__file__).parent / "crd.yaml"]

def test_my_kind_is_served(kube_api, namespace):
    mine = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "one"}}
    kube_api.apply(mine, namespace=namespace)

def test_each_test_has_a_namespace_of_its_own(control_plane, namespace):
    assert namespace.startswith("test-each-test-has")
    assert not control_plane.api.apply("", namespace=namespace)

def test_broker_and_cloud_answer(nats_server, moto):
    assert nats_server.url.startswith("nats://")
    assert moto.rds().describe_db_instances()["DBInstances"] == []
"""
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Thing, plural: things}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that has nothing of ours but the plugin."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name, content in (
        ("conftest.py", CONFTEST),
        ("test_it.py", TESTS),
        ("crd.yaml", CRD),
        ("pytest.ini", "[pytest]\n"),
    ):
        (folder / name).write_text(content)
    return folder


def pytest_in(project: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        f"--basetemp={project.parent / 'tmp'}",
    ]
    return subprocess.run(
        command,
        cwd=project,
        env=os.environ | environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.integration
def test_a_project_of_somebody_else_gets_real_parts_with_its_own_kinds(project: Path) -> None:
    done = pytest_in(project)
    assert "3 passed" in done.stdout, done.stdout


@pytest.mark.integration
def test_a_part_that_cannot_start_fails_the_tests_and_names_the_logs(project: Path) -> None:
    assets = project / "assets"
    assets.mkdir()
    for name in ("etcd", "kube-apiserver", "kube-controller-manager"):
        (assets / name).write_text("#!/bin/sh\necho 'not today'\nexit 1\n")
        (assets / name).chmod(0o755)
    done = pytest_in(project, KUBEBUILDER_ASSETS=str(assets))
    assert "skipped" not in done.stdout
    assert "2 errors" in done.stdout
    assert "etcd exited with 1" in done.stdout
    assert "not today" in done.stdout
    assert str(project.parent / "tmp" / "logs0") in done.stdout


NEEDS_NOTHING = "def test_arithmetic(): assert 1 + 1 == 2"


def environment_of_a_new_machine(project: Path, fake_go: FakeGo) -> dict[str, str]:
    off = {f"CONDUCTOR_{site}_RELEASES": "" for site in ("KUBERNETES", "ETCD", "HELM")}
    return {"PATH": fake_go.path, "CONDUCTOR_CACHE": str(project / "cache"), "KUBEBUILDER_ASSETS": "", **off}


@pytest.mark.integration
def test_a_long_build_is_shown_and_does_not_count_against_a_tests_time(
    project: Path, fake_go: FakeGo
) -> None:
    (project / "pytest.ini").write_text("[pytest]\ntimeout = 2\n")
    (project / "test_it.py").write_text(f"def test_it(kube_api): pass\n{NEEDS_NOTHING}\n")
    # What it builds is no control plane: the test that needs one fails, but not for want of time.
    fake_go.install("sleep 1; out=$out; printf '#!/bin/sh\\nexit 1\\n' > $out; exit 0")
    done = pytest_in(project, **environment_of_a_new_machine(project, fake_go))
    assert "building kube-apiserver with Go, 2 of 3" in done.stderr
    assert "1 passed, 1 error" in done.stdout
    assert "etcd exited with 1" in done.stdout
    assert "Timeout" not in done.stdout


@pytest.mark.integration
def test_nothing_is_built_for_tests_that_need_nothing(project: Path, fake_go: FakeGo) -> None:
    (project / "test_it.py").write_text(f"{NEEDS_NOTHING}\n")
    done = pytest_in(project, **environment_of_a_new_machine(project, fake_go))
    assert "1 passed" in done.stdout
    assert fake_go.calls == []


@pytest.mark.integration
def test_a_cluster_of_the_users_is_announced(project: Path) -> None:
    done = pytest_in(project, KUBECONFIG=str(project / "none"))
    assert "conductor: the tests use what KUBECONFIG names" in done.stdout

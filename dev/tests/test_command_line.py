"""`up`, `status` and `down`, really run: what they leave running, and what they do not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from conductor_dev.__main__ import NOT_RUNNING
from conductor_dev.api import NAMESPACE, KubeApi
from conductor_dev.supervisor import Place
from conductor_dev.waiting import wait_until
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS

pytestmark = pytest.mark.integration


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "conductor_dev", *arguments, "--dir", str(folder)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)


def processes_of(folder: Path) -> list[str]:
    """The command lines in which the folder is named."""
    listed = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True)  # noqa: S607
    return [line for line in listed.stdout.splitlines() if str(folder) in line]


def left_in(folder: Path) -> set[str]:
    """What is left of an environment but for its logs and the marks of its supervisor."""
    files = {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
    return {each for each in files if not each.startswith("data/logs/")} - {"lock", "supervisor.log"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "place"
    yield folder
    run("down", folder=folder)


def test_what_up_starts_is_found_used_not_started_twice_and_stopped(folder: Path) -> None:
    assert run("status", folder=folder).returncode == NOT_RUNNING
    first = run("up", "--no-services", folder=folder)
    assert first.returncode == 0, first.stderr
    place = Place(folder)
    state = place.state()
    assert state is not None
    for told in (
        f"export KUBECONFIG={state.kubeconfig}",
        "export NATS_URL=",
        "export AWS_ENDPOINT_URL=http://",
        state.logs,
    ):
        assert told in first.stdout
    assert f"python -m conductor_dev down --dir {folder}" in first.stdout
    assert KubeApi(state.kubeconfig).get(NAMESPACE, None, "conductor-system")
    password = Path(state.nats_url_file).read_text().partition("@")[0].rpartition(":")[2]
    assert password
    for text in (first.stdout, first.stderr, place.log.read_text(), place.state_file.read_text()):
        assert password not in text

    status = run("status", folder=folder)
    assert status.returncode == 0
    assert "kube-apiserver       ready" in status.stdout

    second = run("up", "--no-services", folder=folder)
    assert second.returncode == 0
    assert "runs already" in second.stdout
    again = place.state()
    assert again is not None
    assert again.pid == state.pid

    stopped = run("down", folder=folder)
    assert "Stopped." in stopped.stdout
    assert f"The logs stay in {state.logs}" in stopped.stdout
    assert left_in(folder) == set()
    assert (Path(state.logs) / "kube-apiserver.log").exists()
    assert processes_of(folder) == []
    assert run("status", folder=folder).returncode == NOT_RUNNING
    assert "Nothing was running." in run("down", folder=folder).stdout


def test_nothing_of_it_survives_its_supervisor_and_the_stale_state_is_no_obstacle(folder: Path) -> None:
    assert run("up", "--no-services", folder=folder).returncode == 0
    place = Place(folder)
    state = place.state()
    assert state is not None
    os.kill(state.pid, signal.SIGKILL)
    wait_until("all processes are gone", lambda: not processes_of(folder))
    assert place.state_file.exists()
    assert run("status", folder=folder).returncode == NOT_RUNNING
    assert run("up", "--no-services", folder=folder).returncode == 0
    second = place.state()
    assert second not in (None, state)

    os.kill(second.pid, signal.SIGKILL)
    assert run("down", folder=folder).returncode == 0
    assert left_in(folder) == set()


def test_an_environment_that_cannot_start_says_why_and_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in ("etcd", "kube-apiserver", "kube-controller-manager"):
        (assets / name).write_text("#!/bin/sh\necho 'not today'\nexit 1\n")
        (assets / name).chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    failed = run("up", folder=folder)
    assert failed.returncode == 1
    assert "etcd exited with 1" in failed.stderr
    assert "not today" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert processes_of(folder) == []
    assert left_in(folder) == set()
    assert run("status", folder=folder).returncode == NOT_RUNNING


def test_down_does_not_wait_for_a_start_that_takes_long(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    begun = tmp_path / "begun"
    for name in ("etcd", "kube-apiserver", "kube-controller-manager"):
        (assets / name).write_text(f"#!/bin/sh\ntouch {begun}\nexec sleep 600\n")
        (assets / name).chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    command = [sys.executable, "-m", "conductor_dev", "up", "--dir", str(folder)]
    starting = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_until("etcd was started", begun.exists)
    assert "Stopped." in run("down", folder=folder).stdout
    _, said = starting.communicate(timeout=30)
    assert starting.returncode == 1
    assert "stopped while it was starting" in said
    assert processes_of(folder) == []


def test_a_cluster_that_is_named_wrongly_is_told_without_a_traceback(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    failed = run("up", folder=folder)
    assert failed.returncode == 1
    assert f"KUBECONFIG is set to {tmp_path}/absent" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_with_services_the_scheduler_knows_regions_and_explains_to_whoever_is_on_this_machine(
    folder: Path,
) -> None:
    started = run("up", folder=folder)
    assert started.returncode == 0, started.stderr
    state = Place(folder).state()
    assert state is not None
    assert f'export CONDUCTOR_EXPLAIN_URL="http://$(cat {state.explain_address_file})"' in started.stdout
    url = f"http://{Path(state.explain_address_file).read_text().strip()}/explain"
    api = KubeApi(state.kubeconfig)
    template = {"apiVersion": RDS_INSTANCE.gvk.api_version, "kind": "RDSInstance"}
    source = {
        "apiVersion": RESOURCE_CLASS.gvk.api_version,
        "kind": "ResourceClass",
        "metadata": {"name": "in-virginia"},
        "capabilities": {"region": "us-east-1"},
        "template": {**template, "spec": {"engine": "mysql", "instance-type": "db.t3.micro"}},
    }
    api.create(RESOURCE_CLASS, "conductor-system", source)
    claim = {
        "apiVersion": MYSQL_INSTANCE.gvk.api_version,
        "kind": "MySQLInstance",
        "metadata": {"namespace": "default", "name": "dry-run"},
        "spec": {"requirements": {"region": "north-america"}},
    }

    def provisioned() -> bool:
        answer = requests.post(url, json=claim, timeout=30)
        return answer.status_code == 200 and answer.json()["decision"] == "Provision"

    wait_until("the dry run finds the class", provisioned, timeout=60)

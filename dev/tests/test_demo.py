"""The demo when it does not go well, and where it is a guest."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conductor_dev import demo
from conductor_dev.api import NAMESPACE as NAMESPACES
from conductor_dev.api import SECRET
from conductor_dev.binaries import Finder
from conductor_dev.checkout import CRDS
from conductor_dev.controlplane import EmbeddedControlPlane
from conductor_dev.environment import NAMESPACE as SYSTEM
from conductor_dev.environment import Environment
from conductor_dev.errors import DevError, KubeconfigUnusable, PartFailed
from conductor_dev.guest import NAMESPACE
from conductor_dev.progress import Progress
from conductor_dev.services import Service
from conductor_dev.teller import SILENCE, Teller
from conductor_dev.waiting import wait_until
from conductor_model.kinds import PROVIDER_CONFIG, RDS_INSTANCE, RESOURCE_CLASS, SQL_DATABASE

BREAKS = "import sys; sys.exit('it lost its way')"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its folder."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def left_in(temporary: Path) -> set[str]:
    """What is left of the demo's folder but for logs."""
    files = {each for each in temporary.glob("conductor-demo-*/**/*") if each.is_file()}
    return {str(each) for each in files if each.parent.name != "logs"}


@pytest.mark.integration
def test_a_part_that_ends_ends_the_story_at_once_and_is_named_with_its_log(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "breaks.py").write_text(BREAKS)
    environ = {**os.environ, "PYTHONPATH": str(modules)}
    with Environment.start(
        tmp_path / "environment", environ=environ, progress=Progress(io.StringIO())
    ) as environment:
        breaking = environment.start_service(Service("breaking", "breaks", "conductor-watcher"))
        wait_until("it has ended", lambda: not breaking.alive)
        began = time.monotonic()
        with pytest.raises(PartFailed, match="breaking-0 exited with 1") as failed:
            demo.Story(environment, Teller(io.StringIO())).tell()
    assert time.monotonic() - began < demo.PATIENCE_WITH_STAND_IN / 4
    assert "it lost its way" in str(failed.value)
    assert str(environment.logs / "breaking-0.log") in str(failed.value)


@pytest.mark.integration
def test_an_interrupt_is_answered_ends_all_and_leaves_logs_only(temporary: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "conductor_dev", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    next(line for line in running.stdout if "apply examples/rds-instance.yaml" in line)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Stopping everything" in said
    assert "Traceback" not in said
    (folder,) = temporary.glob("conductor-demo-*")
    assert f"The logs of every part are in {folder / 'logs'}" in said
    assert (folder / "logs" / "kube-apiserver.log").exists()
    assert left_in(temporary) == set()
    listed = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True)  # noqa: S607
    assert str(folder) not in listed.stdout


def test_a_cluster_that_cannot_be_used_is_told_and_leaves_no_folder(temporary: Path) -> None:
    with pytest.raises(KubeconfigUnusable, match="KUBECONFIG is set to"):
        demo.main(io.StringIO(), {**os.environ, "KUBECONFIG": str(temporary / "absent")})
    assert list(temporary.iterdir()) == []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedControlPlane]:
    """A cluster that is there before the demo, and after it.

    The CRDs are in it already, because its garbage collector looks for new kinds only every 30 seconds.
    """
    folder = tmp_path_factory.mktemp("cluster")
    with EmbeddedControlPlane.start(folder, Finder.here().control_plane(), crds=[CRDS]) as cluster:
        yield cluster


def in_it(cluster: EmbeddedControlPlane) -> dict[str, str]:
    return {**os.environ, "KUBECONFIG": cluster.kubeconfig}


@pytest.mark.integration
def test_in_a_cluster_that_stays_all_that_it_made_is_removed_and_what_stays_is_told(
    cluster: EmbeddedControlPlane, temporary: Path
) -> None:
    told = io.StringIO()
    assert demo.main(told, in_it(cluster)) == 0
    assert cluster.api.find(NAMESPACES, None, NAMESPACE) is None
    for kind in (RDS_INSTANCE, SQL_DATABASE, RESOURCE_CLASS, PROVIDER_CONFIG, SECRET):
        assert cluster.api.list(kind) == [], kind
    assert cluster.api.get(NAMESPACES, None, SYSTEM)
    assert "left nothing behind" not in told.getvalue()
    assert f"In the cluster stay Conductor's CRDs, and namespace {SYSTEM}" in told.getvalue()
    assert list(temporary.iterdir()) == []


@pytest.mark.integration
def test_in_a_cluster_that_has_an_object_of_its_names_it_does_not_begin(
    cluster: EmbeddedControlPlane,
) -> None:
    cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        with pytest.raises(DevError, match=f"has them already: Namespace {NAMESPACE}"):
            demo.main(io.StringIO(), in_it(cluster))
        assert cluster.api.get(NAMESPACES, None, NAMESPACE)["status"]["phase"] == "Active"
    finally:
        cluster.api.delete(NAMESPACES, None, NAMESPACE)
        cluster.api.wait_gone(NAMESPACES, None, NAMESPACE)


@pytest.mark.integration
def test_a_story_that_breaks_in_a_cluster_that_stays_is_cleaned_up_and_its_own_error_is_told(
    cluster: EmbeddedControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: demo.Story) -> None:
        raise DevError("the story broke")

    monkeypatch.setattr(demo.Story, "_a_claim_names_its_resource", broken)
    with pytest.raises(DevError, match="the story broke"):
        demo.main(io.StringIO(), in_it(cluster))
    assert cluster.api.find(NAMESPACES, None, NAMESPACE) is None
    assert cluster.api.list(RDS_INSTANCE) == []

    # Without services nothing can be cleaned up: that is told, and hides nothing.
    told = io.StringIO()
    with Environment.start(tmp_path / "environment", environ=in_it(cluster)) as environment:
        monkeypatch.setattr(demo.Story, "_an_administrator_offers", broken)
        monkeypatch.setattr(demo, "TO_CLEAN_UP", 0.5)
        environment.api.apply(demo.EXAMPLES / "rds-instance.yaml")
        environment.api.merge_patch(
            RDS_INSTANCE, SYSTEM, "rds-instance-445", {"metadata": {"finalizers": ["conductor.io/test"]}}
        )
        try:
            with pytest.raises(DevError, match="the story broke"):
                demo.Story(environment, Teller(told)).tell()
        finally:
            environment.api.merge_patch(
                RDS_INSTANCE, SYSTEM, "rds-instance-445", {"metadata": {"finalizers": None}}
            )
    assert "That was not possible: the demo's RDSInstances are gone" in told.getvalue()
    assert "Look after: namespace wordpress" in told.getvalue()


def test_a_wait_that_lasts_is_told_and_only_now_and_then() -> None:
    now, told = 0.0, io.StringIO()
    teller = Teller(told, clock=lambda: now)
    teller.still_waiting("rain")
    assert told.getvalue() == ""
    now = SILENCE + 1
    teller.still_waiting("rain")
    teller.still_waiting("rain")
    assert told.getvalue().count("waiting: rain") == 1

"""The filesystem provisioner, installed as a user would install it, beside a Conductor that knows its kinds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conductor_dev.api import objects_in
from conductor_dev.charts import Chart, render
from conductor_dev.checkout import ROOT
from conductor_dev.environment import Environment
from conductor_dev.services import Service

EXAMPLE = ROOT / "examples" / "provisioner-filesystem"


@pytest.fixture(scope="session")
def example() -> Path:
    return EXAMPLE


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to put on PYTHONPATH, with the package built and installed, and no more than the lock has beside it."""
    target = tmp_path_factory.mktemp("installed")
    uv = shutil.which("uv", path=f"{Path(sys.prefix) / 'uv' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert uv is not None, "`make setup` finds or installs uv"
    flags = ["--quiet", "--offline", "--no-deps", "--target", str(target)]
    subprocess.run([uv, "pip", "install", *flags, "--python", sys.executable, str(EXAMPLE)], check=True)
    return target


@dataclass(frozen=True)
class Installation:
    """A running Conductor with the filesystem provisioner."""

    env: Environment
    volumes: Path


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("example")
    volumes = folder / "volumes"
    (volumes / "fast").mkdir(parents=True)
    values = folder / "values.yaml"
    values.write_text(
        "{createNamespace: true, nats: {usersSecret: made-here, extraWorkers: [filesystem-provisioner]}}"
    )
    conductor = folder / "conductor.yaml"
    conductor.write_text(render(Chart("conductor", values)))
    with Environment.start(folder / "environment", rds_delay=0, installation=conductor) as env:
        crds = [
            manifest
            for file in sorted((EXAMPLE / "chart" / "crds").iterdir())
            for manifest in objects_in(file)
        ]
        env.api.apply(crds)
        env.api.wait_served(crds)
        chart = objects_in(render(Chart("chart"), charts=EXAMPLE))
        env.api.apply(chart)
        knows_the_kinds = {"PYTHONPATH": str(installed)}
        started = [
            env.start_service(name, extra_env=knows_the_kinds)
            for name in ("watcher", "scheduler", "secrets-writer")
        ]
        # Nothing here runs pods: the process is started as its Deployment would.
        (deployment,) = [each for each in chart if each["kind"] == "Deployment"]
        provisioner = Service(
            "filesystem-provisioner",
            "provisioner_filesystem",
            deployment["spec"]["template"]["spec"]["serviceAccountName"],
        )
        settings = {"FILESYSTEM_ROOT": str(volumes), "CONDUCTOR_FILESYSTEM_SETTLE_DELETED": "1s"}
        started.append(env.start_service(provisioner, extra_env=knows_the_kinds | settings))
        for process in started:
            process.wait_ready()
        yield Installation(env, volumes)

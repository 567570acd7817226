"""Fixtures on real parts, for Conductor's tests and for those of people who write a provisioner.

Load it in the root conftest: ``pytest_plugins = ["conductor_dev.pytest_plugin"]``. A part is started when the first
test asks for it and serves the whole run. A part that cannot start fails the tests that need it, and says why: nothing
is skipped, but what needs a MariaDB where none is installed. Logs are in one folder per run, `conductor_logs`.

Override `conductor_crds` in a conftest to have other CustomResourceDefinitions installed.
"""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from conductor_dev.api import NAMESPACE, KubeApi
from conductor_dev.aws import Moto
from conductor_dev.broker import Nats, start_nats
from conductor_dev.checkout import CRDS
from conductor_dev.controlplane import ControlPlane, choose_control_plane, start_control_plane
from conductor_dev.environment import Environment
from conductor_dev.errors import BinariesUnavailable
from conductor_dev.mariadb import MariaDB, find_mariadb
from conductor_dev.postgres import PostgreSQL

LONGEST_PREFIX = 40
NEED_A_CONTROL_PLANE = {"control_plane", "environment"}


def pytest_report_header() -> list[str]:
    """Which parts are not started here, so that nobody is surprised by what tests do to them."""
    return [
        f"conductor: the tests use what {variable} names"
        for variable in ("KUBECONFIG", "NATS_URL")
        if os.environ.get(variable)
    ]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Gets the control plane's binaries before the first test, if any test will need them.

    Building them takes minutes on a new machine. Here it is seen, and does not count against a test's time limit.
    """
    if session.config.option.collectonly or not any(
        NEED_A_CONTROL_PLANE & set(getattr(item, "fixturenames", ())) for item in session.items
    ):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with (
        capture.global_and_fixture_disabled() if capture else contextlib.nullcontext(),
        # The fixtures will fail with it, and the tests that need none of them are run.
        contextlib.suppress(BinariesUnavailable),
    ):
        choose_control_plane()


@pytest.fixture(scope="session")
def conductor_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the log of every part of this run."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="session")
def conductor_crds() -> Sequence[Path]:
    """Manifest files that are applied to the control plane: Conductor's own kinds."""
    return (CRDS,) if CRDS.is_file() else ()


@pytest.fixture(scope="session")
def control_plane(
    tmp_path_factory: pytest.TempPathFactory, conductor_logs: Path, conductor_crds: Sequence[Path]
) -> Iterator[ControlPlane]:
    """A control plane for the whole run. Do not kill its parts: tests that do start one of their own."""
    folder = tmp_path_factory.mktemp("control-plane")
    with start_control_plane(folder, logs=conductor_logs, crds=conductor_crds) as control_plane:
        yield control_plane


@pytest.fixture(scope="session")
def kube_api(control_plane: ControlPlane) -> KubeApi:
    """The administrator's client."""
    return control_plane.api


@pytest.fixture
def namespace(kube_api: KubeApi, request: pytest.FixtureRequest) -> Iterator[str]:
    """A new namespace, named after the test; deleted afterwards, without waiting for it to be gone."""
    readable = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:LONGEST_PREFIX].strip("-")
    name = f"{readable}-{uuid.uuid4().hex[:8]}"
    kube_api.create(NAMESPACE, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    kube_api.delete(NAMESPACE, None, name)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """A whole environment, with a control plane of its own, because services act on all of a cluster.

    Conductor's CRDs and identities are installed; which services run is for the tests to say.
    """
    with Environment.start(tmp_path_factory.mktemp("environment"), rds_delay=0) as environment:
        yield environment


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[Nats]:
    """A NATS server of the test's own, with JetStream: it starts in milliseconds and may be killed and wiped."""
    with start_nats(tmp_path / "nats") as nats:
        yield nats


@pytest.fixture(scope="session")
def moto_server(conductor_logs: Path) -> Iterator[Moto]:
    with Moto.start(conductor_logs, rds_delay=0) as moto:
        yield moto


@pytest.fixture
def moto(moto_server: Moto) -> Iterator[Moto]:
    """An AWS account without resources, where RDS instances change at once until `set_rds_delay`."""
    moto_server.reset()
    moto_server.set_rds_delay(0)
    yield moto_server
    moto_server.set_fault(None)
    moto_server.set_rds_delay(0)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory, conductor_logs: Path) -> Iterator[PostgreSQL]:
    """A PostgreSQL server for the whole run. Do not kill it: tests that do start one of their own."""
    with PostgreSQL.create(tmp_path_factory.mktemp("postgres"), logs=conductor_logs, tls=True) as postgres:
        yield postgres


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory, conductor_logs: Path) -> Iterator[MariaDB]:
    """A MariaDB server for the whole run, where one is installed."""
    if find_mariadb() is None:
        pytest.skip("no MariaDB is installed (Debian: mariadb-server)")
    with MariaDB.create(tmp_path_factory.mktemp("mariadb"), logs=conductor_logs) as mariadb:
        yield mariadb

"""What goes into an image: the service, what it imports, at the lock's versions, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def uv() -> Path:
    """As dev/bootstrap.sh finds it."""
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.prefix) / "uv" / "bin"))
    assert found is not None, "make setup gets uv"
    return Path(found)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What .dockerignore lets through: what the build sees, to be changed at will."""
    copy = tmp_path / "checkout"
    for name in ("pyproject.toml", "requirements.lock", "dev/pyproject.toml", "docker/install.sh"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    for name in ("libs", "services"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    return copy


def install(checkout: Path, uv: Path, service: str, into: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{uv.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
    }
    return subprocess.run(
        ["/bin/sh", "docker/install.sh", service, str(into)],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def modules(environment: Path, names: str) -> set[str]:
    """Those of the names that can be imported there."""
    program = "import importlib.util, sys; print(*[n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
    python = [str(environment / "bin" / "python"), "-P", "-c", program, *names.split()]
    return set(subprocess.run(python, capture_output=True, text=True, check=True, cwd="/").stdout.split())


@pytest.mark.parametrize(
    "service",
    ["watcher", "scheduler", "aws-provisioner", "gcp-provisioner", "sql-provisioner", "secrets-writer"],
)
def test_an_image_has_its_service_and_no_other(checkout: Path, uv: Path, tmp_path: Path, service: str):
    environment = tmp_path / "environment"
    done = install(checkout, uv, service, environment)
    assert done.returncode == 0, done.stderr
    own = f"conductor_{service.replace('-', '_')}"
    every = (
        "conductor_watcher conductor_scheduler conductor_aws_provisioner conductor_gcp_provisioner "
        "conductor_sql_provisioner "
        "conductor_secrets_writer"
    )
    assert modules(environment, every) == {own}
    assert modules(environment, "conductor_bus conductor_kube nats") == {
        "conductor_bus",
        "conductor_kube",
        "nats",
    }
    assert modules(environment, "psycopg pymysql") == (
        {"psycopg", "pymysql"} if service == "sql-provisioner" else set()
    )
    assert modules(environment, "boto3") == ({"boto3"} if service == "aws-provisioner" else set())
    assert modules(environment, "googleapiclient") == (
        {"googleapiclient"} if service == "gcp-provisioner" else set()
    )
    assert modules(environment, "pytest moto conductor_dev pip uv") == set()
    # Nothing of the checkout is needed any more.
    shutil.rmtree(checkout)
    run = subprocess.run(
        [environment / "bin" / "serve"],
        env={"KUBECONFIG": "/nowhere", "HOME": "/nowhere", "CONDUCTOR_HTTP_ADDRESS": "127.0.0.1:0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode != 0
    assert "nowhere" in run.stderr


def test_a_dependency_that_is_not_locked_stops_the_build(checkout: Path, uv: Path, tmp_path: Path):
    project = checkout / "services" / "watcher" / "pyproject.toml"
    project.write_text(project.read_text().replace("dependencies = [", 'dependencies = [\n    "tomli-w",'))
    done = install(checkout, uv, "watcher", tmp_path / "environment")
    assert done.returncode != 0
    assert "requirements.lock does not have; run make lock:\ntomli-w==" in done.stderr
    assert not (tmp_path / "environment").exists()


def test_a_locked_version_with_other_hashes_stops_the_build(checkout: Path, uv: Path, tmp_path: Path):
    lock = checkout / "requirements.lock"
    head, found, tail = lock.read_text().partition("aiohttp==")
    assert found
    first = tail.index("sha256:") + len("sha256:")
    lock.write_text(f"{head}{found}{tail[:first]}{'0' * 64}{tail[first + 64 :]}")
    done = install(checkout, uv, "watcher", tmp_path / "environment")
    assert done.returncode != 0
    assert "requirements.lock does not have" in done.stderr
    assert not (tmp_path / "environment").exists()

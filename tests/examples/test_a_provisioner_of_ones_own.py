"""The example in examples/provisioner-filesystem does on a real API server what its tutorial says."""

from __future__ import annotations

import ast
import base64
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from conductor_bus import BusConfig
from conductor_dev.api import CONFIG_MAP, NAMESPACE, SECRET, Json, objects_in
from conductor_dev.charts import Chart, render
from conductor_dev.waiting import wait_until
from conductor_provisioner.chart import chart_files
from provisioner_filesystem.kinds import DIRECTORY, FILESYSTEM_DIRECTORY, KINDS

PATIENCE = 60.0


def ready(found: Json) -> bool:
    conditions = found.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@pytest.mark.integration
def test_a_claim_of_its_kind_becomes_a_directory_and_gives_it_back(installation: Any, example: Path) -> None:
    api, volume = installation.env.api, installation.volumes / "fast"
    team = f"team-{uuid.uuid4().hex[:8]}"
    api.create(NAMESPACE, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": team}})
    (offered,), (claim,) = (objects_in(example / "manifests" / name) for name in ("class.yaml", "claim.yaml"))
    api.apply(offered)
    claim["metadata"]["namespace"] = team
    api.apply(claim)

    def claimed() -> Json | None:
        installation.env.check_parts()
        found = api.get(DIRECTORY.type, team, "uploads")
        return found if ready(found) else None

    bound = wait_until("the claim is Ready", claimed, timeout=PATIENCE)["status"]["boundResource"]
    path = Path(api.get(CONFIG_MAP, team, "uploads")["data"]["path"])
    secret = api.get(SECRET, team, "uploads")
    assert secret["type"] == "servicebinding.io/directory"
    assert {key: base64.b64decode(value).decode() for key, value in secret["data"].items()} == {
        "type": "directory",
        "provider": "filesystem",
        "path": str(path),
    }
    assert list(volume.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o770
    (path / "a-file").write_text("ours")

    api.delete(DIRECTORY.type, team, "uploads")

    def gone() -> bool:
        installation.env.check_parts()
        return api.find(FILESYSTEM_DIRECTORY.type, bound["namespace"], bound["name"]) is None

    wait_until("the directory's object is gone", gone, timeout=PATIENCE)
    assert list(volume.iterdir()) == []


def test_the_services_know_its_kinds_by_its_being_installed(installed: Path) -> None:
    told = "from conductor_model.kinds import WATCHED_KINDS; print(*(each.plural for each in WATCHED_KINDS))"
    known = [
        subprocess.run(
            [sys.executable, "-c", told],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for path in ("", str(installed))
    ]
    assert set(known[1]) - set(known[0]) == {"directories", "filesystemdirectories"}


def test_its_chart_is_what_is_generated_from_its_kinds(example: Path) -> None:
    generated = chart_files("filesystem-provisioner", "provisioner_filesystem", KINDS)
    chart = example / "chart"
    folders = (chart / "crds", chart / "templates")
    committed = {
        str(file.relative_to(chart)): file.read_text() for folder in folders for file in folder.iterdir()
    }
    assert committed == generated, "README.md in the example's folder has the command"


def test_its_chart_is_told_of_a_cluster_of_brokers_as_conductors_own_is(
    example: Path, tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("nats: {url: 'nats://theirs:4222', replicas: 3, prefix: payments}")
    rendered = objects_in(render(Chart("chart", values), charts=example))
    (deployment,) = [each for each in rendered if each["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    config = BusConfig.from_environment(variables)
    assert (variables["NATS_URL"], config.replicas, config.prefix) == ("nats://theirs:4222", 3, "payments")


def test_it_is_written_in_about_eighty_lines_of_code(example: Path) -> None:
    """Imports included; docstrings, comments and empty lines not."""
    written = 0
    for file in (example / "src" / "provisioner_filesystem").glob("*.py"):
        tree = ast.parse(file.read_text())
        told = {
            line
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        code = enumerate(file.read_text().splitlines(), start=1)
        written += sum(1 for number, line in code if line.strip() and number not in told)
    assert written <= 85

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def test_the_demo_ends_well_and_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "conductor_dev", "demo"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for told in (
        "1/1 fit, chose rds-instance-445",
        "provisioning wordpress-sessions-",
        "rds-instance-445: is bound to wordpress-db",
        "password  ********",
        "Exactly the 2 expected instances",
        "Exactly the 1 expected instance,",
        "provisioning orders-db-",
        "and read it back: 1, a database",
    ):
        assert told in done.stdout, done.stdout
    assert list(tmp_path.iterdir()) == []
    assert not _processes_in(tmp_path)


def _processes_in(folder: Path) -> list[str]:
    """Command lines of processes that were started with this folder somewhere in their arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found

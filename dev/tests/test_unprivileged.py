"""Database servers run as an ordinary user, and reach what lies in a folder that only root may enter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conductor_dev.unprivileged import as_ordinary_user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has powers to give up")


def test_the_command_runs_as_another_user() -> None:
    assert _run("id", "-u") != "0"


def test_what_only_root_may_enter_stays_within_reach(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "file").touch()

    assert (
        _run(sys.executable, "-c", f"import os; print(os.access({str(closed / 'file')!r}, os.R_OK))")
        == "True"
    )


def _run(*command: str) -> str:
    return subprocess.run(
        as_ordinary_user(command), check=True, capture_output=True, text=True
    ).stdout.strip()

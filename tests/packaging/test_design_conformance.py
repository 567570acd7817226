"""docs/design-conformance.md names a test for each statement, and each of these tests runs on a real API server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "design-conformance.md").read_text()
FOLDERS = dict(re.findall(r"`(\w/)` for\s+`([\w/-]+/)`", PAGE))


def rows() -> list[list[str]]:
    """The cells of all numbered rows."""
    lines = [line for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def proofs(row: list[str]) -> list[str]:
    """Node ids, with the folders written out."""
    return [FOLDERS[named[:2]] + named[2:] for named in re.findall(r"`(\w/[^`]+::[^`]+)`", row[-1])]


def test_every_statement_has_its_number_and_its_proof():
    assert [int(row[0]) for row in rows()] == list(range(1, len(rows()) + 1))
    assert [row for row in rows() if len(row) != 3 or not proofs(row)] == []


def test_every_proof_exists_and_runs_on_a_real_api_server():
    named = sorted({proof for row in rows() for proof in proofs(row)})
    assert len(named) > 40
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "integration",
    ]
    files = sorted({each.partition("::")[0] for each in named})
    told = subprocess.run(
        [*command, *files], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert told.returncode == 0, told.stdout[-2000:]
    collected = {line.partition("[")[0] for line in told.stdout.splitlines() if "::" in line}
    assert set(named) - collected == set()

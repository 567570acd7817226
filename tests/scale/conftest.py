"""Conductors of a test's own, each with a folder for its processes and its cloud."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from conductor_dev.controlplane import ControlPlane

sys.path.insert(0, str(Path(__file__).parent))
from installation import Installation

Install = Callable[..., Installation]


@pytest.fixture
def install(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Install]:
    """``install(nats_url, "team-a", VARIABLE="…")``: nothing runs yet, and nothing is left of it afterwards."""
    with ExitStack() as stack:

        def open_one(nats_url: str, *teams: str, **variables: Any) -> Installation:
            tag = uuid.uuid4().hex[:6]
            named = [f"{team}-{tag}" for team in teams]
            return stack.enter_context(
                Installation.open(
                    control_plane, nats_url, tmp_path / tag, f"conductor-{tag}", *named, **variables
                )
            )

        yield open_one

"""Where the files of a checkout of Conductor are that the environment uses besides its own code."""

from __future__ import annotations

from pathlib import Path

DEV = Path(__file__).parents[2]
ROOT = DEV.parent
CHARTS = ROOT / "deploy" / "helm"
MANIFESTS = ROOT / "deploy" / "manifests"
CRDS = MANIFESTS / "conductor-crds.yaml"
INSTALLATION = MANIFESTS / "conductor.yaml"
SCHEDULER_CONFIGURATION = DEV / "scheduler.yaml"

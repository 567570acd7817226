"""The manifests under `deploy/manifests`: the charts, rendered by the real helm of one pinned version.

Nothing of the user's helm installation takes part, and no cluster is asked, so that the output depends on the charts
alone. A test holds the committed files against `render`.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from conductor_dev.binaries import Finder
from conductor_dev.checkout import CHARTS, MANIFESTS
from conductor_dev.errors import DevError


@dataclass(frozen=True)
class Chart:
    """A chart by its folder's name, which is also its release's and its manifest's; and values to render it with."""

    name: str
    values: Path | None = None


CONDUCTOR_CRDS = Chart("conductor-crds")
CONDUCTOR = Chart("conductor", MANIFESTS / "values.yaml")
RENDERED = (CONDUCTOR_CRDS, CONDUCTOR)
NAMESPACE = "conductor-system"


def render(
    chart: Chart, *, charts: Path = CHARTS, helm: Path | None = None, namespace: str = NAMESPACE
) -> str:
    """The chart's manifests as one YAML text. DevError with helm's own message if it refuses."""
    helm = helm or Finder.here().helm()
    values = ["--values", str(chart.values)] if chart.values else []
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [str(helm), "template", chart.name, str(charts / chart.name), "--namespace", namespace, *values],
            env={"HOME": home, "HELM_CACHE_HOME": home, "HELM_CONFIG_HOME": home, "HELM_DATA_HOME": home},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise DevError(f"helm cannot render {chart.name}: {done.stderr.strip()}")
    return done.stdout


def render_all(into: Path) -> list[Path]:
    """Writes one file per chart; returns the files."""
    helm = Finder.here().helm()
    into.mkdir(parents=True, exist_ok=True)
    written = []
    for chart in RENDERED:
        file = into / f"{chart.name}.yaml"
        file.write_text(render(chart, helm=helm))
        written.append(file)
    return written

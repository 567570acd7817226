"""The benchmark itself, with a few claims, on real parts of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.figures import Figures

CLAIMS = 4
ALL = "ceiling,alone,burst,idle,deletion,arrivals,many"
OURS = ("mysqlinstances", "rdsinstances", "secrets", "configmaps", "services")


@pytest.mark.integration
def test_a_small_run_measures_everything_and_writes_it_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "results" / "figures.json"
    few = str(CLAIMS)
    sizes = ["--alone", "2", "--claims", few, "--raw-claims", few, "--many", few]
    assert main(["--only", ALL, *sizes, "--rates", "4", "--seconds", "1", "--json", str(written)]) == 0
    found = Figures.model_validate_json(written.read_text())

    # The ten writes of a claim's life, as the API server counted them.
    assert found.ceiling
    assert sum(found.ceiling.usage.writes.values()) == 10 * CLAIMS
    # Nobody touches what the plain client wrote: it is what the services would have written.
    assert found.many
    assert ours(found.many.writes) == {}

    burst = found.burst(CLAIMS)
    assert burst
    assert burst.usage.writes["POST mysqlinstances"] == CLAIMS
    assert ours(burst.usage.writes).keys() >= {"POST rdsinstances", "POST secrets", "POST services"}
    assert 0 < burst.latency.first <= burst.latency.p50 <= burst.latency.longest <= burst.seconds
    assert found.alone
    assert found.idle
    assert found.idle.claims == CLAIMS
    assert ours(found.idle.usage.writes) == {}
    assert found.deletion
    assert found.deletion.usage.writes["DELETE mysqlinstances"] == CLAIMS
    assert found.deletion.claims_gone <= found.deletion.all_gone
    [arrivals] = found.arrivals
    assert arrivals.usage.writes["POST mysqlinstances"] == arrivals.claims

    parts = {"kube-apiserver", "etcd", "nats-server", "watcher", "scheduler", "noop-provisioner"}
    assert burst.usage.cpu.keys() >= parts
    assert burst.usage.peak_memory.keys() >= parts
    assert f"burst of {CLAIMS}" in capsys.readouterr().out


def ours(requests: object) -> dict[str, int]:
    """Those for the kinds that Conductor writes; Kubernetes has business of its own."""
    assert isinstance(requests, dict)
    return {name: count for name, count in requests.items() if name.split()[1].split("/")[0] in OURS}

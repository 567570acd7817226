"""Runs a small service as a process of its own, as it runs in a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from conductor_telemetry import claim_trace_id, root_span_id
from conductor_telemetry.http import serve
from conductor_telemetry.testing import SpanCollector

UID = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff"
PROGRAM = f"""
import asyncio, logging
from pathlib import Path
from prometheus_client import Counter
from conductor_telemetry import service, start_root_span, claim_root_context

async def main():
    async with service("probe", version="1.2.3") as here:
        here.ready("gate", lambda: Path("open").exists())
        Counter("probe_things", "Things.", registry=here.registry).inc(7)
        start_root_span(here.tracer, "claim", "{UID}").end()
        with here.tracer.start_as_current_span("step", context=claim_root_context("{UID}")):
            logging.getLogger("probe").info("hello password=hunter2")
        await here.stop.wait()
        logging.getLogger("probe").info("asked to stop")

asyncio.run(main())
"""


class Probe:
    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder

    def get(self, path: str) -> tuple[int, str]:
        address = (self.folder / "address").read_text().strip()
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def run_probe(tmp_path: Path) -> Iterator[Callable[..., Probe]]:
    started: list[subprocess.Popen[str]] = []

    def run(**environment: str) -> Probe:
        (tmp_path / "address").unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "CONDUCTOR_HTTP_ADDRESS": "127.0.0.1:0",
                "CONDUCTOR_HTTP_ADDRESS_FILE": "address",
                **environment,
            },
        )
        started.append(process)
        eventually(lambda: (tmp_path / "address").exists() or process.poll() is not None)
        return Probe(process, tmp_path)

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_readyz_names_what_is_not_ready_while_healthz_is_fine(run_probe):
    probe = run_probe()
    assert probe.get("/healthz") == (200, "ok\n")
    assert probe.get("/readyz") == (503, "not ready: gate\n")
    (probe.folder / "open").touch()
    assert probe.get("/readyz") == (200, "ok\n")


async def test_a_service_that_registered_no_check_yet_is_not_ready(tmp_path):
    file = tmp_path / "address"
    checks = {}
    runner = await serve("127.0.0.1:0", CollectorRegistry(), checks, {}, address_file=file)
    url = f"http://{file.read_text().strip()}/readyz"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert (answer.status, await answer.text()) == (503, "not ready: starting\n")
        checks["bus"] = lambda: True
        async with session.get(url) as answer:
            assert answer.status == 200
    await runner.cleanup()


def test_metrics_are_exposed(run_probe):
    status, text = run_probe().get("/metrics")
    assert status == 200
    assert "probe_things_total 7.0" in text
    assert "process_resident_memory_bytes" in text


def test_sigterm_lets_the_service_finish(run_probe):
    code, errors = run_probe().stop()
    assert code == 0
    assert "asked to stop" in errors


def test_json_logs_are_one_object_per_line_with_trace_ids_and_without_credentials(run_probe):
    _, errors = run_probe(
        CONDUCTOR_LOG_FORMAT="json", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9"
    ).stop()
    entries = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    hello = next(entry for entry in entries if entry["message"].startswith("hello"))
    assert hello["message"] == "hello password=[redacted]"
    assert hello["trace_id"] == f"{claim_trace_id(UID):032x}"
    assert hello["service"] == "probe"


def test_spans_arrive_with_the_claims_ids(run_probe):
    with SpanCollector() as collector:
        run_probe(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url).stop()
        root, step = collector.spans(f"{claim_trace_id(UID):032x}")
    assert (root.name, root.span_id, root.parent_id) == ("claim", f"{root_span_id(UID):016x}", "")
    assert (step.name, step.parent_id) == ("step", root.span_id)
    assert step.service == "conductor-probe"


def test_a_sampler_that_leaves_a_claim_out_leaves_out_all_of_its_way(run_probe):
    with SpanCollector() as collector:
        sampler = {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}
        run_probe(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **sampler).stop()
        assert collector.spans() == []


def test_a_collector_that_is_down_holds_up_nothing_for_long(run_probe):
    probe = run_probe(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    began = time.monotonic()
    code, _ = probe.stop()
    assert code == 0
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("variable", "value"),
    [("CONDUCTOR_LOG_FORMAT", "xml"), ("CONDUCTOR_LOG_LEVEL", "loud"), ("CONDUCTOR_HTTP_ADDRESS", "nowhere")],
)
def test_a_setting_that_makes_no_sense_is_named(run_probe, variable, value):
    probe = run_probe(**{variable: value})
    _, errors = probe.process.communicate(timeout=20)
    assert probe.process.returncode != 0
    assert f"{variable} is '{value}'" in errors

"""Measures what a phase of the benchmark uses: requests at the API server, CPU and memory of each part, the machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import apirequests, procfs
from benchmarks.apirequests import Requests
from benchmarks.figures import Usage
from conductor_dev.aws import Moto
from conductor_dev.broker import BinaryNats
from conductor_dev.controlplane import EmbeddedControlPlane
from conductor_dev.environment import Environment

OURSELVES = "benchmark"


def pids(environment: Environment) -> dict[str, int]:
    """The parts that run on this machine as processes of this environment, and this process."""
    parts = {service.name.removesuffix("-0"): service.pid for service in environment.services}
    if isinstance(environment.control_plane, EmbeddedControlPlane):
        parts |= {part.name: part.pid for part in environment.control_plane.parts}
    if isinstance(environment.nats, BinaryNats):
        parts["nats-server"] = environment.nats.part.pid
    if isinstance(environment.aws, Moto):
        parts["moto"] = environment.aws.part.pid
    return {OURSELVES: os.getpid()} | {name: pid for name, pid in parts.items() if pid is not None}


@dataclass
class Measured:
    """Filled in when the phase is over."""

    _usage: Usage | None = None

    @property
    def usage(self) -> Usage:
        assert self._usage is not None, "the phase is not over yet"
        return self._usage

    @usage.setter
    def usage(self, usage: Usage) -> None:
        self._usage = usage


@contextmanager
def measuring(environment: Environment) -> Iterator[Measured]:
    """Of what runs now; asking the API server for its metrics, which costs it a little, is outside of what is measured."""
    measured, processes = Measured(), pids(environment)
    requests = _requests(environment)
    for pid in processes.values():
        procfs.reset_peak_memory(pid)
    cpu = {name: procfs.cpu_seconds(pid) for name, pid in processes.items()}
    busy, began = procfs.machine_busy_seconds(), time.monotonic()
    yield measured
    seconds = time.monotonic() - began
    used = {name: procfs.cpu_seconds(pid) - cpu[name] for name, pid in processes.items()}
    busy = procfs.machine_busy_seconds() - busy
    peaks = {name: procfs.peak_memory(pid) for name, pid in processes.items()}
    done = _requests(environment).since(requests)
    measured.usage = Usage(
        seconds=seconds,
        writes=dict(sorted(done.writes.items())),
        reads=dict(sorted(done.reads.items())),
        cpu=used,
        peak_memory=peaks,
        busy=busy / seconds,
    )


def _requests(environment: Environment) -> Requests:
    return apirequests.parse(environment.api.request("GET", "/metrics").decode())

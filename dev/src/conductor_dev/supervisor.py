"""The environment left running by `up`: a process of its own, and the file by which the other commands find it.

The supervisor holds a lock as long as it lives. Whoever can take the lock knows that nothing runs, whatever the state
file says: a state is stale exactly when its supervisor is dead, and with it all its children.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from conductor_dev.checkout import SCHEDULER_CONFIGURATION
from conductor_dev.environment import LOGS, Environment, remove_all_but_logs
from conductor_dev.errors import AlreadyRunning, DevError
from conductor_dev.progress import Progress
from conductor_dev.waiting import wait_until

STOPS_WITHIN = 40.0
LOOKS_EVERY = 0.1


@dataclass(frozen=True)
class RunningService:
    name: str
    address_file: str


@dataclass(frozen=True)
class State:
    """What a person, or `status`, needs to know of the running environment. It names the files with credentials."""

    pid: int
    kubeconfig: str
    nats_url_file: str
    aws_endpoint_url: str
    explain_address_file: str
    """Empty where no scheduler runs."""
    logs: str
    services: tuple[RunningService, ...]


@dataclass(frozen=True)
class Place:
    """The folder of one environment, `.conductor` of a checkout by default."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        return self.data / LOGS

    @property
    def log(self) -> Path:
        """The supervisor's own output."""
        return self.folder / "supervisor.log"

    @property
    def state_file(self) -> Path:
        return self.folder / "state.json"

    @property
    def lock_file(self) -> Path:
        return self.folder / "lock"

    def state(self) -> State | None:
        """The state of a running environment that is ready; None if there is none."""
        if not self.is_running():
            return None
        try:
            read = json.loads(self.state_file.read_bytes())
        except FileNotFoundError:
            return None
        services = tuple(RunningService(**service) for service in read.pop("services"))
        return State(services=services, **read)

    def write(self, state: State) -> None:
        unfinished = self.state_file.with_suffix(".unfinished")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(asdict(state), indent=2))
        unfinished.replace(self.state_file)

    def is_running(self) -> bool:
        """Whether a supervisor lives, ready or not."""
        with contextlib.ExitStack() as opened:
            try:
                lock = opened.enter_context(self.lock_file.open("r+"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except FileNotFoundError:
                return False
            except BlockingIOError:
                return True
            return False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds the lock, and in it who holds it. AlreadyRunning if another one does."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.lock_file.touch()
        with self.lock_file.open("r+") as lock:
            try:
                # Those who look whether it is held hold it for a moment.
                wait_until(f"the lock of {self.folder}", lambda: _taken(lock), timeout=1)
            except DevError as error:
                raise AlreadyRunning(f"an environment is running in {self.folder}") from error
            lock.truncate()
            lock.write(f"{os.getpid()} {_began(os.getpid())}")
            lock.flush()
            try:
                yield
            finally:
                lock.seek(0)
                lock.truncate()

    def holder(self) -> int | None:
        """The pid of the living supervisor; None if there is none.

        Who took the lock this moment has not written itself down yet, and a killed one could not strike itself out:
        its pid may be a stranger's by now, who began at another time.
        """
        while self.is_running():
            pid, _, began = self.lock_file.read_text().partition(" ")
            if pid and began and _began(int(pid)) == began:
                return int(pid)
            time.sleep(LOOKS_EVERY)
        return None

    def clear(self) -> None:
        """Removes data and credentials of an environment that has ended; its logs stay. The lock must be held."""
        self.state_file.unlink(missing_ok=True)
        remove_all_but_logs(self.data)


def _began(pid: int) -> str:
    """When a process began, in the words of its system; empty if there is none."""
    if Path("/proc/self/stat").exists():
        try:
            # The second field, the command in brackets, may contain anything; the start is the 22nd.
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        except (FileNotFoundError, ProcessLookupError):
            return ""
    asked = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(asked, check=False, capture_output=True, text=True).stdout.strip()


def _taken(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def supervise(place: Place, *, with_services: bool) -> None:
    """Runs the environment until SIGTERM; starts a service again that ends by itself, as a cluster would."""
    stop = threading.Event()
    progress = Progress()
    # A start may take minutes, when binaries are built, and must not hold up a `down`.
    _on_signal(_give_up)
    with place.held():
        place.clear()
        shutil.rmtree(place.logs, ignore_errors=True)
        place.data.mkdir(mode=0o700, exist_ok=True)
        try:
            with Environment.start(place.data, progress=progress) as environment:
                if with_services:
                    environment.start_services(_for_people(environment), on_demand=True)
                _on_signal(stop.set)
                place.write(_state_of(environment))
                while not stop.wait(1):
                    for service in environment.services:
                        if not service.alive:
                            progress.say(
                                f"{service.name} ended with {service.part.exit_code}: starting it again"
                            )
                            service.start()
        finally:
            place.clear()


def _for_people(environment: Environment) -> dict[str, str]:
    """What the scheduler is told where somebody tries things out: regions, and to explain whoever asks on this machine."""
    return {
        "CONDUCTOR_SCHEDULER_CONFIG": os.environ.get(
            "CONDUCTOR_SCHEDULER_CONFIG", str(SCHEDULER_CONFIGURATION)
        ),
        "CONDUCTOR_EXPLAIN_ADDRESS": "127.0.0.1:0",
        "CONDUCTOR_EXPLAIN_ADDRESS_FILE": str(_explain_address_file(environment)),
        "CONDUCTOR_EXPLAIN_AUTHENTICATION": "none",
    }


def _explain_address_file(environment: Environment) -> Path:
    return environment.folder / "explain-address"


def _on_signal(action: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: action())


def _give_up() -> None:
    raise SystemExit("stopped while it was starting")


def _state_of(environment: Environment) -> State:
    nats_url = environment.folder / "nats-url"
    nats_url.touch(mode=0o600)
    nats_url.write_text(environment.nats_url)
    explains = any(each.service.name == "scheduler" for each in environment.services)
    return State(
        pid=os.getpid(),
        kubeconfig=environment.control_plane.kubeconfig,
        nats_url_file=str(nats_url),
        aws_endpoint_url=environment.aws.service_environment.get("AWS_ENDPOINT_URL", ""),
        explain_address_file=str(_explain_address_file(environment)) if explains else "",
        logs=str(environment.logs),
        services=tuple(
            RunningService(service.name, str(service.address_file)) for service in environment.services
        ),
    )


def up(place: Place, *, with_services: bool, out: TextIO) -> State:
    """Starts a supervisor, detached from this terminal, and returns when the environment is ready.

    What the supervisor says meanwhile is copied to `out`. AlreadyRunning if there is one; DevError if it fails.
    """
    if place.is_running():
        raise AlreadyRunning(f"an environment is running in {place.folder}")
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [sys.executable, "-m", "conductor_dev", "supervise", "--dir", str(place.folder)]
    with place.log.open("wb") as log:
        supervisor = subprocess.Popen(
            [*command, *([] if with_services else ["--no-services"])],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        with place.log.open() as said:
            while (state := place.state()) is None or state.pid != supervisor.pid:
                out.write(said.read())
                out.flush()
                if supervisor.poll() is not None:
                    out.write(said.read())
                    raise DevError(f"the environment did not start: see above, and {place.log}")
                time.sleep(LOOKS_EVERY)
            out.write(said.read())
            return state
    except BaseException:
        supervisor.terminate()
        supervisor.wait(STOPS_WITHIN)
        raise


def down(place: Place) -> bool:
    """Stops the supervisor and with it everything; returns whether there was one.

    Then nothing but logs is left, also if that supervisor, or one before it, could not tidy up itself.
    """
    pid = place.holder()
    if pid is not None:
        _stop(place, pid)
    if place.folder.exists():
        # A new one that is starting already tidies up, too.
        with contextlib.suppress(AlreadyRunning), place.held():
            place.clear()
    return pid is not None


def _stop(place: Place, pid: int) -> None:
    def stopped() -> bool:
        return not place.is_running()

    try:
        os.kill(pid, signal.SIGTERM)
        wait_until(f"the environment of {place.folder} has stopped", stopped, timeout=STOPS_WITHIN)
    except DevError:
        # Its children die with it: see `processes`.
        os.kill(pid, signal.SIGKILL)
        wait_until(f"the environment of {place.folder} was killed", stopped)
    except ProcessLookupError:
        pass

"""Children die with their parent, however it ends; failures name the log; ports that were taken are chosen again."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conductor_dev import lifeline
from conductor_dev.errors import PartFailed, PortInUse
from conductor_dev.processes import Part, start_child, start_on_free_ports
from conductor_dev.waiting import wait_until

HOLDER = """
import fcntl, pathlib, sys, time
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
pathlib.Path(sys.argv[2]).write_text("held")
time.sleep(600)
"""
"""Holds a lock as long as it lives: the lock is free exactly when the process is gone, whoever reaps it."""

PARENT = """
import pathlib, sys, time
from conductor_dev.processes import start_child
lock, held, holder, use_pipe = sys.argv[1:]
child = start_child([sys.executable, "-c", holder, lock, held], log=pathlib.Path(lock + ".log"), use_pipe=use_pipe == "pipe")
time.sleep(600)
"""


def is_free(lock: Path) -> bool:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


MODES = ["pipe", *(["signal"] if sys.platform.startswith("linux") else [])]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_dies_with_its_parent(tmp_path: Path, mode: str, number: signal.Signals) -> None:
    lock, held = tmp_path / "lock", tmp_path / "held"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(lock), str(held), HOLDER, mode])
    try:
        wait_until("the child holds its lock", held.exists)
        assert not is_free(lock)
        parent.send_signal(number)
        parent.wait()
        wait_until("the child is gone", lambda: is_free(lock), timeout=10)
    finally:
        parent.kill()


@pytest.mark.parametrize("mode", MODES)
def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path, mode: str) -> None:
    lock, held = tmp_path / "lock", tmp_path / "held"
    command = [sys.executable, "-c", HOLDER, str(lock), str(held)]
    children: list[subprocess.Popen[bytes]] = []
    asks = threading.Thread(
        target=lambda: children.append(start_child(command, log=tmp_path / "log", use_pipe=mode == "pipe"))
    )
    asks.start()
    asks.join()
    try:
        wait_until("the child holds its lock", held.exists)
        with pytest.raises(subprocess.TimeoutExpired):
            children[0].wait(0.3)
    finally:
        os.killpg(children[0].pid, signal.SIGKILL)
        children[0].wait()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the request to the kernel is Linux's")
def test_a_command_is_not_run_when_its_parent_died_before_the_kernel_was_asked(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    not_our_pid = str(os.getpid() + 1)
    command = [sys.executable, lifeline.__file__, "signal", not_our_pid, "--", "touch", str(ran)]
    assert subprocess.run(command, check=False).returncode == lifeline.EXIT_ORPHANED
    assert not ran.exists()


@pytest.mark.parametrize("mode", MODES)
def test_a_signal_reaches_the_command_once_and_its_exit_is_seen(tmp_path: Path, mode: str) -> None:
    program = """
import signal, sys, time
seen = []
signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
print("ready", flush=True)
while not seen:
    time.sleep(0.01)
time.sleep(0.2)
sys.exit(40 + len(seen))
"""
    log = tmp_path / "log"
    child = start_child([sys.executable, "-c", program], log=log, use_pipe=mode == "pipe")
    wait_until("the handler is set", lambda: "ready" in log.read_text())
    os.killpg(child.pid, signal.SIGTERM)
    assert child.wait(10) == 41


@pytest.mark.parametrize("mode", MODES)
def test_a_child_that_dies_of_a_signal_is_seen_to(tmp_path: Path, mode: str) -> None:
    command = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGABRT)"]
    child = start_child(command, log=tmp_path / "log", use_pipe=mode == "pipe")
    assert child.wait(10) == -signal.SIGABRT


def test_a_child_sees_only_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-caller")
    log = tmp_path / "log"
    program = "import os; print(sorted(os.environ.items()))"
    start_child([sys.executable, "-c", program], log=log, environment={"GIVEN": "yes"}).wait(10)
    assert "('GIVEN', 'yes')" in log.read_text()
    assert "of-the-caller" not in log.read_text()


def a_part(folder: Path, program: str, why_not_ready: str | None = None) -> Part:
    return Part(
        "a-part", [sys.executable, "-c", program], folder / "logs" / "a-part.log", lambda: why_not_ready
    )


def test_a_part_that_exits_is_named_with_the_end_of_its_log_and_the_folder_of_all(tmp_path: Path) -> None:
    part = a_part(tmp_path, "print('it went wrong because of X'); exit(3)", "not yet")
    part.start()
    with pytest.raises(PartFailed) as failed:
        part.wait_ready()
    assert "a-part exited with 3" in str(failed.value)
    assert "it went wrong because of X" in str(failed.value)
    assert f"All logs: {tmp_path / 'logs'}" in str(failed.value)


def test_a_part_that_is_not_ready_in_time_is_named_with_the_reason(tmp_path: Path) -> None:
    part = a_part(tmp_path, "import time; time.sleep(600)", "its door is closed")
    part.start()
    try:
        with pytest.raises(PartFailed, match=r"not ready after 0.1 s \(its door is closed\)"):
            part.wait_ready(0.1)
    finally:
        part.kill()


def test_a_part_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    part = a_part(tmp_path, deaf)
    part.start()
    wait_until("it is deaf", lambda: part.log.exists() and "deaf" in part.log.read_text())
    part.terminate(grace=0.1)
    assert part.exit_code == -signal.SIGKILL
    assert not part.alive


def test_a_part_can_be_killed_and_started_again(tmp_path: Path) -> None:
    part = a_part(tmp_path, "import time; time.sleep(600)")
    part.start()
    first = part.pid
    part.kill()
    assert part.pid is None
    part.restart()
    assert part.pid not in (None, first)
    part.kill()


def test_other_ports_are_chosen_when_somebody_else_was_quicker(tmp_path: Path) -> None:
    made: list[Part] = []

    def make() -> tuple[Part, int]:
        taken = "import sys; print('bind: Address already in use'); sys.exit(1)"
        part = a_part(
            tmp_path, taken if not made else "import time; time.sleep(600)", "no" if not made else None
        )
        made.append(part)
        return part, len(made)

    part, attempt = start_on_free_ports(make)
    assert attempt == 2
    part.kill()


def test_an_old_complaint_in_the_log_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    part = a_part(tmp_path, "exit(1)", "no")
    part.log.parent.mkdir()
    part.log.write_text("bind: address already in use\n")
    part.start()
    with pytest.raises(PartFailed) as failed:
        part.wait_ready()
    assert not isinstance(failed.value, PortInUse)


def test_ports_that_stay_taken_are_reported(tmp_path: Path) -> None:
    taken = "import sys; print('address already in use'); sys.exit(1)"
    with pytest.raises(PortInUse):
        start_on_free_ports(lambda: (a_part(tmp_path, taken, "no"), None), attempts=2)

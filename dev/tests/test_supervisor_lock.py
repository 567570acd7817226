"""The lock of an environment's folder: who is found in it is signalled, so it must be the supervisor and nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conductor_dev.supervisor import Place, down
from conductor_dev.waiting import wait_until


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def test_who_holds_the_lock_is_found_and_strikes_itself_out_on_release(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.held():
        assert place.holder() == os.getpid()
    assert place.lock_file.read_text() == ""
    assert place.holder() is None


def test_a_stranger_that_got_a_killed_supervisors_pid_is_not_taken_for_the_new_one(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    place = Place(tmp_path)
    found: list[int | None] = []
    with place.held():
        ours = place.lock_file.read_text()
        place.lock_file.write_text(f"{stranger.pid} of-another-time")
        looking = threading.Thread(target=lambda: found.append(place.holder()))
        looking.start()
        looking.join(0.3)
        assert looking.is_alive()
        assert found == []
        place.lock_file.write_text(ours)
        wait_until("the holder is found", lambda: bool(found))
        looking.join()
    assert found == [os.getpid()]


def test_down_signals_nobody_for_a_lock_that_is_not_held(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    place = Place(tmp_path)
    place.lock_file.write_text(f"{stranger.pid} of-another-time")
    assert not down(place)
    assert stranger.poll() is None

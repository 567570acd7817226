"""Progress is readable on a terminal and in a log."""

from __future__ import annotations

import io

import pytest

from conductor_dev.progress import Progress, spoken
from conductor_dev.waiting import wait_until


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (43, "43 s"), (59.6, "1 min 00 s"), (283, "4 min 43 s")]
)
def test_durations_are_spoken(seconds: float, text: str) -> None:
    assert spoken(seconds) == text


def test_a_log_gets_plain_lines_with_what_it_took_last_time() -> None:
    out, now = io.StringIO(), [0.0]
    progress = Progress(out, clock=lambda: now[0], every=0.01)
    with progress.step("building it, 2 of 3", last_time=283):
        now[0] = 65
        wait_until("it was told", lambda: "1 min 05 s so far" in out.getvalue())
    lines = out.getvalue().splitlines()
    assert lines[0] == "building it, 2 of 3, took 4 min 43 s last time"
    assert "building it, 2 of 3: 1 min 05 s so far, took 4 min 43 s last time" in lines
    assert lines[-1] == "building it, 2 of 3: done in 1 min 05 s"
    assert "\r" not in out.getvalue()
    assert "\033" not in out.getvalue()


def test_a_terminal_gets_one_line_that_is_kept_up_to_date() -> None:
    out = Terminal()
    with Progress(out, every=0.01).step("building it"):
        wait_until("it was told twice", lambda: out.getvalue().count("\r\033[K") > 1)
    assert out.getvalue().count("\n") == 2


def test_a_log_is_not_flooded() -> None:
    out = io.StringIO()
    with Progress(out).step("something short"):
        pass
    assert len(out.getvalue().splitlines()) == 2


def test_a_step_that_fails_says_so() -> None:
    out = io.StringIO()
    with pytest.raises(RuntimeError), Progress(out).step("building it"):
        raise RuntimeError
    assert "building it: failed after 0 s" in out.getvalue()

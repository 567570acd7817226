"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from conductor_dev.errors import NotReadyInTime

Found = TypeVar("Found")


def wait_until(
    what: str, condition: Callable[[], Found | None], *, timeout: float = 30, interval: float = 0.02
) -> Found:
    """The first true value of `condition`; NotReadyInTime, naming `what` and the last value, after `timeout` s.

    The pause between two looks grows to half a second, so that waiting for something slow costs nothing.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise NotReadyInTime(what, timeout, "" if value is None else repr(value))
        time.sleep(interval)
        interval = min(interval * 1.3, 0.5)

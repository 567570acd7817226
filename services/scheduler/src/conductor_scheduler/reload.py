"""Takes up a changed configuration file without a restart; a bad one changes nothing but the log and a metric.

The file is read again every few seconds: a ConfigMap that is mounted changes by a link that is swapped, of which the file
itself hears nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from conductor_scheduler.config import ConfigError, load
from conductor_scheduler.metrics import Metrics
from conductor_scheduler.policy import Policy

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two looks at the file."""


class PolicyFile:
    """The policy in force. Raises ConfigError when the file cannot be used at the start."""

    def __init__(self, path: Path | None) -> None:
        self.policy = Policy(load(path))
        self._path = path
        self._refused: str | None = None
        self._listeners: list[Callable[[Policy], None]] = []

    def tell(self, listener: Callable[[Policy], None]) -> Callable[[], None]:
        """Call ``listener`` with each new policy, until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def follow(self, metrics: Metrics) -> None:
        """Until cancelled."""
        metrics.config_valid.set(1)
        while self._path is not None:
            await asyncio.sleep(EVERY)
            self.look(metrics)

    def look(self, metrics: Metrics) -> None:
        """Take up what the file says now."""
        try:
            config = load(self._path)
            policy = self.policy if config == self.policy.config else Policy(config)
        except ConfigError as error:
            if str(error) != self._refused:
                log.error("%s; the configuration from before stays in force", error)
                metrics.config_reloads.labels("refused").inc()
                metrics.config_valid.set(0)
            self._refused = str(error)
            return
        self._refused = None
        metrics.config_valid.set(1)
        if policy is not self.policy:
            self.policy = policy
            metrics.config_reloads.labels("taken").inc()
            log.info("scheduler configuration %s taken up", self._path)
            for listener in list(self._listeners):
                listener(policy)

"""``managed.Drivers`` for tests of a single driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conductor_model.concrete import Concrete
from conductor_provisioner.driver import Driver
from conductor_provisioner.managed import Opened


@dataclass
class OneDriver:
    """The same driver for every object."""

    driver: Driver[Any, Any]

    async def of(self, concrete: Concrete) -> Opened:
        return Opened(self.driver)

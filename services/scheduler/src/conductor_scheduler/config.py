"""The scheduler's configuration: the administrator's words for regions, cost and performance, as ordered scales.

Read from the YAML file that ``CONDUCTOR_SCHEDULER_CONFIG`` names; without it, words match only when they are equal.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ConfigDict, Field, ValidationError

from conductor_model.meta import Model
from conductor_scheduler.scales import Scales


class ConfigError(Exception):
    """The configuration file cannot be used; the message names the file and the field."""


class SchedulerConfig(Model):
    """Scales and the region hierarchy. Unknown fields are errors: a typing mistake must not pass silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    regions: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Super-region -> the regions (or super-regions) inside it."""
    cost_scale: tuple[str, ...] = Field(("free-tier", "low", "medium", "high"), alias="costScale")
    """Cheapest first."""
    performance_scale: tuple[str, ...] = Field(("low", "medium", "high"), alias="performanceScale")
    """Slowest first."""

    @property
    def scales(self) -> Scales:
        return Scales(self.regions, self.cost_scale, self.performance_scale)


def load(path: Path | None) -> SchedulerConfig:
    """The configuration in ``path``; the defaults when there is none. Raises ConfigError."""
    if path is None:
        return SchedulerConfig()
    try:
        return SchedulerConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"scheduler configuration {path}: {error}") from error

"""The scheduler's configuration: the administrator's words for regions, cost and performance, as ordered scales.

Read from the YAML file that ``CONDUCTOR_SCHEDULER_CONFIG`` names; without it, words match only when they are equal.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path

import yaml
from pydantic import ConfigDict, Field, ValidationError

from conductor_model.meta import Model


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

    def region_contains(self, wanted: str, offered: str) -> bool:
        """Whether ``offered`` is ``wanted``, or lies inside it however deep."""
        seen: set[str] = set()
        inside = [wanted]
        while inside:
            region = inside.pop()
            if region == offered:
                return True
            if region not in seen:
                seen.add(region)
                inside.extend(self.regions.get(region, ()))
        return False

    def cost_rank(self, cost: str) -> Decimal | None:
        return _rank(self.cost_scale, cost)

    def performance_rank(self, performance: str) -> Decimal | None:
        return _rank(self.performance_scale, performance)


def _rank(scale: tuple[str, ...], word: str) -> Decimal | None:
    """A word's place on the scale, or the number that it is; None when it is neither."""
    if word in scale:
        return Decimal(scale.index(word))
    try:
        number = Decimal(word)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def load(path: Path | None) -> SchedulerConfig:
    """The configuration in ``path``; the defaults when there is none. Raises ConfigError."""
    if path is None:
        return SchedulerConfig()
    try:
        return SchedulerConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"scheduler configuration {path}: {error}") from error

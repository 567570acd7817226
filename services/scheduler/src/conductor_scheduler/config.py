"""The scheduler's configuration file: scales, region hierarchy, and profiles of plugins.

Read from the YAML file that ``CONDUCTOR_SCHEDULER_CONFIG`` names; without one the defaults hold. A mistake is an error that
names the file and the field; nothing is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from conductor_model.meta import Model
from conductor_scheduler.scales import Scales

_SHOWN = 5

Name = Annotated[str, Field(min_length=1, max_length=63)]


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file and the field."""


class _Strict(Model):
    """Unknown fields are errors: a typing mistake must not pass silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PluginConfig(_Strict):
    """A plugin that is added to a profile, or one of ours with other settings."""

    name: Name
    weight: float | None = Field(None, ge=0, le=1_000_000, allow_inf_nan=False)
    """Of its score; absent: the built-in plugin's own, 1 of others."""
    args: dict[str, Any] = Field(default_factory=dict)


class PluginSet(_Strict):
    """What differs from the built-in plugins."""

    enabled: tuple[PluginConfig, ...] = ()
    disabled: tuple[Name, ...] = ()


class ProfileConfig(_Strict):
    """The plugins by which claims of some kinds are scheduled."""

    name: Name
    kinds: tuple[str, ...] = ()
    """Claim kinds as Kind or Kind.version.group in any letter case. Absent: all that no earlier profile names."""
    plugins: PluginSet = PluginSet()


class SchedulerConfig(_Strict):
    """The whole file."""

    api_version: Literal["scheduler.conductor.io/v1alpha1"] = "scheduler.conductor.io/v1alpha1"
    kind: Literal["SchedulerConfiguration"] = "SchedulerConfiguration"
    regions: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Super-region -> the regions (or super-regions) inside it."""
    cost_scale: tuple[str, ...] = ("free-tier", "low", "medium", "high")
    """Cheapest first."""
    performance_scale: tuple[str, ...] = ("low", "medium", "high")
    """Slowest first."""
    profiles: tuple[ProfileConfig, ...] = ()
    """The first one that is for a claim's kind is used; without any, the built-in plugins with their own weights."""

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> SchedulerConfig:
        for field, words in (("costScale", self.cost_scale), ("performanceScale", self.performance_scale)):
            if twice := _twice(words):
                raise ValueError(f"{field}: {twice} stands there twice")
        if twice := _twice([profile.name for profile in self.profiles]):
            raise ValueError(f"profiles: {twice} stands there twice")
        return self

    @property
    def scales(self) -> Scales:
        return Scales(self.regions, self.cost_scale, self.performance_scale)


def _twice(words: Sequence[str]) -> str | None:
    return next((word for index, word in enumerate(words) if word in words[:index]), None)


def parse(text: str, source: str) -> SchedulerConfig:
    """The configuration in a file's text. Raises ConfigError, which names ``source``."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"scheduler configuration {source}: {error}") from error
    if not isinstance(found, dict) or not {"apiVersion", "kind"} <= found.keys():
        raise ConfigError(
            f"scheduler configuration {source}: must begin with "
            "apiVersion: scheduler.conductor.io/v1alpha1 and kind: SchedulerConfiguration"
        )
    try:
        return SchedulerConfig.model_validate(found)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        said = [f"{_path(problem['loc'])}: {problem['msg']}" for problem in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            said.append(f"and {len(problems) - _SHOWN} more")
        raise ConfigError(f"scheduler configuration {source}: {'; '.join(said)}") from error


def _path(location: Sequence[str | int]) -> str:
    """``profiles[0].plugins.enabled[1].weight``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "the file"


def load(path: Path | None) -> SchedulerConfig:
    """The configuration in ``path``; the defaults when there is none. Raises ConfigError."""
    if path is None:
        return SchedulerConfig()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"scheduler configuration {path}: {error}") from error
    return parse(text, str(path))

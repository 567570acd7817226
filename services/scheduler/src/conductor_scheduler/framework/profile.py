"""A profile: the enabled plugins of each extension point, in the order in which they are asked, and the scores' weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from conductor_scheduler.framework.candidate import EVERYTHING, Aspect
from conductor_scheduler.framework.plugin import (
    Bar,
    Filter,
    Hint,
    OfferFilter,
    OfferScore,
    Plugin,
    PreFilter,
    Reserve,
    Score,
    Understands,
)

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Enabled(Generic[P]):
    """A plugin at one extension point."""

    name: str
    plugin: P
    weight: float
    looks_at: tuple[Aspect, ...] = EVERYTHING


class Profile:
    """Sorts plugins by what they implement. A weight of 0 takes a plugin's score out."""

    def __init__(self, name: str, plugins: Sequence[tuple[Plugin, float]]) -> None:
        self.name = name
        self.plugins = tuple(plugin.name for plugin, _ in plugins)
        self.pre_filters: list[Enabled[PreFilter]] = []
        self.bars: list[Enabled[Bar]] = []
        self.offer_filters: list[Enabled[OfferFilter]] = []
        self.filters: list[Enabled[Filter]] = []
        self.offer_scores: list[Enabled[OfferScore]] = []
        self.scores: list[Enabled[Score]] = []
        self.reserves: list[Enabled[Reserve]] = []
        self.hints: dict[str, Hint] = {}
        self.understood: frozenset[str] = frozenset()
        for plugin, weight in plugins:
            self._enable(plugin, weight)

    def _enable(self, plugin: Plugin, weight: float) -> None:
        name, looks_at = plugin.name, tuple(getattr(plugin, "looks_at", EVERYTHING))
        if isinstance(plugin, PreFilter):
            self.pre_filters.append(Enabled(name, plugin, weight, looks_at))
        if isinstance(plugin, Bar):
            self.bars.append(Enabled(name, plugin, weight, looks_at))
        if isinstance(plugin, OfferFilter):
            self.offer_filters.append(Enabled(name, plugin, weight, looks_at))
        if isinstance(plugin, Filter):
            self.filters.append(Enabled(name, plugin, weight, looks_at))
        if isinstance(plugin, OfferScore) and weight:
            self.offer_scores.append(Enabled(name, plugin, weight, looks_at))
        if isinstance(plugin, Score) and weight:
            self.scores.append(Enabled(name, plugin, weight, looks_at))
        if isinstance(plugin, Reserve):
            self.reserves.append(Enabled(name, plugin, weight, looks_at))
        if isinstance(plugin, Hint):
            self.hints[name] = plugin
        if isinstance(plugin, Understands):
            self.understood |= plugin.requirement_keys

"""The plugins that come with the scheduler, in the order in which filters are asked: what can never change comes first, what
differs most between candidates last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from conductor_scheduler.framework import Plugin, Setup
from conductor_scheduler.plugins.best_fit import BestFit
from conductor_scheduler.plugins.capacity import CapacityFilter
from conductor_scheduler.plugins.class_limits import ClassLimits
from conductor_scheduler.plugins.class_or_profile import ClassOrProfile
from conductor_scheduler.plugins.cost import Cost
from conductor_scheduler.plugins.demands import Demands
from conductor_scheduler.plugins.existing_first import ExistingFirst
from conductor_scheduler.plugins.kind import Kind
from conductor_scheduler.plugins.limit_range import LimitRange
from conductor_scheduler.plugins.namespaces import Namespaces
from conductor_scheduler.plugins.nomination import Nomination
from conductor_scheduler.plugins.performance import Performance
from conductor_scheduler.plugins.quota import Quota
from conductor_scheduler.plugins.region import Region
from conductor_scheduler.plugins.resource_name import ResourceName
from conductor_scheduler.plugins.selector import Selector
from conductor_scheduler.plugins.sharing import Sharing
from conductor_scheduler.plugins.spread import Spread
from conductor_scheduler.plugins.version import EngineVersionFilter

PluginFactory = Callable[[Setup], Plugin]

BUILT_IN: Mapping[str, PluginFactory] = {
    "namespaces": Namespaces,
    "resource-name": ResourceName,
    "kind": Kind,
    "demands": Demands,
    "class": ClassOrProfile,
    "version": EngineVersionFilter,
    "region": Region,
    "cost": Cost,
    "performance": Performance,
    "selector": Selector,
    "capacity": CapacityFilter,
    "limit-range": LimitRange,
    "sharing": Sharing,
    "nomination": Nomination,
    "quota": Quota,
    "class-limits": ClassLimits,
    "existing-first": ExistingFirst,
    "best-fit": BestFit,
    "spread": Spread,
}

DEFAULT_WEIGHTS: Mapping[str, float] = {"existing-first": 10_000, "best-fit": 100, "cost": 1, "spread": 0}
"""So far apart that a plugin decides only among those that the ones before it find equal."""

INDISPENSABLE = frozenset({"namespaces", "resource-name", "kind", "capacity", "sharing"})
"""Without these, a claim could be bound to what it must not have, or to more than there is."""

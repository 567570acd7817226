"""The configuration made into plugins: which profile a claim is scheduled by, and what its plugins are."""

from __future__ import annotations

from conductor_model.claims import Claim
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.framework import Setup
from conductor_scheduler.framework.profile import Profile
from conductor_scheduler.plugins import BUILT_IN, DEFAULT_WEIGHTS


class Policy:
    """One configuration in force. Immutable: another configuration is another policy."""

    def __init__(self, config: SchedulerConfig) -> None:
        self.config = config
        self.scales = config.scales
        setup = Setup(scales=self.scales)
        plugins = [(make(setup), DEFAULT_WEIGHTS.get(name, 0.0)) for name, make in BUILT_IN.items()]
        self._default = Profile("default", plugins)

    def profile_for(self, claim: Claim) -> Profile:
        """The profile that a claim is scheduled by."""
        return self._default

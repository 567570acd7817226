"""The configuration made into plugins: which profile a claim is scheduled by, and what its plugins are.

Plugins of third parties are Python entry points of the group ``conductor.scheduler.plugins``: a name, and a factory that
takes a ``Setup``. One is imported when a profile enables it, and not before.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from conductor_model.claims import Claim
from conductor_model.refs import GroupKind
from conductor_model.resourceclass import names_kind
from conductor_scheduler.config import ConfigError, PluginConfig, ProfileConfig, SchedulerConfig
from conductor_scheduler.framework import Plugin, Setup
from conductor_scheduler.framework.profile import Profile
from conductor_scheduler.plugins import BUILT_IN, DEFAULT_WEIGHTS, INDISPENSABLE
from conductor_scheduler.scales import Scales

ENTRY_POINTS = "conductor.scheduler.plugins"
_WEIGHT = 1.0


class Policy:
    """One configuration in force. Immutable: another configuration is another policy."""

    def __init__(self, config: SchedulerConfig) -> None:
        """Raises ConfigError, which names the field, for a plugin that is not there or refuses its arguments."""
        self.config = config
        self.scales = config.scales
        self._default = _profile(ProfileConfig(name="default"), "profiles", self.scales)
        self._profiles = [
            (profile.kinds, _profile(profile, f"profiles[{index}]", self.scales))
            for index, profile in enumerate(config.profiles)
        ]

    def profile_for(self, claim: Claim) -> Profile:
        """The profile that a claim is scheduled by."""
        if not self._profiles:
            return self._default
        kind = claim.key.group_kind
        for kinds, profile in self._profiles:
            if not kinds or any(_means(entry, kind) for entry in kinds):
                return profile
        return self._default


def _means(entry: str, kind: GroupKind) -> bool:
    return entry.lower() == kind.kind.lower() or names_kind(entry, kind)


def _profile(config: ProfileConfig, where: str, scales: Scales) -> Profile:
    for index, name in enumerate(config.plugins.disabled):
        field = f"{where}.plugins.disabled[{index}]"
        if name not in BUILT_IN:
            raise ConfigError(f"{field}: there is no built-in plugin {name}; there are {', '.join(BUILT_IN)}")
        if name in INDISPENSABLE:
            raise ConfigError(f"{field}: {name} cannot be disabled: without it bindings would not be sound")
    fields = {each.name: index for index, each in enumerate(config.plugins.enabled)}
    if len(fields) < len(config.plugins.enabled):
        raise ConfigError(f"{where}.plugins.enabled: a plugin is enabled twice")
    plugins: list[tuple[Plugin, float]] = []
    settings = {each.name: each for each in config.plugins.enabled}
    for name in [*BUILT_IN, *(name for name in settings if name not in BUILT_IN)]:
        if name in config.plugins.disabled and name not in settings:
            continue
        setting = settings.get(name) or PluginConfig(name=name)
        plugins.append(_made(setting, f"{where}.plugins.enabled[{fields.get(name, '')}]", scales))
    return Profile(config.name, plugins)


def _made(setting: PluginConfig, field: str, scales: Scales) -> tuple[Plugin, float]:
    name = setting.name
    factory = BUILT_IN.get(name)
    if factory is None:
        (found, *_) = [*entry_points(group=ENTRY_POINTS, name=name), None]
        if found is None:
            raise ConfigError(
                f"{field}.name: no installed package offers a plugin {name} (entry points of {ENTRY_POINTS})"
            )
        try:
            factory = found.load()
        except Exception as error:  # whatever happens while a third party's package is imported
            raise ConfigError(f"{field}.name: plugin {name} cannot be imported: {error!r}") from error
    try:
        plugin: Plugin = factory(Setup(setting.args, scales))
    except Exception as error:
        raise ConfigError(f"{field}.args: plugin {name} refuses them: {error}") from error
    if plugin.name != name:
        raise ConfigError(f"{field}.name: the plugin offered as {name} calls itself {plugin.name}")
    weight = setting.weight if setting.weight is not None else DEFAULT_WEIGHTS.get(name, _WEIGHT)
    return plugin, weight

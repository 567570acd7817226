"""Which ProviderConfig an object lives by: pure functions over the ProviderConfigs that there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from conductor_model.concrete import Concrete
from conductor_model.providerconfig import ProviderConfig
from conductor_provisioner.errors import Refused, Retryable

AMBIENT = "ambient"
"""The account of the provisioner's own environment, where no ProviderConfig is."""

ConfigsOf = Mapping[tuple[str, str], ProviderConfig]
"""By namespace and name."""


class NoAccount(Refused):
    """The ProviderConfig that an object lives by is not there, or cannot be used."""

    def __init__(self, target: str, message: str) -> None:
        super().__init__("find the account", target, "ProviderConfigMissing", message)


class NotYet(Retryable):
    """What an object lives by is not known, or not prepared yet, but will be in a moment."""

    retry_after = 1.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """The account of an object."""

    config: ProviderConfig | None
    """None: the environment's."""
    to_record: bool = False
    """Whether the choice must be durable before anything is made: it could come out otherwise next time."""

    @property
    def account(self) -> str:
        return self.config.metadata.name if self.config is not None else AMBIENT


def choose(concrete: Concrete, provider: str, configs: ConfigsOf) -> Chosen:
    """By reference; or as it was chosen before; or the namespace's default one; or the environment.

    Raises NoAccount when that is not there, is another provider's, or there are two defaults.
    """
    namespace = concrete.metadata.namespace
    reference = concrete.spec.provider_config_ref
    if reference is not None and concrete.status.external_name is None:
        config = _named(concrete, reference.name, provider, configs)
        if config.being_deleted:
            raise NoAccount(
                str(concrete.key), f"ProviderConfig {reference.name} is being deleted: name another"
            )
        return Chosen(config)
    if reference is not None:
        return Chosen(_named(concrete, reference.name, provider, configs))
    recorded = concrete.status.account
    if recorded is None and concrete.status.external_name is not None:
        recorded = AMBIENT
    if recorded is not None:
        return Chosen(_named(concrete, recorded, provider, configs) if recorded != AMBIENT else None)
    defaults = [
        config
        for (where, _), config in configs.items()
        if where == namespace
        and config.spec.provider == provider
        and config.spec.default
        and not config.being_deleted
    ]
    if len(defaults) > 1:
        names = ", ".join(sorted(config.metadata.name for config in defaults))
        raise NoAccount(str(concrete.key), f"{names} are all the default ProviderConfig: leave it to one")
    if not defaults:
        return Chosen(None)
    _not_reserved(concrete, defaults[0].metadata.name)
    return Chosen(defaults[0], to_record=True)


def users_of(config: ProviderConfig, concretes: Iterable[Concrete]) -> tuple[Concrete, ...]:
    """The objects that live by a ProviderConfig, of those given, all of its provider."""
    meta = config.metadata
    return tuple(
        each
        for each in concretes
        if each.metadata.namespace == meta.namespace
        and meta.name
        in (
            each.spec.provider_config_ref.name if each.spec.provider_config_ref else None,
            each.status.account,
        )
    )


def _not_reserved(concrete: Concrete, name: str) -> None:
    """Recorded in a status, that name would mean the environment's account, and lead to another one from then on."""
    if name == AMBIENT:
        raise NoAccount(
            str(concrete.key),
            f"no ProviderConfig can be called {AMBIENT}: it stands for the provisioner's own environment",
        )


def _named(concrete: Concrete, name: str, provider: str, configs: ConfigsOf) -> ProviderConfig:
    _not_reserved(concrete, name)
    found = configs.get((concrete.metadata.namespace, name))
    if found is None:
        raise NoAccount(str(concrete.key), f"there is no ProviderConfig {name} in this namespace: make it")
    if found.spec.provider != provider:
        raise NoAccount(
            str(concrete.key),
            f"ProviderConfig {name} is of the provider {found.spec.provider}, and this object's is {provider}",
        )
    return found

"""``managed.Drivers`` over the ProviderConfigs: one driver for each kind and account, opened anew when either changes.

The ProviderConfigs come from the bus; the Secrets that they name are read from the API, and at most so often.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import trace
from pydantic import ValidationError

from conductor_bus import Bus, CaughtUp, ObjectMessage, Restarted
from conductor_model.concrete import Concrete
from conductor_model.providerconfig import PROVIDER_CONFIG, ProviderConfig
from conductor_model.refs import GroupKind
from conductor_provisioner.calls import AccountCalls
from conductor_provisioner.configs import AMBIENT, Chosen, NoAccount, NotYet, choose
from conductor_provisioner.driver import Account, Driver, DriverFactory, SecretData
from conductor_provisioner.errors import NotLetIn, Refused
from conductor_provisioner.gate import Gate, Limits
from conductor_provisioner.managed import Opened
from conductor_provisioner.metrics import Metrics

SECRET_SECONDS = 30.0
"""For how long a Secret that was read is believed: credentials of an account are changed seldom."""
RETIRED_SECONDS = 120.0
"""After which a driver that was replaced is closed: rounds that began with it have ended."""

ReadSecret = Callable[[str, str], Awaitable[tuple[str, SecretData] | None]]
"""Of namespace and name: the Secret's resourceVersion and entries."""

log = logging.getLogger(__name__)


class ProviderConfigs:
    """The ProviderConfigs that there are, as the bus tells."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], ProviderConfig] | None = None

    @property
    def known(self) -> Mapping[tuple[str, str], ProviderConfig]:
        """By namespace and name. Raises NotYet before all have been read once."""
        if self._known is None:
            raise NotYet("read", "the ProviderConfigs", "NotYet", "the bus has not told of all of them yet")
        return self._known

    @property
    def complete(self) -> bool:
        return self._known is not None

    async def follow(self, bus: Bus) -> None:
        """For ever."""
        arriving: dict[tuple[str, str], ProviderConfig] | None = {}
        async for event in bus.follow([PROVIDER_CONFIG.group_kind]):
            match event:
                case Restarted():
                    arriving = {}
                case CaughtUp() if arriving is not None:
                    self._known, arriving = arriving, None
                case ObjectMessage():
                    target = arriving if arriving is not None else self._known
                    if target is not None:
                        _take_in(target, event)

    def put(self, *configs: ProviderConfig) -> None:
        """What ``follow`` learns, for one who knows it otherwise."""
        self._known = {(each.metadata.namespace, each.metadata.name): each for each in configs}


def _take_in(known: dict[tuple[str, str], ProviderConfig], message: ObjectMessage) -> None:
    place = (message.key.namespace, message.key.name)
    if message.deleted:
        known.pop(place, None)
        return
    try:
        known[place] = ProviderConfig.model_validate_json(message.data)
    except ValidationError:
        log.warning("%s cannot be read and is left out", message.key)
        known.pop(place, None)


@dataclass
class _Place:
    """What stays of an account while its drivers come and go."""

    calls: AccountCalls
    secrets: dict[str, tuple[float, str, SecretData]] = field(default_factory=dict)
    """By name: when it was read, its version, its entries."""
    version: tuple[object, ...] = ()
    """What the account was last resolved from."""


@dataclass(frozen=True)
class _Open:
    version: tuple[object, ...]
    driver: Driver[Any, Any]
    factory: DriverFactory[Any, Any]


class Accounts:
    """The drivers of one process."""

    def __init__(
        self,
        provider: str,
        factories: Mapping[GroupKind, DriverFactory[Any, Any]],
        configs: ProviderConfigs,
        read_secret: ReadSecret,
        *,
        finalizer: str,
        limits: Limits,
        threads: ThreadPoolExecutor,
        metrics: Metrics,
        tracer: trace.Tracer,
        monotonic: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """``finalizer`` must stand on a ProviderConfig before it is used, so that it cannot vanish from under its users."""
        self._provider = provider
        self._factories = factories
        self._configs = configs
        self._read_secret = read_secret
        self._finalizer = finalizer
        self._limits = limits
        self._threads = threads
        self._metrics = metrics
        self._tracer = tracer
        self._monotonic = monotonic
        self._random = random
        self._places: dict[str, _Place] = {}
        self._open: dict[tuple[GroupKind, str], _Open] = {}
        self._refused: dict[tuple[GroupKind, str], tuple[tuple[object, ...], float, NotLetIn]] = {}
        """What kept a driver from being opened: of which version of its account, and when."""
        self._retired: list[tuple[float, _Open]] = []
        self._opening = asyncio.Lock()

    async def of(self, concrete: Concrete) -> Opened:
        """Raises NoAccount, NotYet, and what the account's gate and the driver's factory raise."""
        chosen = choose(concrete, self._provider, self._configs.known)
        driver = await self.driver(concrete.gvk.group_kind, chosen)
        return Opened(driver, chosen.account, chosen.to_record)

    async def driver(self, kind: GroupKind, chosen: Chosen) -> Driver[Any, Any]:
        """The driver of a kind in an account."""
        config = chosen.config
        if config is not None and self._finalizer not in config.metadata.finalizers:
            raise NotYet("use", config.metadata.name, "NotYet", "the ProviderConfig is not protected yet")
        identity = config.uid if config is not None else AMBIENT
        place = self._place(identity, config)
        place.calls.check()
        account, version = await self._account(config, place)
        if place.version != version:
            place.version = version
            place.calls.renewed()
        opened = self._open.get((kind, identity))
        if opened is None or opened.version != version:
            async with self._opening:
                opened = await self._opened(kind, identity, account, version)
        return opened.driver

    def accounts(self) -> tuple[Chosen, ...]:
        """The environment's account, and every usable ProviderConfig of ours."""
        ours = (each for each in self._configs.known.values() if each.spec.provider == self._provider)
        return (Chosen(None), *(Chosen(each) for each in ours if self._finalizer in each.metadata.finalizers))

    async def forget_gone(self) -> None:
        """Close the drivers of ProviderConfigs that are no more."""
        here = {AMBIENT, *(each.uid for each in self._configs.known.values())}
        for key in [key for key in self._open if key[1] not in here]:
            gone = self._open.pop(key)
            await gone.factory.close(gone.driver)
        self._places = {uid: place for uid, place in self._places.items() if uid in here}

    async def close(self) -> None:
        for each in (*self._open.values(), *(opened for _, opened in self._retired)):
            await each.factory.close(each.driver)

    async def _opened(
        self, kind: GroupKind, identity: str, account: Account, version: tuple[object, ...]
    ) -> _Open:
        before = self._open.get((kind, identity))
        if before is not None and before.version == version:
            return before
        now = self._monotonic()
        refused = self._refused.get((kind, identity))
        if refused is not None and refused[0] == version and now < refused[1] + SECRET_SECONDS:
            raise refused[2]
        factory = self._factories[kind]
        try:
            opened = _Open(version, await factory.open(account), factory)
        except Refused as error:
            said = NotLetIn(error.action, error.target, error.code, error.message, reason=error.reason)
            self._refused[kind, identity] = (version, now, said)
            raise said from error
        self._refused.pop((kind, identity), None)
        self._open[kind, identity] = opened
        if before is not None:
            self._retired.append((now, before))
        old = [each for since, each in self._retired if since + RETIRED_SECONDS < now]
        self._retired = [each for each in self._retired if each[1] not in old]
        for each in old:
            await each.factory.close(each.driver)
        return opened

    def _place(self, identity: str, config: ProviderConfig | None) -> _Place:
        place = self._places.get(identity)
        if place is None:
            name = _name_of(config)
            place = self._places[identity] = _Place(
                AccountCalls(
                    name,
                    self._provider,
                    Gate(self._limits, self._monotonic, self._random),
                    self._limits,
                    threads=self._threads,
                    metrics=self._metrics,
                    tracer=self._tracer,
                )
            )
        return place

    async def _account(
        self, config: ProviderConfig | None, place: _Place
    ) -> tuple[Account, tuple[object, ...]]:
        """The account, and what it was resolved from: another version is another account."""
        if config is None:
            return Account(name=AMBIENT, calls=place.calls), ()
        spec = config.spec
        revisions: list[str] = []

        async def entries(name: str) -> SecretData:
            revision, data = await self._secret(config, place, name)
            revisions.append(revision)
            return data

        secret = await entries(spec.auth.secret_ref.name) if spec.auth.secret_ref is not None else None
        settings: dict[str, Any] = {**spec.settings, "auth": spec.auth}
        if spec.server is not None:
            settings["server"] = spec.server
            reference = spec.server.tls.ca_secret_ref if spec.server.tls is not None else None
            if reference is not None:
                settings["ca"] = (await entries(reference.name)).get("ca.crt")
        account = Account(
            name=_name_of(config),
            calls=place.calls,
            account=spec.account,
            region=spec.region,
            endpoint=spec.endpoint,
            secret=secret,
            settings=settings,
        )
        return account, (config.metadata.generation, *revisions)

    async def _secret(self, config: ProviderConfig, place: _Place, name: str) -> tuple[str, SecretData]:
        now = self._monotonic()
        known = place.secrets.get(name)
        if known is not None and now < known[0] + SECRET_SECONDS:
            return known[1], known[2]
        found = await self._read_secret(config.metadata.namespace, name)
        if found is None:
            raise NoAccount(
                _name_of(config),
                f"Secret {name}, named by ProviderConfig {config.metadata.name}, is not there",
            )
        place.secrets[name] = (now, *found)
        return found


def _name_of(config: ProviderConfig | None) -> str:
    return f"{config.metadata.namespace}/{config.metadata.name}" if config is not None else AMBIENT
